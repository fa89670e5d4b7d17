"""Lengths of documents and sequences of a dataset, and what its sidecar says of its origin.

index --places of documents--> tokens and sequences a document --> percentiles, histograms
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.inspection import PERCENTILES, percentiles
from maskgen.report.looking import DOCUMENTS, Look, Seen, strata
from maskgen.vocab import Ids
from preprocess import IndexedDataset
from preprocess.indexed.sidecar import Sidecar, read_sidecar

BINS_A_DECADE = 8
FIRST_EDGES = (1, 2, 3, 4, 6, 8, 10)  # there are no more whole numbers


@dataclass(frozen=True)
class Histogram:
    """Counts of whole numbers: `counts[i]` of them are from `edges[i]` to less than `edges[i + 1]`; zeros apart."""

    edges: Sequence[int]
    counts: Sequence[int]
    zeros: int


@dataclass(frozen=True)
class Distribution:
    """Whole numbers: how they are spread."""

    histogram: Histogram
    percentiles: dict[int, int]
    mean: float


@dataclass(frozen=True)
class DatasetFacts:
    """What there is to know of one dataset without a tokenizer."""

    prefix: str
    documents: int
    sequences: int
    tokens: int
    dtype: str
    seen: Seen
    lengths: Distribution | None  # None where there are no documents
    sentences: Distribution | None
    sidecar: Sidecar | None


def dataset_facts(dataset: IndexedDataset, look: Look) -> DatasetFacts:
    """Measure a dataset."""
    documents = len(dataset.document_indices) - 1
    wanted = documents if look.full else look.documents
    places = strata(documents, wanted, look.seed, DOCUMENTS)
    return DatasetFacts(
        prefix=dataset.prefix,
        documents=documents,
        sequences=len(dataset),
        tokens=len(dataset.tokens),
        dtype=str(dataset.dtype),
        seen=Seen(len(places), documents),
        lengths=distribution(lengths_of(dataset, places)) if documents else None,
        sentences=distribution(sequences_of(dataset, places)) if documents else None,
        sidecar=read_sidecar(dataset.prefix),
    )


def lengths_of(dataset: IndexedDataset, documents: Ids) -> Ids:
    """The tokens of these documents."""
    bounds, pointers = dataset.document_indices, dataset.sequence_pointers
    size = dataset.dtype.itemsize

    def begin(sequences: npt.NDArray[Any]) -> Ids:
        starts = np.full(len(sequences), len(dataset.tokens) * size, np.int64)
        inside = sequences < len(pointers)
        starts[inside] = pointers[sequences[inside]]
        return starts

    return (begin(bounds[documents + 1]) - begin(bounds[documents])) // size


def sequences_of(dataset: IndexedDataset, documents: Ids) -> Ids:
    """The sequences of these documents: sentences, where the text was split into them."""
    bounds = dataset.document_indices
    found: Ids = np.asarray(bounds[documents + 1], np.int64) - bounds[documents]
    return found


def distribution(values: Ids) -> Distribution:
    """How these numbers, at least one, are spread."""
    ranks = dict(zip(PERCENTILES, percentiles(iter([values])), strict=True))
    return Distribution(histogram(values), ranks, float(values.mean()))


def histogram(values: Ids) -> Histogram:
    """Counts in bins that are even on a logarithmic scale, as far as whole numbers allow."""
    largest = int(values.max(initial=1))
    edges = list(FIRST_EDGES)
    while edges[-1] <= largest:
        edges.append(round(10 ** (1 + (len(edges) - len(FIRST_EDGES) + 1) / BINS_A_DECADE)))
    while len(edges) > 2 and edges[-2] > largest:
        edges.pop()
    counts = np.diff(np.searchsorted(np.sort(values), edges))
    return Histogram(edges, counts.tolist(), int(np.count_nonzero(values == 0)))
