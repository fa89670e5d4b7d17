"""Samples of the inverse cloze task: a sentence, and the block that it was taken from.

row of the mapping --> sentences; one drawn --> query; the others, with the title --> context

What is drawn for a sample is a function of (seed, epoch, index), as for all schemes that are not Megatron-LM's:
maskgen/schemes/draws.py. (Megatron-LM's dataset draws from one generator in the order in which samples are asked for.)
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.blocks.base import OfBlocks, text_fields, write_text
from maskgen.blocks.texts import BlockTexts
from maskgen.identity import dataset_identity, plain, vocab_digest
from maskgen.samples.arrays import Batch, Field
from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError
from maskgen.schemes.base import checked_share
from maskgen.schemes.draws import Draws, below, uniforms
from maskgen.vocab import Ids, Vocab
from preprocess import IndexedDataset

SENTENCE, IN_BLOCK = 80, 81  # streams, apart from those of schemes
VERSION = 1  # of what these samples promise: it changes when their bits do


class BlockSamples(OfBlocks):
    """Queries and the blocks they come from, of a dataset with one sentence a sequence.

    `blocks` are rows of build_blocks_mapping for ``max_seq_length - 3``, over the documents from `first_document` on.
    A sample has query_tokens ([CLS] query [SEP]), context_tokens ([CLS] title [SEP] block [SEP], without titles
    [CLS] block [SEP]), a pad_mask (1 for tokens) and the length of each, block_data (first sentence, one past the
    last, document, block) and query_in_block. The query is a sentence of the block, drawn evenly, and is left in it
    with `query_in_block_prob`; a block of one sentence always keeps it.
    """

    scheme = "ict"

    def __init__(
        self,
        dataset: IndexedDataset,
        titles: IndexedDataset | None,
        blocks: npt.ArrayLike,
        vocab: Vocab,
        *,
        max_seq_length: int,
        query_in_block_prob: float = 0.1,
        seed: int = 1234,
        use_titles: bool = True,
        first_document: int = 0,
    ) -> None:
        if use_titles and titles is None:
            raise SampleError("use_titles without a dataset of titles; expected one; pass it, or use_titles=False")
        self.texts = BlockTexts(dataset, titles if use_titles else None, blocks, vocab, max_seq_length, first_document)
        self.query_in_block_prob = checked_share(query_in_block_prob, "query_in_block_prob")
        self.seed = integer(seed, "seed", None)
        self.fields: tuple[Field, ...] = (
            *text_fields("query", self.texts),
            *text_fields("context", self.texts),
            Field("block_data", "row", 4, 0, self.texts.largest_number()),
            Field("query_in_block", "number", 1, 0, 1),
        )

    @property
    def rows(self) -> BlockTexts:
        """What samples are drawn from."""
        return self.texts

    @property
    def dataset(self) -> IndexedDataset:
        """That of the sentences."""
        return self.texts.dataset

    @property
    def vocab(self) -> Vocab:
        """Of sentences and titles."""
        return self.texts.vocab

    def _fill(self, indices: Ids, epoch: int, out: Batch) -> None:
        draws, texts = Draws(self.seed, epoch, indices), self.texts
        counts = texts.rows[indices, 1].astype(np.int64) - texts.rows[indices, 0].astype(np.int64)
        queries = below(draws.words(SENTENCE, 1)[:, 0], counts).tolist()
        kept = (uniforms(draws.words(IN_BLOCK, 1)[:, 0]) < self.query_in_block_prob) | (counts == 1)
        out["query_in_block"][...] = kept
        for row, index in enumerate(indices.tolist()):
            sentences = texts.sentences(index)
            query = sentences[queries[row]]
            if not kept[row]:
                del sentences[queries[row]]
            write_text(out, "query", row, texts.query(query), texts.pad_id)
            write_text(out, "context", row, texts.context(sentences, texts.title(index)), texts.pad_id)
            out["block_data"][row] = texts.block_data(index)

    def describe(self) -> dict[str, Any]:
        """The identity of these samples, as JSON holds it: equal where every sample is."""
        options = {
            "max_seq_length": self.texts.max_seq_length,
            "query_in_block_prob": self.query_in_block_prob,
            "use_titles": self.texts.titles is not None,
        }
        description: dict[str, Any] = plain({
            "scheme": self.scheme,
            "scheme_version": VERSION,
            "seed": self.seed,
            "options": options,
            "vocab": vocab_digest(self.vocab),
            "rows": self.texts.describe(),
            "data": dataset_identity(self.dataset),
        })  # fmt: skip
        return description

    def __repr__(self) -> str:
        return f"BlockSamples({self.dataset.prefix!r}: {len(self)} samples, seed {self.seed})"
