"""Which tokens of which documents a sample is made of, for every kind of samples.

row of a mapping: sentences --> documents; row of documents: its pieces; pairs: both texts
"""

from dataclasses import dataclass

import numpy as np

from maskgen.blocks import BlockSamples
from maskgen.samples.base import Samples
from maskgen.samples.errors import SampleError
from maskgen.samples.opening import AnySamples
from maskgen.schemes.next_sentence import NextSentenceSamples
from preprocess import IndexedDataset


@dataclass(frozen=True)
class SamplePart:
    """A run of tokens of a document."""

    document: int
    sequences: range
    start: int  # in the dataset
    tokens: int


def sample_parts(samples: AnySamples, index: int) -> list[SamplePart]:
    """What the sample at `index` of epoch 0 is made of, in its order, before anything is cut to fit or masked."""
    if isinstance(samples, Samples):
        first, last, _ = samples.sample_map[index].tolist()
        return [_of_sequences(samples.dataset, first, last)]
    if isinstance(samples, BlockSamples):
        first, last = samples.texts.rows[index, :2].tolist()
        return [_of_sequences(samples.dataset, first, last)]
    if isinstance(samples, NextSentenceSamples):
        spans = samples.pairs.spans_of(index, samples.seed)
        return [_of_sequences(samples.pairs.dataset, first, last) for first, last in spans if first < last]
    dataset, pieces_of = getattr(samples.rows, "dataset", None), getattr(samples.rows, "pieces", None)
    if dataset is None or pieces_of is None:
        raise SampleError("samples over rows of another kind; expected rows of a dataset; use those of maskgen.rows")
    pieces = pieces_of(np.array([index]))
    found = []
    for document, start, count in zip(pieces.documents, pieces.starts, pieces.counts, strict=True):
        first, last = (_sequence(dataset, int(token)) for token in (start, start + max(count, 1) - 1))
        found.append(SamplePart(int(document), range(first, last + 1), int(start), int(count)))
    return found


def _of_sequences(dataset: IndexedDataset, first: int, last: int) -> SamplePart:
    document = int(np.searchsorted(dataset.document_indices, first, side="right")) - 1
    start = int(dataset.sequence_pointers[first]) // dataset.dtype.itemsize
    tokens = int(dataset.sequence_lengths[first:last].sum(dtype=np.int64))
    return SamplePart(document, range(first, last), start, tokens)


def _sequence(dataset: IndexedDataset, token: int) -> int:
    return int(np.searchsorted(dataset.sequence_pointers, token * dataset.dtype.itemsize, side="right")) - 1
