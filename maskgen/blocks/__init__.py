r"""Blocks of sentences with titles: samples of the inverse cloze task (ICT), and the blocks themselves (REALM).

dataset of sentences, dataset of titles, rows of build_blocks_mapping --> BlockSamples: a query and its block
                                                                     \--> EvidenceBlocks: every block, by its number
"""

from maskgen.blocks.evidence import EvidenceBlocks
from maskgen.blocks.samples import BlockSamples
from maskgen.blocks.texts import title_sizes

__all__ = ["BlockSamples", "EvidenceBlocks", "title_sizes"]
