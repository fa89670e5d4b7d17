"""The blocks themselves, by their numbers: what REALM and other retrievers index.

block mapping --one row a number, in order--> context_tokens of block 0, 1, 2 ...
"""

import numpy as np
import numpy.typing as npt

from maskgen.blocks.base import OfBlocks, text_fields, write_text
from maskgen.blocks.texts import NO_TOKENS, BlockTexts
from maskgen.samples.arrays import Batch, Field, allocate
from maskgen.samples.errors import SampleError
from maskgen.vocab import Ids, Vocab
from preprocess import IndexedDataset


class EvidenceBlocks(OfBlocks):
    """Every block once: ``blocks[n]`` and ``blocks.batch(numbers)``, the whole block with its title and no query.

    `blocks` are the same rows that BlockSamples has, in any order and of any number of epochs: a block has the same
    number in each. The arrays are context_tokens, context_pad_mask, context_lengths and block_data.
    """

    def __init__(
        self,
        dataset: IndexedDataset,
        titles: IndexedDataset | None,
        blocks: npt.ArrayLike,
        vocab: Vocab,
        *,
        max_seq_length: int,
        first_document: int = 0,
    ) -> None:
        texts = BlockTexts(dataset, titles, blocks, vocab, max_seq_length, first_document)
        numbers, places = np.unique(texts.rows[:, 3], return_index=True)
        wrong = np.flatnonzero(numbers != np.arange(len(numbers)))
        if len(wrong):
            raise SampleError(
                f"{dataset.prefix}: no row of the block mapping has the number {wrong[0]}, and one has "
                f"{numbers[wrong[0]]}; expected every number from 0 on; pass all rows of at least one epoch"
            )
        texts.rows = np.array(texts.rows[places])
        self.texts = texts
        self.fields: tuple[Field, ...] = (
            *text_fields("context", texts),
            Field("block_data", "row", 4, 0, texts.largest_number()),
        )

    def _fill(self, indices: Ids, _epoch: int, out: Batch) -> None:
        texts = self.texts
        for row, index in enumerate(indices.tolist()):
            write_text(out, "context", row, texts.context(texts.sentences(index), texts.title(index)), texts.pad_id)
            out["block_data"][row] = texts.block_data(index)

    def null_block(self) -> Batch:
        """REALM's empty block, ``[CLS] [SEP] [SEP]``: what a reader is given that is to do without evidence."""
        out = allocate(text_fields("context", self.texts), 1, None)
        write_text(out, "context", 0, self.texts.context([], NO_TOKENS), self.texts.pad_id)
        return {name: array[0] for name, array in out.items()}

    def __repr__(self) -> str:
        return f"EvidenceBlocks({self.texts.dataset.prefix!r}: {len(self)} blocks)"
