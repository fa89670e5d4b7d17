"""The bytes of the format, against an independent statement of them and against golden files."""

import numpy as np
import pytest
from helpers import GOLDEN, Index, contents, read_all, write_dataset, write_files

from preprocess import IndexedDataset, IndexedDatasetWriter, token_dtype
from preprocess.indexed.format import IndexLayout, dataset_prefix, parse_index_header


@pytest.mark.parametrize("name", ["indexed_plain", "indexed_eod"])
def test_golden_files_come_back_byte_for_byte(tmp_path, name):
    golden = IndexedDataset(GOLDEN / name)
    with IndexedDatasetWriter(tmp_path / "copy", golden.dtype) as writer:
        for first, last in zip(golden.document_indices[:-1], golden.document_indices[1:], strict=True):
            writer.add_document(np.concatenate(golden[first:last]), golden.sequence_lengths[first:last])
    assert contents(tmp_path / "copy") == contents(GOLDEN / name)


@pytest.mark.parametrize("name", ["indexed_plain", "indexed_eod"])
def test_golden_files_come_back_byte_for_byte_in_one_call(tmp_path, name):
    golden = IndexedDataset(GOLDEN / name)
    with IndexedDatasetWriter(tmp_path / "copy", golden.dtype) as writer:
        writer.add_documents(np.concatenate(golden[:]), golden.sequence_lengths, np.diff(golden.document_indices))
    assert contents(tmp_path / "copy") == contents(GOLDEN / name)


@pytest.mark.parametrize("name", ["indexed_plain", "indexed_eod"])
def test_golden_arrays(name):
    golden = IndexedDataset(GOLDEN / name)
    raw = np.fromfile(GOLDEN / f"{name}.bin", np.uint16)
    index = (GOLDEN / f"{name}.idx").read_bytes()
    count = len(golden)
    assert count == 153
    assert golden.dtype == np.uint16
    assert golden.sequence_lengths.tolist() == np.frombuffer(index, np.int32, count, 34).tolist()
    assert golden.sequence_pointers.tolist() == np.frombuffer(index, np.int64, count, 34 + 4 * count).tolist()
    assert golden.document_indices.tolist() == np.frombuffer(index, np.int64, -1, 34 + 12 * count).tolist()
    assert np.array_equal(np.concatenate(list(golden)), raw)
    assert golden[0][:4].tolist() == [101, 1017, 1012, 2019]


def test_writer_agrees_with_the_statement_of_the_format(tmp_path):
    documents = [[[1, 2, 3], [4]], [], [[5, 6], [], [7]]]
    write_dataset(tmp_path / "a", documents, "int32", modes=[[0, 1], [], [1, 0, 1]])
    expected = Index([3, 1, 2, 0, 1], [0, 2, 2, 5], "int32", modes=[0, 1, 1, 0, 1]).pack()
    assert contents(tmp_path / "a") == (np.arange(1, 8, dtype=np.int32).tobytes(), expected)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "uint16"])
def test_every_dtype_is_read_and_written(tmp_path, dtype):
    top = int(np.iinfo(dtype).max)
    tokens = np.array([0, top, 5], dtype)
    prefix = write_files(tmp_path / "a", Index([2, 1], [0, 2], dtype).pack(), tokens.tobytes())
    assert read_all(prefix) == [[0, top], [5]]
    assert IndexedDataset(prefix)[0].dtype == np.dtype(dtype)
    write_dataset(tmp_path / "b", [[[0, top], [5]]], dtype)
    assert contents(tmp_path / "b") == contents(prefix)


def test_layout_offsets():
    layout = IndexLayout(np.dtype(np.uint16), sequences=5, boundaries=3, has_modes=True)
    offsets = (layout.lengths_offset, layout.pointers_offset, layout.boundaries_offset, layout.modes_offset)
    assert offsets == (34, 54, 94, 118)
    assert layout.size == 123
    assert layout.documents == 2
    assert parse_index_header("x.idx", layout.header(), layout.size) == layout


def test_dtype_for_a_vocabulary():
    assert token_dtype(65_499) == np.uint16
    assert token_dtype(65_500) == np.int32


def test_prefix_may_be_given_as_one_of_the_files(tmp_path):
    prefix = write_dataset(tmp_path / "a", [[[1]]])
    assert dataset_prefix(f"{prefix}.bin") == dataset_prefix(f"{prefix}.idx") == dataset_prefix(prefix) == prefix
    odd = write_dataset(tmp_path / "b.idx", [[[2]]])
    assert read_all(odd) == [[2]]
