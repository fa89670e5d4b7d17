"""The bytes of an indexed dataset: the only module that knows them.

A dataset is ``PREFIX.bin`` (the tokens, nothing else) and ``PREFIX.idx``, both little-endian::

    offset   type            meaning
    0        9 bytes         MAGIC
    9        uint64          version, 1
    17       uint8           dtype code
    18       uint64          S, sequences
    26       uint64          D, entries of document_indices (documents + 1)
    34       int32[S]        sequence lengths in tokens
    ...      int64[S]        sequence pointers in bytes from the start of .bin, cumulative from 0
    ...      int64[D]        document indices: the sequence at which each document ends; first 0, last S
    ...      int8[S]         optional modes; nothing announces them but the size of the file

Data flow: ``parse_index_header`` turns a header and a file size into an ``IndexLayout``; readers map the sections it
names, writers emit ``layout.header()`` and then the sections in order.
"""

import os
import stat
import struct
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from preprocess.errors import IndexedDatasetError, os_failure
from preprocess.stores import is_url

if sys.byteorder != "little":
    raise ImportError("indexed datasets are little-endian files and are mapped as they are; this machine is big-endian")

MAGIC = b"MMIDIDX\x00\x00"
LEGACY_MAGIC = b"TNTIDX\x00\x00"
VERSION = 1
HEADER = struct.Struct("<9sQBQQ")

TokenDType = np.dtype[Any]

DTYPE_OF_CODE: dict[int, TokenDType] = {
    1: np.dtype(np.uint8),
    2: np.dtype(np.int8),
    3: np.dtype(np.int16),
    4: np.dtype(np.int32),
    5: np.dtype(np.int64),
    8: np.dtype(np.uint16),
}
CODE_OF_DTYPE = {dtype: code for code, dtype in DTYPE_OF_CODE.items()}
FLOAT_CODES = (6, 7)  # float32 and float64, in an order on which the programs that write them disagree

LENGTH = np.dtype(np.int32)
POINTER = np.dtype(np.int64)
BOUNDARY = np.dtype(np.int64)
MODE = np.dtype(np.int8)

UINT16_VOCABULARY_LIMIT = 65_500  # where Megatron-LM's writer changes to int32; readers trust the header instead

REWRITE = "make the dataset again, or restore both files from the same copy"
EXPECTED_CODES = f"one of {', '.join(f'{code} ({dtype})' for code, dtype in DTYPE_OF_CODE.items())}"


def token_dtype(vocabulary_size: int) -> TokenDType:
    """The dtype that Megatron-LM's writer takes for a vocabulary: uint16 below 65,500 entries, else int32."""
    return np.dtype(np.uint16 if vocabulary_size < UINT16_VOCABULARY_LIMIT else np.int32)


def bin_path(prefix: str) -> str:
    """The file of tokens."""
    return f"{prefix}.bin"


def idx_path(prefix: str) -> str:
    """The index: a dataset exists when, and only when, this file does."""
    return f"{prefix}.idx"


def sidecar_path(prefix: str) -> str:
    """The optional description with counts and digests."""
    return f"{prefix}.json"


def plain_prefix(path: str | bytes | os.PathLike[str]) -> str:
    """`path` as a string that the operating system can take."""
    prefix = os.fsdecode(path)
    if "\0" in prefix or not os.path.basename(prefix):
        found = f"{prefix!r}"
        raise IndexedDatasetError(found, "prefix", found, "a name without NUL, not empty", "check the prefix")
    return prefix


def dataset_prefix(path: str | bytes | os.PathLike[str]) -> str:
    """The prefix that `path` means: itself, or without its ``.bin`` or ``.idx`` when it names one of the two files.

    Of a URL it is that of a local copy.
    """
    prefix = plain_prefix(path)
    if is_url(prefix):
        from preprocess.indexed.local_copy import local_copy

        return local_copy(prefix.removesuffix(".idx").removesuffix(".bin"))
    stem, extension = os.path.splitext(prefix)
    if extension in (".bin", ".idx") and not os.path.lexists(idx_path(prefix)) and os.path.lexists(idx_path(stem)):
        return stem
    return prefix


