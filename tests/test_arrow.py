"""Indexed datasets to and from Arrow and Hugging Face datasets: nothing is lost, and bad rows are named."""

import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import assert_explains, contents, leftovers, read_all, write_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess import IndexedDataset, IndexedDatasetError, MaskgenError
from preprocess.indexed import arrow
from preprocess.indexed.arrow import from_arrow, to_arrow, to_hf_dataset, write_from_dataset

pyarrow = pytest.importorskip("pyarrow")
datasets = pytest.importorskip("datasets")

DTYPES = ("uint8", "int8", "int16", "int32", "int64", "uint16")
DOCUMENTS = [[[1, 2, 3], [4]], [], [[]], [[], [5, 6], []], [[7]], []]


@pytest.fixture(autouse=True)
def caches_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("documents", [DOCUMENTS, [], [[]], [[[]]]], ids=["many", "none", "empty", "an empty sentence"])
def test_every_way_there_and_back_gives_the_same_bytes(tmp_path, dtype, documents):
    dataset = IndexedDataset(write_dataset(tmp_path / "one", documents, dtype))
    expected = contents(tmp_path / "one")
    from_arrow(to_arrow(dataset), tmp_path / "stream")
    from_arrow(to_arrow(dataset).read_all(), tmp_path / "table")
    loaded = to_hf_dataset(dataset, tmp_path / "one.arrow")
    assert len(loaded) == len(documents)
    write_from_dataset(loaded, tmp_path / "hf")
    if documents:  # datasets saves one without rows, and then cannot load it
        loaded.save_to_disk(str(tmp_path / "saved"))
        loaded = datasets.load_from_disk(str(tmp_path / "saved"))
    write_from_dataset(loaded, tmp_path / "disk")
    for name in ("stream", "table", "hf", "disk"):
        assert contents(tmp_path / name) == expected, name
        assert IndexedDataset(tmp_path / name).dtype == np.dtype(dtype)
    assert leftovers(tmp_path) == []


