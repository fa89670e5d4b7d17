"""The legacy layout: read like the current one, and just as suspicious."""

import struct
from pathlib import Path

import numpy as np
import pytest
from helpers import Index, assert_explains, read_all, write_files

from preprocess import IndexedDataset, IndexedDatasetError, merge_datasets, verify_dataset

LENGTHS = [3, 1, 2, 4]
DOCUMENTS = [0, 2, 3, 4]
TOKENS = np.arange(10, dtype=np.uint16).tobytes()


def legacy(lengths, documents, *, code=8, itemsize=2, version=1, items=None, sizes=None, dims=None, extra=b""):
    items = len(lengths) if items is None else items
    sizes = lengths if sizes is None else sizes
    dims = list(range(len(lengths) + 1)) if dims is None else dims
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    header = b"TNTIDX\x00\x00" + struct.pack("<6Q", version, code, itemsize, items, len(sizes), len(documents))
    arrays = [np.array(values, np.int64) for values in (dims, offsets, sizes, documents)]
    return header + b"".join(array.tobytes() for array in arrays) + extra


def test_legacy_files_are_read(tmp_path):
    prefix = write_files(tmp_path / "old", legacy(LENGTHS, DOCUMENTS), TOKENS)
    twin = write_files(tmp_path / "new", Index(LENGTHS, DOCUMENTS).pack(), TOKENS)
    dataset = IndexedDataset(prefix)
    assert read_all(prefix) == read_all(twin)
    assert dataset.document_indices.tolist() == DOCUMENTS
    assert verify_dataset(prefix, full=True).ok
    merge_datasets([prefix], tmp_path / "merged")
    assert (tmp_path / "merged.idx").read_bytes() == Path(f"{twin}.idx").read_bytes()
    empty = write_files(tmp_path / "empty", legacy([], [0]), b"")
    assert read_all(empty) == []


LEGACY_CASES = {
    "version": legacy(LENGTHS, DOCUMENTS, version=3),
    "float": legacy(LENGTHS, DOCUMENTS, code=6),
    "itemsize": legacy(LENGTHS, DOCUMENTS, itemsize=4),
    "cut": legacy(LENGTHS, DOCUMENTS)[:-1],
    "cut header": legacy(LENGTHS, DOCUMENTS)[:30],
    "junk": legacy(LENGTHS, DOCUMENTS, extra=b"x"),
    "count 2^60": legacy(LENGTHS, DOCUMENTS, items=2**60),
    "no documents": legacy(LENGTHS, []),
    "two dimensions": legacy(LENGTHS, DOCUMENTS, dims=[0, 2, 2, 3, 4]),
    "more sizes than items": legacy(LENGTHS, DOCUMENTS, sizes=[*LENGTHS, 1]),
    "size beyond 32 bits": legacy(LENGTHS, DOCUMENTS, sizes=[3, 1, 2**40, 4]),
    "size that disagrees": legacy(LENGTHS, DOCUMENTS, sizes=[3, 2, 2, 4]),
    "bad documents": legacy(LENGTHS, [0, 9, 3, 4]),
}


@pytest.mark.parametrize("case", LEGACY_CASES)
def test_bad_legacy_files_are_refused(tmp_path, case):
    prefix = write_files(tmp_path / "old", LEGACY_CASES[case], TOKENS)
    with pytest.raises(IndexedDatasetError) as caught:
        read_all(prefix)
    assert_explains(caught.value, "old")