@dataclass(frozen=True)
class IndexLayout:
    """What a header says, and where in the file each section therefore lies."""

    dtype: TokenDType
    sequences: int
    boundaries: int  # entries of document_indices: documents + 1
    has_modes: bool

    @property
    def lengths_offset(self) -> int:
        """Where the int32 sequence lengths start."""
        return HEADER.size

    @property
    def pointers_offset(self) -> int:
        """Where the int64 sequence pointers start."""
        return self.lengths_offset + self.sequences * LENGTH.itemsize

    @property
    def boundaries_offset(self) -> int:
        """Where the int64 document indices start."""
        return self.pointers_offset + self.sequences * POINTER.itemsize

    @property
    def modes_offset(self) -> int:
        """Where the int8 modes start, when there are any."""
        return self.boundaries_offset + self.boundaries * BOUNDARY.itemsize

    @property
    def size(self) -> int:
        """The size of the whole index file."""
        return self.modes_offset + (self.sequences * MODE.itemsize if self.has_modes else 0)

    @property
    def documents(self) -> int:
        """How many documents there are, empty ones included."""
        return self.boundaries - 1

    def header(self) -> bytes:
        """The first 34 bytes of the file."""
        return HEADER.pack(MAGIC, VERSION, CODE_OF_DTYPE[self.dtype], self.sequences, self.boundaries)


def parse_index_header(path: str, header: bytes, file_size: int) -> IndexLayout:
    """The layout of the index at `path` from its first bytes and its size; refuses all that does not fit together."""

    def error(place: str, found: object, expected: object, remedy: str = REWRITE) -> IndexedDatasetError:
        return IndexedDatasetError(path, place, str(found), str(expected), remedy)

    if header[: len(LEGACY_MAGIC)] == LEGACY_MAGIC:
        raise error(
            "header, byte 0",
            "the magic of the legacy layout (TNTIDX)",
            "MMIDIDX",
            "open it as a legacy index",
        )
    if header and not MAGIC.startswith(header[: len(MAGIC)]):
        raise error("header, byte 0", repr(header[: len(MAGIC)]), repr(MAGIC), "this is not the index of a dataset")
    if len(header) < HEADER.size:
        raise error("header", f"a file of {file_size} bytes", f"at least {HEADER.size} bytes")
    _, version, code, sequences, boundaries = HEADER.unpack(header)
    if version != VERSION:
        raise error("header, byte 9", f"version {version}", f"version {VERSION}, the only one there is")
    if code in FLOAT_CODES:
        remedy = "token datasets hold integers; convert it with the program that wrote it"
        raise error("header, byte 17", f"dtype code {code} (a floating-point type)", EXPECTED_CODES, remedy)
    if code not in DTYPE_OF_CODE:
        raise error("header, byte 17", f"dtype code {code}", EXPECTED_CODES)
    if boundaries < 1:
        raise error("header, byte 26", "0 document indices", "at least 1, since they start with a 0")
    layout = IndexLayout(DTYPE_OF_CODE[code], sequences, boundaries, has_modes=False)
    if file_size == layout.size:
        return layout
    with_modes = IndexLayout(layout.dtype, sequences, boundaries, has_modes=True)
    if file_size == with_modes.size:
        return with_modes
    raise error(
        "size",
        f"{file_size} bytes",
        f"{layout.size} (or {with_modes.size} with modes) for {sequences} sequences and {boundaries} document indices",
    )


def stat_regular_file(path: str) -> os.stat_result:
    """``os.stat`` of a file that can be mapped; anything else (a FIFO would block, a loop has no end) is refused."""
    try:
        status = os.stat(path)
    except OSError as error:
        remedy = "check the path; a dataset is named by its prefix, without .bin or .idx"
        if os.path.islink(path):
            remedy = f"mend the symbolic link, which points to {os.readlink(path)!r}"
        elif os.path.lexists(f"{os.path.splitext(path)[0]}.writing"):
            remedy = "the program that was writing it has not finished: wait for it, or run it again"
        raise os_failure(path, "open it", error, remedy) from None
    if not stat.S_ISREG(status.st_mode):
        kind = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}.get(
            stat.S_IFMT(status.st_mode), "a device"
        )
        raise IndexedDatasetError(
            path, "file", kind, "a regular file", "datasets are mapped into memory: copy it to a file"
        )
    return status
