"""The rows of a sample mapping, checked against the dataset and the space that a sample has.

A row is (first sentence, one past the last, target length). The whole mapping is looked at once, chunk by chunk, so a
mapped file of any size costs no memory; a row is looked at again when it is used, since an array may change.
"""

import mmap
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.mapping.npy_file import MappedRows, map_array
from maskgen.samples.errors import SampleError

Map = npt.NDArray[Any]
CHUNK = 1 << 14  # a chunk stays in the cache between the passes over it: 20 M rows take 35 ms so, 61 ms in one piece
KEPT_TYPES = ("u4", "u8", "i4", "i8")


@dataclass(frozen=True)
class Limits:
    """What a row may hold: sentences of the dataset, and a target length with room for it."""

    dataset: str
    sequences: int
    most: int
    room: str

    def hold(self, rows: Map) -> bool:
        """Whether every one of `rows` is sound."""
        first, last, target = rows.T
        inside = int(first.min()) >= 0 and int(last.max()) <= self.sequences and not bool((first >= last).any())
        return inside and int(target.min()) >= 1 and int(target.max()) <= self.most

    def check_row(self, number: int, first: int, last: int, target: int) -> None:
        """Raise unless the row with that number is sound."""
        if 0 <= first < last <= self.sequences and 1 <= target <= self.most:
            return
        row = f"row {number} of the sample mapping is ({first}, {last}, {target})"
        if not 0 <= first < last <= self.sequences:
            raise SampleError(
                f"{self.dataset}: {row}; expected 0 <= first < last <= {self.sequences}, the sequences of this "
                "dataset; build the mapping from this dataset"
            )
        raise SampleError(
            f"{self.dataset}: {row}, a target of {target} tokens; expected 1 to {self.most}: {self.room}; raise "
            "max_seq_length, or build the mapping for this length"
        )


def check_map(sample_map: Any, limits: Limits) -> Map:
    """The mapping as an array that can be relied on: three columns of integers, every row within `limits`."""
    rows: Map = np.asanyarray(sample_map)
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise SampleError(
            f"the sample mapping has the shape {rows.shape}; expected (samples, 3): first sentence, one past the last, "
            "target length; build it with maskgen.mapping.build_mapping"
        )
    if rows.dtype.kind not in "iu":
        raise SampleError(f"the sample mapping holds {rows.dtype}; expected integers; build it with maskgen.mapping")
    if rows.dtype.str[1:] not in KEPT_TYPES or not rows.dtype.isnative:
        rows = rows.astype(np.int64)
    if not rows.flags.c_contiguous:
        rows = np.ascontiguousarray(rows)
    for begin in range(0, len(rows), CHUNK):
        chunk = rows[begin : begin + CHUNK]
        if not limits.hold(chunk):
            for number, row in enumerate(chunk.tolist(), begin):
                limits.check_row(number, *row)
    return rows


@dataclass(frozen=True)
class MapFile:
    """A mapping that is a mapped file, as it is pickled: by name, and by what the file looked like."""

    path: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    identity: tuple[int, int]

    @classmethod
    def of(cls, rows: Map) -> "MapFile | None":
        """The file behind `rows`, when they are the whole of a map of it."""
        if isinstance(rows, MappedRows) and rows.source is not None:
            source = rows.source
            return cls(source.path, rows.dtype.str, rows.shape, source.offset, source.identity)
        if isinstance(rows, np.memmap) and isinstance(rows.base, mmap.mmap) and rows.filename is not None:
            path = os.path.abspath(os.fspath(rows.filename))
            return cls(path, rows.dtype.str, rows.shape, rows.offset, _identity(path))
        return None

    def open(self) -> Map:
        """Map the file again; it must be the one that was pickled."""
        if not os.path.exists(self.path) or _identity(self.path) != self.identity:
            raise SampleError(
                f"{self.path}: a sample mapping that is gone, or another one than when these samples were pickled; "
                "expected the same file; build the mapping again and make the samples anew"
            )
        return map_array(self.path, np.dtype(self.dtype), self.offset, self.shape)


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns
