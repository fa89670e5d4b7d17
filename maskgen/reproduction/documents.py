"""Which document a byte of ``.bin`` belongs to, and whether two datasets hold the same documents in some order."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from maskgen.hashing import GAMMA, mix
from maskgen.inspection import document_starts
from preprocess import IndexedDataset, IndexedDatasetError
from preprocess.indexed.sidecar import Part

TOKENS = 1 << 20  # at a time
DOCUMENTS = 1 << 16


@dataclass(frozen=True)
class Place:
    """A token's place in a dataset."""

    document: int
    sequence: int
    token: int

    def __str__(self) -> str:
        return f"document {self.document:,}, sequence {self.sequence:,}, token {self.token:,}"


def place_of(dataset: IndexedDataset, byte: int) -> Place:
    """Where a byte of ``.bin`` is; behind the last one, in the document after the last."""
    if byte >= len(dataset.tokens) * dataset.dtype.itemsize:
        return Place(len(dataset.document_indices) - 1, len(dataset), 0)
    sequence = int(np.searchsorted(dataset.sequence_pointers, byte, side="right")) - 1
    document = int(np.searchsorted(dataset.document_indices, sequence, side="right")) - 1
    return Place(document, sequence, (byte - int(dataset.sequence_pointers[sequence])) // dataset.dtype.itemsize)


def holds_another_part(path: str, parts: Sequence[Part], byte: int) -> tuple[int, int] | None:
    """The part that `byte` is in, and the other one that the file has in its place, if it does."""
    ends = list(accumulate(part.bytes for part in parts))
    number = int(np.searchsorted(ends, byte, side="right"))
    if number == len(parts):
        return None
    others = {part: other for other, part in enumerate(parts) if other != number and part.bytes}
    digest, done = hashlib.sha256(), 0
    with open(path, "rb") as file:
        file.seek(ends[number] - parts[number].bytes)
        for size in sorted({part.bytes for part in others}):
            while done < size and (data := file.read(min(TOKENS, size - done))):
                digest.update(data)
                done += len(data)
            found = others.get(Part(size, digest.hexdigest())) if done == size else None
            if found is not None:
                return number, found
    return None


def same_documents(prefix: str, dataset: IndexedDataset) -> bool:
    """Whether the dataset at `prefix`, as far as it can be read, has these very documents, in whatever order."""
    if not os.path.exists(f"{prefix}.idx"):
        return False
    try:
        other = IndexedDataset(prefix)
        if len(other.document_indices) != len(dataset.document_indices):
            return False
        return sum(_hashes(other)) % 2**64 == sum(_hashes(dataset)) % 2**64
    except IndexedDatasetError:  # an index that does not fit its tokens
        return False


def _hashes(dataset: IndexedDataset) -> Iterator[int]:
    """Sums of hashes of documents, which are the same in any order."""
    documents = len(dataset.document_indices) - 1
    first = 0
    while first < documents:
        starts = document_starts(dataset, first, min(first + DOCUMENTS, documents))
        last = max(1, int(np.searchsorted(starts, starts[0] + TOKENS, side="right")) - 1)
        yield _sum_of_hashes(dataset, starts[: last + 1])
        first += last


def _sum_of_hashes(dataset: IndexedDataset, starts: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> int:
    lengths = np.diff(starts)
    starts, lengths = starts[:-1][lengths > 0], lengths[lengths > 0]
    if not len(starts):
        return 0
    tokens = dataset.tokens[starts[0] : starts[-1] + lengths[-1]].astype(np.int64).view(np.uint64)
    places = np.arange(len(tokens)) - np.repeat(starts - starts[0], lengths)
    words = mix(mix(places.astype(np.uint64) + np.uint64(GAMMA)) + tokens)
    sums = np.add.reduceat(words, starts - starts[0])
    return int(mix(sums + lengths.astype(np.uint64)).sum(dtype=np.uint64))
