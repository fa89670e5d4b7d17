"""Documents of a dataset, or some of them in some order: their numbers, and where their tokens are."""

from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.identity import array_digest
from maskgen.rows.pieces import Integers
from maskgen.samples.errors import SampleError
from preprocess import IndexedDataset

CHUNK = 1 << 20


class Selection:
    """Document `i` of a selection is document ``numbers(i)`` of its dataset.

    A document is the run of tokens of its sequences: in an indexed dataset, whose index has been checked, these stand
    without gaps one after the other.
    """

    def __init__(self, dataset: IndexedDataset, documents: Any) -> None:
        if not isinstance(dataset, IndexedDataset):
            raise SampleError(
                f"dataset is a {type(dataset).__name__}; expected an IndexedDataset; pass IndexedDataset(prefix)"
            )
        self.dataset = dataset
        present = len(dataset.document_indices) - 1
        self.chosen = checked_documents(documents, present, dataset.prefix)

    def __len__(self) -> int:
        return len(self.chosen)

    def numbers(self, places: Integers) -> Integers:
        """The numbers of documents, by their places in this selection."""
        if isinstance(self.chosen, range):
            return places + self.chosen.start
        return self.chosen[places]

    def spans(self, documents: Integers) -> tuple[Integers, Integers]:
        """First token and number of tokens of each document, by numbers."""
        # Both ends in one call: numpy's calls cost more than their work on a batch.
        bounds = token_starts(self.dataset, self.dataset.document_indices[np.concatenate((documents, documents + 1))])
        starts = bounds[: len(documents)]
        return starts, bounds[len(documents) :] - starts

    def sizes(self) -> Integers:
        """How many tokens each document of this selection has."""
        sizes = np.empty(len(self), np.int64)
        for first in range(0, len(self), CHUNK):
            if isinstance(self.chosen, range):
                part = self.chosen[first : first + CHUNK]
                bounds = self.dataset.document_indices[part.start : part.stop + 1]
                sizes[first : first + CHUNK] = np.diff(token_starts(self.dataset, bounds))
            else:
                sizes[first : first + CHUNK] = self.spans(self.chosen[first : first + CHUNK])[1]
        return sizes

    def describe(self) -> Any:
        """What was chosen, for an identity."""
        if isinstance(self.chosen, range):
            return [self.chosen.start, self.chosen.stop]
        return {"count": len(self), "digest": array_digest(self.chosen)}


def token_starts(dataset: IndexedDataset, sequences: npt.NDArray[np.int64]) -> Integers:
    """The place of each sequence's first token among all tokens; sequence ``len(dataset)`` is the end."""
    if not len(dataset):
        return np.zeros(len(sequences), np.int64)
    starts = dataset.sequence_pointers[np.minimum(sequences, len(dataset) - 1)]
    starts >>= dataset.dtype.itemsize.bit_length() - 1  # from bytes to tokens, whose width is a power of two
    starts[sequences == len(dataset)] = len(dataset.tokens)
    return starts


def checked_documents(documents: Any, present: int, prefix: str) -> range | Integers:
    """`documents` as a range of step 1 or an array of numbers, each of which exists; all for None."""
    if documents is None:
        return range(present)
    remedy = "pass a range, as range(*maskgen.mapping.part_documents(split, part, count)) gives one, or an array"
    if isinstance(documents, range) and documents.step == 1:
        if len(documents) and (documents.start < 0 or documents.stop > present):
            raise SampleError(
                f"{prefix}: documents are {documents.start} to {documents.stop}; expected 0 to {present}; {remedy}"
            )
        return documents if len(documents) else range(0)
    if not isinstance(documents, (np.ndarray, list, tuple, range)):
        raise SampleError(f"documents is a {type(documents).__name__}; expected numbers of documents; {remedy}")
    try:
        array = np.asarray(documents)
    except ValueError:  # lists of different lengths
        array = np.empty(0, object)
    if isinstance(documents, (list, tuple)) and len(documents) == 0:
        array = np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise SampleError(
            f"documents are {array.dtype} of the shape {array.shape}; expected integers in one dimension; {remedy}"
        )
    if array.size and (int(array.min()) < 0 or int(array.max()) >= present):
        place = int(np.argmax((array < 0) | (array >= present)))
        raise SampleError(
            f"{prefix}: documents[{place}] is {array[place]}; expected 0 to {present - 1}, the documents of this "
            f"dataset; {remedy}"
        )
    chosen: Integers = array.astype(np.int64)  # a copy: what the caller does to the array later changes nothing here
    chosen.flags.writeable = False
    return chosen
