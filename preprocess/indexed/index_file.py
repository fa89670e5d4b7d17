"""Opening a dataset's files: from a prefix to checked maps of exactly the files that were looked at.

Data flow: ``open_index`` reads the header, looks at both files and keeps nothing open; ``load_index`` maps the index
and runs the whole check, once per (inode, modification time, size) in a process; ``map_tokens`` maps ``.bin``. Both
refuse a file that is no longer the one that was opened.
"""

import os
from dataclasses import dataclass

import numpy as np

from preprocess import _native
from preprocess.errors import IndexedDatasetError, os_failure
from preprocess.indexed.check import RawBytes, check_index
from preprocess.indexed.format import (
    HEADER,
    LEGACY_MAGIC,
    LENGTH,
    POINTER,
    REWRITE,
    IndexLayout,
    bin_path,
    idx_path,
    parse_index_header,
    stat_regular_file,
)
from preprocess.indexed.legacy import LEGACY_HEADER, legacy_bin_size, modernised, parse_legacy_header

Identity = tuple[int, int, int, int]  # device, inode, modification time in ns, size: as FileMap.identity

_checked: set[tuple[Identity, Identity]] = set()


@dataclass(frozen=True)
class IndexFile:
    """An index whose header and sizes are in order; small, immutable and picklable."""

    prefix: str
    layout: IndexLayout
    identity: Identity
    bin_identity: Identity
    legacy: bool

    @property
    def path(self) -> str:
        """The index itself."""
        return idx_path(self.prefix)

    @property
    def bin_size(self) -> int:
        """The size of ``.bin``."""
        return self.bin_identity[3]

    @property
    def tokens(self) -> int:
        """How many tokens there are."""
        return self.bin_size // self.layout.dtype.itemsize

    @property
    def is_checked(self) -> bool:
        """Whether this process has already run the whole check on exactly these files."""
        return (self.identity, self.bin_identity) in _checked

    def mark_checked(self) -> None:
        """Remember that the whole check has passed, here or in the process that pickled this dataset."""
        _checked.add((self.identity, self.bin_identity))


def open_index(prefix: str) -> IndexFile:
    """Check the header and both file sizes of the dataset at `prefix`."""
    path = idx_path(prefix)
    stat_regular_file(path)
    try:
        with open(path, "rb") as file:
            identity = _identity(os.fstat(file.fileno()))
            header = file.read(max(HEADER.size, LEGACY_HEADER.size))
            legacy = header.startswith(LEGACY_MAGIC)
            if legacy:
                layout = parse_legacy_header(path, header, identity[3])
                expected = legacy_bin_size(file, layout)
            else:
                layout = parse_index_header(path, header[: HEADER.size], identity[3])
                expected = _last_end(file.fileno(), layout)
    except OSError as error:
        raise os_failure(path, "open it", error, "check the disk and the network") from None
    bin_identity = _identity(stat_regular_file(bin_path(prefix)))
    # A writer takes the old index away before it touches .bin: so an index that is still there vouches for the .bin
    # that was just looked at.
    if _identity(stat_regular_file(path)) != identity:
        found, remedy = "another file than a moment ago", "another process has just replaced the dataset: open it again"
        raise IndexedDatasetError(path, "file", found, "an unchanged file", remedy)
    if bin_identity[3] != expected:
        found, place = f"{bin_identity[3]} bytes", f"{expected}, where the last sequence of {path} ends"
        raise IndexedDatasetError(bin_path(prefix), "size", found, place, REWRITE)
    return IndexFile(prefix, layout, identity, bin_identity, legacy)


def load_index(index: IndexFile) -> RawBytes:
    """All bytes of the index, in the current layout, after the whole check; the map lives as long as the array."""
    raw = np.frombuffer(memoryview(_map_unchanged(index.path, index.identity)), np.uint8)
    if index.legacy:
        raw = modernised(index.path, raw, index.layout)
    if not index.is_checked:
        check_index(index.path, raw, index.layout, index.bin_size)
        index.mark_checked()
    return raw


def map_tokens(index: IndexFile) -> _native.FileMap:
    """Map ``.bin``; only for a dataset that has tokens, since nothing cannot be mapped."""
    return _map_unchanged(bin_path(index.prefix), index.bin_identity)


def _map_unchanged(path: str, identity: Identity) -> _native.FileMap:
    try:
        file_map = _native.FileMap(os.fsencode(path))
    except OSError as error:
        raise os_failure(path, "map it", error, "open the dataset anew") from None
    if file_map.identity[3] != identity[3]:
        found, expected = f"{file_map.identity[3]} bytes", f"{identity[3]}, as when the dataset was opened"
        raise IndexedDatasetError(path, "size", found, expected, "open the dataset anew, or make it again")
    if file_map.identity != identity:
        found = "another file or other content than when the dataset was opened"
        raise IndexedDatasetError(path, "file", found, "an unchanged file", "open the dataset anew")
    return file_map


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _last_end(descriptor: int, layout: IndexLayout) -> int:
    if layout.sequences == 0:
        return 0
    length_at = layout.pointers_offset - LENGTH.itemsize
    pointer_at = layout.boundaries_offset - POINTER.itemsize
    length = int.from_bytes(os.pread(descriptor, LENGTH.itemsize, length_at), "little", signed=True)
    pointer = int.from_bytes(os.pread(descriptor, POINTER.itemsize, pointer_at), "little", signed=True)
    return pointer + length * layout.dtype.itemsize
