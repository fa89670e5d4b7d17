"""Search for tokens: how often, in how many documents, and the first places. The dataset is read once, in chunks.

text --patterns--> runs of ids --chunks of .bin--> places, inside one sequence each --> counts, the first places
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.inspection import document_starts
from preprocess import IndexedDataset
from preprocess.errors import MaskgenError, os_failure
from preprocess.indexed.format import bin_path
from preprocess.tokenization import Tokenizer

CHUNK = 1 << 21  # tokens at a time
Pattern = tuple[int, ...]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Hit:
    """One place: `length` tokens of a sequence, from `token` on."""

    document: int
    sequence: int
    token: int
    length: int


@dataclass
class Found:
    """What a search came to."""

    places: int = 0
    documents: int = 0
    first: list[Hit] = field(default_factory=list)


def patterns_of(text: str, tokenizer: Tokenizer | None) -> list[Pattern]:
    """The runs of ids that `text` stands for: a piece by its name, text as it is tokenized, or numbers."""
    if tokenizer is None:
        numbers = re.split(r"[\s,]+", text.strip())
        if not all(re.fullmatch(r"-?\d{1,18}", number) for number in numbers):
            raise MaskgenError(
                f"--search: found {text!r} and no --tokenizer, expected ids such as '101 2003'; give one"
            )
        return [tuple(map(int, numbers))]
    pieces = [id_ for id_, piece in enumerate(tokenizer.pieces) if piece == text and text]
    # Many tokenizers have other pieces for a word inside a text than for the same word at its beginning.
    ids, lengths = tokenizer.encode_batch([text, f" {text}"])
    runs = [run.tolist() for run in np.split(ids, np.cumsum(lengths)[:-1])]
    if pieces:  # as a text, a piece such as ##ing is often unknown
        runs = [run for run in runs if tokenizer.roles.unk not in run]
    found = dict.fromkeys([*((id_,) for id_ in pieces), *(tuple(run) for run in runs if run)])
    if not found:
        raise MaskgenError(f"--search: found {text!r}, which has no token, expected text or a piece; correct it")
    return list(found)


def search(
    dataset: IndexedDataset, patterns: Sequence[Pattern], most: int, documents: Iterable[int] | None = None
) -> Found:
    """Search all of a dataset, or these documents; `most` places are kept."""
    found, last = Found(), -1
    total = len(dataset.tokens)
    spans = [(0, total)] if documents is None else _spans(dataset, documents)
    for begin, end in spans:
        for starts, lengths in _matches(dataset, patterns, begin, end):
            sequences = _sequences(dataset, starts)
            if len(starts) and int(lengths.max()) > 1:
                inside = sequences == _sequences(dataset, starts + lengths - 1)
                starts, lengths, sequences = _one_each(starts[inside], lengths[inside], sequences[inside])
            if not len(starts):
                continue
            owners = np.searchsorted(dataset.document_indices, sequences, side="right") - 1
            found.places += len(starts)
            found.documents += len(np.unique(owners)) - int(owners[0] == last)
            last = int(owners[-1])
            for place in range(min(len(starts), most - len(found.first))):
                sequence = int(sequences[place])
                first = int(dataset.sequence_pointers[sequence]) // dataset.dtype.itemsize
                hit = Hit(int(owners[place]), sequence, int(starts[place]) - first, int(lengths[place]))
                found.first.append(hit)
    return found


def _spans(dataset: IndexedDataset, documents: Iterable[int]) -> list[tuple[int, int]]:
    starts = (document_starts(dataset, document, document + 1) for document in sorted(set(documents)))
    return [(int(begin), int(end)) for begin, end in starts]


def _sequences(dataset: IndexedDataset, tokens: Integers) -> Integers:
    found: Integers = np.searchsorted(dataset.sequence_pointers, tokens * dataset.dtype.itemsize, side="right") - 1
    return found


def _matches(
    dataset: IndexedDataset, patterns: Sequence[Pattern], begin: int, end: int
) -> Iterator[tuple[Integers, Integers]]:
    """Where runs of ids begin, and how long they are, chunk by chunk, in order."""
    overlap = max(map(len, patterns)) - 1
    for first, tokens in _chunks(dataset, begin, end, overlap):
        starts, lengths = [], []
        for pattern in patterns:
            owned = min(CHUNK, len(tokens) - len(pattern) + 1)
            if owned <= 0:
                continue
            places = np.flatnonzero(tokens[:owned] == pattern[0])
            for offset, id_ in enumerate(pattern[1:], 1):
                places = places[tokens[places + offset] == id_]
            starts.append(places + first)
            lengths.append(np.full(len(places), len(pattern)))
        if starts:
            all_starts, all_lengths = np.concatenate(starts), np.concatenate(lengths)
            order = np.lexsort((-all_lengths, all_starts))
            yield all_starts[order], all_lengths[order]


def _one_each(starts: Integers, *others: Integers) -> tuple[Integers, ...]:
    """Of several patterns at one place the longest, which comes first."""
    _, kept = np.unique(starts, return_index=True)
    return tuple(each[kept] for each in (starts, *others))


def _chunks(dataset: IndexedDataset, begin: int, end: int, overlap: int) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """The tokens from `begin` to `end`, and each chunk's first; the first `overlap` of the next come with each."""
    path, size = bin_path(dataset.prefix), dataset.dtype.itemsize
    try:
        with open(path, "rb") as file:  # read, not mapped: a search of everything should not fill the memory's place
            for first in range(begin, end, CHUNK):
                file.seek(first * size)
                yield first, np.frombuffer(file.read((min(CHUNK + overlap, end - first)) * size), dataset.dtype)
    except OSError as error:
        raise os_failure(path, "read it", error, "check the disk and the network") from None
