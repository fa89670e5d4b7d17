"""The whole-index check: every contradiction that an index can show, found before a single token is served.

Data flow: the raw bytes of a mapped index are copied chunk by chunk into aligned buffers that stay in the cache, where
a handful of vectorised comparisons look at each value once. Only when one fails is the first offender looked up and
described.
"""

import numpy as np
import numpy.typing as npt

from preprocess.errors import IndexedDatasetError
from preprocess.indexed.format import BOUNDARY, LENGTH, POINTER, REWRITE, IndexLayout, bin_path

RawBytes = npt.NDArray[np.uint8]

# 64 Ki entries: the buffers fit the second-level cache. Copying first matters because the sections start at odd
# offsets and numpy's arithmetic on unaligned arrays is several times slower than a copy plus aligned arithmetic.
CHUNK = 1 << 16


def check_index(path: str, raw: RawBytes, layout: IndexLayout, bin_size: int) -> None:
    """Raise IndexedDatasetError unless lengths, pointers and document indices agree with each other and with .bin."""
    _check_sequences(path, raw, layout, bin_size)
    _check_boundaries(path, raw, layout)


def _check_sequences(path: str, raw: RawBytes, layout: IndexLayout, bin_size: int) -> None:
    itemsize = layout.dtype.itemsize
    lengths = np.empty(CHUNK, LENGTH)
    pointers = np.empty(CHUNK, POINTER)
    ends = np.empty(CHUNK, POINTER)
    end = 0
    for first in range(0, layout.sequences, CHUNK):
        count = min(CHUNK, layout.sequences - first)
        length, pointer, stop = lengths[:count], pointers[:count], ends[:count]
        _copy(raw, layout.lengths_offset + first * LENGTH.itemsize, length)
        _copy(raw, layout.pointers_offset + first * POINTER.itemsize, pointer)
        np.multiply(length, itemsize, out=stop)
        np.add(stop, pointer, out=stop)
        if length.min() < 0 or pointer[0] != end or not np.array_equal(stop[:-1], pointer[1:]):
            raise _first_bad_sequence(path, first, length, pointer, itemsize, end, bin_size)
        end = int(stop[-1])
    if end != bin_size:
        found = f"{bin_size} bytes"
        expected = f"{end}, where the last sequence of {path} ends"
        raise IndexedDatasetError(bin_path(path.removesuffix(".idx")), "size", found, expected, REWRITE)


def _check_boundaries(path: str, raw: RawBytes, layout: IndexLayout) -> None:
    boundaries = np.empty(CHUNK, BOUNDARY)
    last = 0
    for first in range(0, layout.boundaries, CHUNK):
        boundary = boundaries[: min(CHUNK, layout.boundaries - first)]
        _copy(raw, layout.boundaries_offset + first * BOUNDARY.itemsize, boundary)
        if first == 0 and boundary[0] != 0:
            raise IndexedDatasetError(path, "document_indices[0]", str(boundary[0]), "0", REWRITE)
        if boundary[0] < last or not (boundary[1:] >= boundary[:-1]).all():
            previous = np.concatenate(([last], boundary[:-1]))
            where = int(np.argmax(boundary < previous))
            place = f"document_indices[{first + where}]"
            expected = f"at least {previous[where]}, the one before it"
            raise IndexedDatasetError(path, place, str(boundary[where]), expected, REWRITE)
        if boundary[-1] > layout.sequences:
            where = int(np.argmax(boundary > layout.sequences))
            place = f"document_indices[{first + where}]"
            expected = f"at most {layout.sequences}, the number of sequences"
            raise IndexedDatasetError(path, place, str(boundary[where]), expected, REWRITE)
        last = int(boundary[-1])
    if last != layout.sequences:
        place = f"document_indices[{layout.boundaries - 1}], the last"
        raise IndexedDatasetError(path, place, str(last), f"{layout.sequences}, the number of sequences", REWRITE)


def _copy(raw: RawBytes, offset: int, into: npt.NDArray[np.int32] | npt.NDArray[np.int64]) -> None:
    into.view(np.uint8)[:] = raw[offset : offset + into.nbytes]


def _first_bad_sequence(
    path: str,
    first: int,
    lengths: npt.NDArray[np.int32],
    pointers: npt.NDArray[np.int64],
    itemsize: int,
    end: int,
    bin_size: int,
) -> IndexedDatasetError:
    """Describe the first sequence of a chunk that is wrong; `end` is where the one before the chunk stopped."""
    for offset, (length, pointer) in enumerate(zip(lengths.tolist(), pointers.tolist(), strict=True)):
        sequence = first + offset
        if pointer != end:
            reason = "the end of the sequence before it"
            if pointer < 0:
                reason += "; pointers are never negative"
            elif pointer % itemsize:
                reason += f"; pointers are multiples of {itemsize}"
            elif pointer > bin_size:
                reason += f"; .bin has only {bin_size} bytes"
            return IndexedDatasetError(
                path, f"pointer of sequence {sequence}", str(pointer), f"{end}, {reason}", REWRITE
            )
        if length < 0:
            return IndexedDatasetError(path, f"length of sequence {sequence}", str(length), "0 or more", REWRITE)
        end += length * itemsize
    raise AssertionError("called for a chunk without a bad sequence")
