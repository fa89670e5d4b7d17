"""Opening an index: from a prefix to a checked view of its sections.

Data flow: ``open_index`` reads the header, looks at both file sizes and keeps nothing open; ``load_index`` maps the
file and runs the whole check, once per (inode, modification time, size) in a process.
"""

import os
from dataclasses import dataclass

import numpy as np

from preprocess import _native
from preprocess.errors import IndexedDatasetError
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
from preprocess.indexed.legacy import LEGACY_HEADER, legacy_bin_size, parse_legacy_header, read_legacy_index

Identity = tuple[int, int, int, int]  # device, inode, modification time in ns, size: as FileMap.identity

_checked: set[tuple[Identity, int]] = set()


@dataclass(frozen=True)
class IndexFile:
    """An index whose header and sizes are in order; small, immutable and picklable."""

    path: str
    layout: IndexLayout
    identity: Identity
    bin_size: int
    legacy: bool

    @property
    def is_checked(self) -> bool:
        """Whether this process has already run the whole check on exactly this file."""
        return (self.identity, self.bin_size) in _checked

    def mark_checked(self) -> None:
        """Take over the word of the process that pickled this dataset, which had checked it."""
        _checked.add((self.identity, self.bin_size))


def open_index(prefix: str) -> IndexFile:
    """Check the header and both file sizes of the dataset at `prefix`."""
    path = idx_path(prefix)
    stat_regular_file(path)
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            header = file.read(max(HEADER.size, LEGACY_HEADER.size))
            legacy = header.startswith(LEGACY_MAGIC)
            if legacy:
                layout = parse_legacy_header(path, header, status.st_size)
                expected = legacy_bin_size(file, layout)
            else:
                layout = parse_index_header(path, header[: HEADER.size], status.st_size)
                expected = _last_end(file.fileno(), layout)
    except OSError as error:
        reason = error.strerror or str(error)
        raise IndexedDatasetError(path, "file", reason, "a readable file", "check its permissions and disk") from None
    bin_size = stat_regular_file(bin_path(prefix)).st_size
    if bin_size != expected:
        found, place = f"{bin_size} bytes", f"{expected}, where the last sequence of {path} ends"
        raise IndexedDatasetError(bin_path(prefix), "size", found, place, REWRITE)
    identity = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
    return IndexFile(path, layout, identity, bin_size, legacy)


def load_index(index: IndexFile) -> RawBytes:
    """All bytes of the index, in the current layout, after the whole check; the map lives as long as the array."""
    if index.legacy:
        raw = read_legacy_index(index.path, index.layout)
    else:
        raw = np.frombuffer(memoryview(map_unchanged(index.path, index.identity)), np.uint8)
    if not index.is_checked:
        check_index(index.path, raw, index.layout, index.bin_size)
        index.mark_checked()
    return raw


def map_unchanged(path: str, identity: Identity | None = None, size: int | None = None) -> _native.FileMap:
    """Map a file that must still be the one that was looked at when the dataset was opened."""
    try:
        file_map = _native.FileMap(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise IndexedDatasetError(path, "file", reason, "the file that was there before", REWRITE) from None
    if identity is not None and file_map.identity != identity:
        found = "another file or other content than when the dataset was opened"
        raise IndexedDatasetError(path, "file", found, "an unchanged file", "open the dataset anew")
    if size is not None and file_map.identity[3] != size:
        found = f"{file_map.identity[3]} bytes"
        raise IndexedDatasetError(path, "size", found, f"{size}, as when the dataset was opened", REWRITE)
    return file_map


def _last_end(descriptor: int, layout: IndexLayout) -> int:
    if layout.sequences == 0:
        return 0
    length_at = layout.pointers_offset - LENGTH.itemsize
    pointer_at = layout.boundaries_offset - POINTER.itemsize
    length = int.from_bytes(os.pread(descriptor, LENGTH.itemsize, length_at), "little", signed=True)
    pointer = int.from_bytes(os.pread(descriptor, POINTER.itemsize, pointer_at), "little", signed=True)
    return pointer + length * layout.dtype.itemsize