@settings(max_examples=25)
@given(
    documents=st.lists(st.lists(st.lists(st.integers(0, 255), max_size=5), max_size=4), max_size=12),
    tokens=st.integers(1, 8),
    window=st.integers(1, 5),
    with_modes=st.booleans(),
    dtype=st.sampled_from(["uint8", "uint16", "int32"]),
)
def test_any_batches_of_any_documents(tmp_path_factory, documents, tokens, window, with_modes, dtype):
    folder = tmp_path_factory.mktemp("any")
    modes = [[number % 3 for number in range(len(document))] for document in documents] if with_modes else None
    dataset = IndexedDataset(write_dataset(folder / "one", documents, dtype, modes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrow, "BATCH_TOKENS", tokens)
        patch.setattr(arrow, "WINDOW", window)
        batches = list(to_arrow(dataset))
    for batch in batches:
        assert batch.num_rows == 1 or (
            batch.num_rows <= window
            and len(batch.column("input_ids").flatten()) <= tokens
            and len(batch.column("sequence_lengths").flatten()) <= tokens
        )
    table = pyarrow.Table.from_batches(batches, to_arrow(dataset).schema)
    assert table.column("input_ids").to_pylist() == [
        [token for sequence in document for token in sequence] for document in documents
    ]
    assert table.column("sequence_lengths").to_pylist() == [[len(each) for each in document] for document in documents]
    for name, source in (("whole", table), ("parts", iter(batches))):
        if name == "whole" or batches:
            from_arrow(source, folder / name)
            assert contents(folder / name) == contents(folder / "one")


def test_ids_are_views_into_the_map(tmp_path):
    dataset = IndexedDataset(write_dataset(tmp_path / "one", DOCUMENTS))
    (batch,) = to_arrow(dataset)
    assert batch.column("input_ids").flatten().buffers()[1].address == dataset.tokens.ctypes.data


@pytest.mark.slow
def test_memory_does_not_grow_with_the_dataset(tmp_path):
    """Sixteen million tokens there and back, with room for a fraction of them."""
    code = """
import resource, sys
import numpy as np, pyarrow, pyarrow.compute, datasets
from preprocess import IndexedDataset, IndexedDatasetWriter
from preprocess.indexed.arrow import from_arrow, to_arrow, to_hf_dataset, write_from_dataset

with IndexedDatasetWriter("one", "int64") as writer:
    for _ in range(160):
        writer.add_documents(np.arange(100_000), np.full(1000, 100), np.full(100, 10))
def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) // 1024
before = anonymous()
from_arrow(to_arrow(IndexedDataset("one")), "two")
write_from_dataset(to_hf_dataset(IndexedDataset("one"), "one.arrow"), "three")
print(anonymous() - before, pyarrow.default_memory_pool().max_memory() >> 20)
"""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("no /proc")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    grown, most = map(int, done.stdout.split())
    assert (tmp_path / "one.bin").stat().st_size == 128_000_000
    assert grown < 60  # megabytes
    assert most < 60
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == contents(tmp_path / "three")


def test_a_parquet_file_in_between(tmp_path):
    import pyarrow.dataset
    import pyarrow.parquet

    dataset = IndexedDataset(write_dataset(tmp_path / "one", DOCUMENTS))
    reader = to_arrow(dataset)
    with pyarrow.parquet.ParquetWriter(tmp_path / "one.parquet", reader.schema) as file:
        for batch in reader:
            file.write_batch(batch)
    from_arrow(pyarrow.dataset.dataset(tmp_path / "one.parquet"), tmp_path / "two")
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_rows_chosen_and_shuffled_and_streamed(tmp_path):
    dataset = IndexedDataset(write_dataset(tmp_path / "one", DOCUMENTS))
    loaded = to_hf_dataset(dataset, tmp_path / "one.arrow")
    chosen = write_from_dataset(loaded.select([4, 3, 0]), tmp_path / "chosen")
    assert read_all(tmp_path / "chosen") == [[7], [], [5, 6], [], [1, 2, 3], [4]]
    assert chosen.document_indices.tolist() == [0, 1, 4, 6]
    write_from_dataset(loaded.to_iterable_dataset(), tmp_path / "streamed")
    assert contents(tmp_path / "streamed") == contents(tmp_path / "one")


def test_datasets_that_others_have_tokenized(tmp_path):
    """No lengths of sentences, ids as int64, other columns, another name."""
    other = datasets.Dataset.from_dict({"ids": [[5, 6], [], [7]], "text": ["a", "b", "c"]})
    written = write_from_dataset(other, tmp_path / "one", column="ids", dtype="uint16")
    assert written.dtype == np.uint16
    assert read_all(tmp_path / "one") == [[5, 6], [7]]
    assert written.document_indices.tolist() == [0, 1, 1, 2]
    for kind in (pyarrow.list_(pyarrow.uint8(), 2), pyarrow.large_list(pyarrow.uint8())):
        table = pyarrow.table({"input_ids": pyarrow.array([[1, 2], [3, 4]], kind)})
        assert from_arrow(table.slice(1), tmp_path / "two").dtype == np.uint8
        assert read_all(tmp_path / "two") == [[3, 4]]


BAD = {
    "no column": ({"ids": [[1]]}, "columns"),
    "no lists": ({"input_ids": [1]}, "column 'input_ids'"),
    "no integers": ({"input_ids": [[1.5]]}, "column 'input_ids'"),
    "texts": ({"input_ids": [["a"]]}, "column 'input_ids'"),
    "a row that is null": ({"input_ids": [[1], None]}, "row 1, input_ids"),
    "an id that is null": ({"input_ids": [[1], [2, None]]}, "row 1, input_ids"),
    "lengths too short": ({"input_ids": [[1], [2, 3]], "sequence_lengths": [[1], [1]]}, "row 1, the sum of"),
    "lengths that shift": ({"input_ids": [[1], [2, 3]], "sequence_lengths": [[2], [1]]}, "row 0, the sum of"),
    "a negative length": ({"input_ids": [[1], [2]], "sequence_lengths": [[1], [2, -1]]}, "row 1, sequence_lengths"),
    "lengths that are text": ({"input_ids": [[1]], "sequence_lengths": [["1"]]}, "row 0, sequence_lengths"),
    "too few modes": (
        {"input_ids": [[1], [2]], "sequence_lengths": [[1], [1]], "sequence_modes": [[0, 0], []]},
        "row 0, the number of",
    ),
    "modes alone": ({"input_ids": [[1]], "sequence_modes": [[0]]}, "columns"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_are_named_and_nothing_is_written(tmp_path, name):
    columns, place = BAD[name]
    with pytest.raises(IndexedDatasetError) as caught:
        from_arrow(pyarrow.table(columns), tmp_path / "one")
    assert_explains(caught.value, str(tmp_path / "one"))
    assert caught.value.place.startswith(place)
    assert os.listdir(tmp_path) == []


def test_rows_are_counted_over_batches(tmp_path):
    batches = pyarrow.table({"input_ids": [[1], [2], [3], None]}).to_batches(max_chunksize=1)
    with pytest.raises(IndexedDatasetError, match="row 3, input_ids"):
        from_arrow(batches, tmp_path / "one")
    chunks = pyarrow.chunked_array([[[1], [2]], [[3], None]])
    with pytest.raises(IndexedDatasetError, match="row 3, input_ids"):
        from_arrow([pyarrow.table({"input_ids": chunks})], tmp_path / "one")


def test_ids_that_do_not_fit_and_splits_and_nothing(tmp_path):
    table = pyarrow.table({"input_ids": [[1], [70000]]})
    with pytest.raises(IndexedDatasetError, match="70000"):
        from_arrow(table, tmp_path / "one", dtype="uint16")
    with pytest.raises(IndexedDatasetError, match=r"uint64.*pass dtype="):
        from_arrow(
            pyarrow.table({"input_ids": pyarrow.array([[1]], pyarrow.list_(pyarrow.uint64()))}), tmp_path / "one"
        )
    with pytest.raises(IndexedDatasetError, match="train"):
        write_from_dataset(datasets.DatasetDict({"train": datasets.Dataset(table)}), tmp_path / "one")
    with pytest.raises(IndexedDatasetError, match="no schema"):
        from_arrow([], tmp_path / "one")
    assert os.listdir(tmp_path) == []


def test_an_export_that_fails_leaves_nothing(tmp_path):
    dataset = IndexedDataset(write_dataset(tmp_path / "one", DOCUMENTS))
    with pytest.raises(IndexedDatasetError):
        to_hf_dataset(dataset, tmp_path / "nowhere" / "one.arrow")
    (tmp_path / "taken").mkdir()
    with pytest.raises(IndexedDatasetError):
        to_hf_dataset(dataset, tmp_path / "taken")
    assert leftovers(tmp_path) == []


def test_a_document_that_no_list_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow, "LARGEST_LIST", 3)
    monkeypatch.setattr(arrow, "BATCH_TOKENS", 2)
    dataset = IndexedDataset(write_dataset(tmp_path / "one", DOCUMENTS))
    with pytest.raises(IndexedDatasetError, match="at most 3"):
        to_arrow(dataset).read_all()


@pytest.mark.parametrize("package", ["pyarrow", "datasets"])
def test_a_missing_package_is_named(tmp_path, monkeypatch, package):
    dataset = IndexedDataset(write_dataset(tmp_path / "one", DOCUMENTS))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MaskgenError, match=rf"no package {package}.*maskgen\[corpora\]"):
        to_hf_dataset(dataset, tmp_path / "one.arrow")
