"""Reading the legacy layout (magic ``TNTIDX``), which old fairseq-style tools wrote and which still lies on disks.

Its index holds, after the magic, seven uint64 (version, dtype code, element size, items, sizes, document indices) and
then int64 arrays: dim_offsets[items+1], data_offsets[items+1] (in elements), sizes, document_indices. Only items of one
dimension, sequences, can be served; the arrays are brought into the form of the current layout, so that
everything after this module knows one layout only.
"""

import struct
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from preprocess.errors import IndexedDatasetError
from preprocess.indexed.format import DTYPE_OF_CODE, EXPECTED_CODES, LENGTH, REWRITE, IndexLayout

LEGACY_HEADER = struct.Struct("<8s6Q")


def parse_legacy_header(path: str, header: bytes, file_size: int) -> IndexLayout:
    """The layout that the current format would have for this legacy index; refuses sizes that do not fit."""
    if len(header) < LEGACY_HEADER.size:
        raise IndexedDatasetError(path, "legacy header", f"{len(header)} bytes", f"{LEGACY_HEADER.size}", REWRITE)
    _, version, code, itemsize, items, sizes, boundaries = LEGACY_HEADER.unpack(header[: LEGACY_HEADER.size])
    if version != 1:
        raise IndexedDatasetError(path, "legacy header, byte 8", f"version {version}", "version 1", REWRITE)
    if code not in DTYPE_OF_CODE:
        raise IndexedDatasetError(path, "legacy header, byte 16", f"dtype code {code}", EXPECTED_CODES, REWRITE)
    dtype = DTYPE_OF_CODE[code]
    if itemsize != dtype.itemsize:
        found, expected = f"elements of {itemsize} bytes", f"{dtype.itemsize}, the size of {dtype}"
        raise IndexedDatasetError(path, "legacy header, byte 24", found, expected, REWRITE)
    if boundaries < 1:
        raise IndexedDatasetError(path, "legacy header, byte 48", "0 document indices", "at least 1", REWRITE)
    size = LEGACY_HEADER.size + 8 * (2 * (items + 1) + sizes + boundaries)
    if file_size != size:
        expected = f"{size} for {items} items, {sizes} sizes and {boundaries} document indices"
        raise IndexedDatasetError(path, "size", f"{file_size} bytes", expected, REWRITE)
    if sizes != items:
        found, expected = f"{sizes} sizes for {items} items", "one size an item (sequences of tokens)"
        raise IndexedDatasetError(
            path, "legacy header, byte 40", found, expected, "only one-dimensional items can be read"
        )
    return IndexLayout(dtype, items, boundaries, has_modes=False)


def read_legacy_index(path: str, layout: IndexLayout) -> npt.NDArray[np.uint8]:
    """The legacy index at `path` as the bytes of a current one, held in memory (12 bytes a sequence)."""
    with open(path, "rb") as file:
        file.seek(LEGACY_HEADER.size)
        values = np.frombuffer(file.read(), np.int64)
    items = layout.sequences
    dim_offsets, data_offsets = values[: items + 1], values[items + 1 : 2 * items + 2]
    sizes, boundaries = values[2 * items + 2 : 3 * items + 2], values[3 * items + 2 :]
    if not np.array_equal(dim_offsets, np.arange(items + 1)):
        where = int(np.argmax(dim_offsets != np.arange(items + 1)))
        found, expected = str(dim_offsets[where]), f"{where} (one dimension an item)"
        remedy = "only one-dimensional items can be read"
        raise IndexedDatasetError(path, f"dim_offsets[{where}]", found, expected, remedy)
    lengths = sizes.astype(LENGTH)
    if not np.array_equal(lengths, sizes):
        where = int(np.argmax(lengths != sizes))
        found, expected = str(sizes[where]), "a length that fits 32 bits"
        raise IndexedDatasetError(path, f"sizes[{where}]", found, expected, REWRITE)
    pointers = data_offsets[:items] * layout.dtype.itemsize
    parts = (layout.header(), lengths.tobytes(), pointers.tobytes(), boundaries.tobytes())
    return np.frombuffer(b"".join(parts), np.uint8)


def legacy_bin_size(file: BinaryIO, layout: IndexLayout) -> int:
    """The size that ``.bin`` must have: where the last item ends."""
    file.seek(LEGACY_HEADER.size + 8 * (2 * layout.sequences + 1))
    return int.from_bytes(file.read(8), "little", signed=True) * layout.dtype.itemsize
