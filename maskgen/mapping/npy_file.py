"""Rows in a ``.npy`` file that is believed only after a look at every byte of its header.

Nothing in such a file is ever unpickled: the header is read as a literal of a few hundred characters, it must say
exactly what is expected, and the size of the file must be what it says. Then the rows are mapped, not read, by a map
that holds no file open and that a file cut by somebody else turns into an error, not into the end of the process.
"""

import ast
import math
import os
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from maskgen.mapping.arguments import MappingError
from preprocess._native import FileMap
from preprocess.errors import os_failure
from preprocess.indexed.format import stat_regular_file

MAGIC = b"\x93NUMPY\x01\x00"
LONGEST_HEADER = 1024  # numpy writes 118 for these arrays


def header_of(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """What numpy writes before an array of that shape and type."""
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {shape!r}, }}"
    text += " " * (-(len(MAGIC) + 2 + len(text) + 1) % 64) + "\n"
    return MAGIC + len(text).to_bytes(2, "little") + text.encode("ascii")


class MappedRows(np.ndarray[Any, np.dtype[Any]]):
    """The rows in a mapped file. `source` says which one, for those who pickle them; parts of the rows have none."""

    source: "Source | None" = None


@dataclass(frozen=True)
class Source:
    """Where mapped rows are: the file, the place in it, and what the file looked like when it was mapped."""

    path: str
    offset: int
    identity: tuple[int, int]  # size, modification time in ns: the same on every machine that sees the file


def map_array(path: str, dtype: np.dtype[Any], offset: int, shape: tuple[int, ...]) -> MappedRows:
    """An array of that type and shape, which stands at `offset` of the file, as a read-only map."""
    try:
        file_map = FileMap(os.fsencode(path))
    except OSError as error:
        raise os_failure(path, "map it", error, "check the disk and the network") from None
    _, _, modified, size = file_map.identity
    end = offset + math.prod(shape) * dtype.itemsize
    if size < end:  # cut since its header was read
        _refuse(path, "size", f"{size} bytes", f"{end} or more")
    rows: MappedRows = (
        np.frombuffer(memoryview(file_map), np.uint8)[offset:end].view(dtype).reshape(shape).view(MappedRows)
    )
    rows.source = Source(os.path.abspath(path), offset, (size, modified))
    return rows


def map_rows(path: str, columns: int, dtypes: tuple[np.dtype[Any], ...]) -> npt.NDArray[Any]:
    """The rows of the file at `path`, as a read-only map of it."""
    size = stat_regular_file(path).st_size
    try:
        with open(path, "rb") as file:
            start = file.read(len(MAGIC) + 2)
            if not start.startswith(MAGIC) or len(start) < len(MAGIC) + 2:
                _refuse(path, "first bytes", repr(start[:8]), f"{MAGIC!r}, a .npy file of version 1.0")
            length = int.from_bytes(start[len(MAGIC) :], "little")
            if length > LONGEST_HEADER:
                _refuse(path, "header", f"{length} bytes", f"at most {LONGEST_HEADER}")
            header = file.read(length)
    except OSError as error:
        raise os_failure(path, "read it", error, "check the disk and the network") from None
    dtype, rows = _parse(path, header, columns, dtypes)
    offset = len(start) + length
    expected = offset + rows * columns * dtype.itemsize
    if size != expected:
        _refuse(path, "size", f"{size} bytes", f"{expected}, as its shape ({rows}, {columns}) says")
    if rows == 0:  # nothing to map
        empty = np.empty((0, columns), dtype)
        empty.flags.writeable = False
        return empty
    return map_array(path, dtype, offset, (rows, columns))


def _parse(path: str, header: bytes, columns: int, dtypes: tuple[np.dtype[Any], ...]) -> tuple[np.dtype[Any], int]:
    try:
        facts = ast.literal_eval(header.decode("ascii").strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        facts = None
    if not isinstance(facts, dict) or sorted(map(str, facts)) != ["descr", "fortran_order", "shape"]:
        _refuse(path, "header", repr(header[:60]), "descr, fortran_order and shape")
    by_name = {dtype.str: dtype for dtype in dtypes}
    descr, shape = facts["descr"], facts["shape"]
    if not isinstance(descr, str) or descr not in by_name:
        _refuse(path, "dtype", repr(descr)[:60], " or ".join(by_name))
    if facts["fortran_order"] is not False:
        _refuse(path, "order", f"fortran_order {facts['fortran_order']!r}"[:60], "C order")
    is_shape = isinstance(shape, tuple) and len(shape) == 2 and all(type(extent) is int for extent in shape)
    if not is_shape or shape[1] != columns or shape[0] < 0:
        _refuse(path, "shape", repr(shape)[:60], f"(rows, {columns})")
    return by_name[descr], shape[0]


def _refuse(path: str, place: str, found: str, expected: str) -> NoReturn:
    raise CacheFileError(path, place, found, expected)


class CacheFileError(MappingError):
    """A file in a cache that is not what was written there."""

    def __init__(self, path: str, place: str, found: str, expected: str) -> None:
        super().__init__(path, place, found, expected)
        self.path, self.place, self.found, self.expected = path, place, found, expected

    def __str__(self) -> str:
        return (
            f"{os.fspath(self.path)}: {self.place}: found {self.found}, expected {self.expected}; "
            f"nothing of it was used: remove the file and run again, and it is built anew"
        )
