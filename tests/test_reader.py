"""Reading: access, laziness, lifetime, processes."""

import gc
import os
import pickle
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_explains, read_all, touch, write_dataset

from preprocess import IndexedDataset, IndexedDatasetError
from preprocess.indexed import index_file

DOCUMENTS = [[[1, 2, 3], [4]], [], [[5, 6], [], [7, 8, 9, 10]]]
SEQUENCES = [[1, 2, 3], [4], [5, 6], [], [7, 8, 9, 10]]


@pytest.fixture
def prefix(tmp_path):
    return write_dataset(tmp_path / "small", DOCUMENTS)


@pytest.fixture
def dataset(prefix):
    return IndexedDataset(prefix)


def test_single_sequences(dataset):
    assert len(dataset) == 5
    assert [dataset[i].tolist() for i in range(5)] == SEQUENCES
    assert dataset[-1].tolist() == SEQUENCES[-1]
    assert dataset[np.int32(2)].tolist() == SEQUENCES[2]
    assert [sequence.tolist() for sequence in dataset] == SEQUENCES
    for outside in (5, -6, 10**30):
        with pytest.raises(IndexError):
            dataset[outside]
    with pytest.raises(TypeError):
        dataset["0"]


@pytest.mark.parametrize("cut", [slice(1, 3), slice(None), slice(None, None, -2), slice(4, 1), slice(-2, 99)])
def test_slices_are_those_of_a_list(dataset, cut):
    assert [sequence.tolist() for sequence in dataset[cut]] == SEQUENCES[cut]


def test_get_a_part_of_a_sequence(dataset):
    assert dataset.get(4).tolist() == [7, 8, 9, 10]
    assert dataset.get(4, 1).tolist() == [8, 9, 10]
    assert dataset.get(4, offset=1, length=2).tolist() == [8, 9]
    assert dataset.get(4, 4).tolist() == []
    assert dataset.get(3).tolist() == []


@pytest.mark.parametrize(("offset", "length"), [(0, 4), (2, 2), (-1, 1), (4, None), (0, -1), (4, 0)])
def test_get_never_reaches_into_a_neighbour(dataset, offset, length):
    with pytest.raises(IndexError, match=r"sequence 0 of .*small has 3 tokens"):
        dataset.get(0, offset, length)


def test_index_arrays(dataset):
    assert dataset.sequence_lengths.tolist() == [3, 1, 2, 0, 4]
    assert dataset.sequence_pointers.tolist() == [0, 6, 8, 12, 12]
    assert dataset.document_indices.tolist() == [0, 2, 2, 5]
    assert dataset.sequence_modes is None
    assert dataset.dtype == np.uint16
    assert "5 sequences in 3 documents, uint16" in repr(dataset)


def test_modes(tmp_path):
    prefix = write_dataset(tmp_path / "a", [[[1], [2]], [[3]]], modes=[[0, 1], [-1]])
    assert IndexedDataset(prefix).sequence_modes.tolist() == [0, 1, -1]


def test_arrays_cannot_be_written_to(dataset):
    for array in (dataset[0], dataset.sequence_lengths, dataset.document_indices):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_arrays_outlive_the_dataset(tmp_path):
    tokens = list(range(50_000))
    dataset = IndexedDataset(write_dataset(tmp_path / "a", [[tokens]]))
    sequence, lengths = dataset[0][1:], dataset.sequence_lengths
    del dataset
    gc.collect()
    assert sequence.tolist() == tokens[1:]
    assert lengths.tolist() == [50_000]


def test_arrays_outlive_the_files(tmp_path):
    prefix = write_dataset(tmp_path / "a", [[[1, 2, 3]]])
    sequence = IndexedDataset(prefix)[0]
    os.unlink(f"{prefix}.bin")
    write_dataset(prefix, [[[9, 9, 9]]])
    assert sequence.tolist() == [1, 2, 3]


@pytest.mark.parametrize("documents", [[], [[]], [[], []], [[[]]]])
def test_datasets_without_tokens_can_be_reopened(tmp_path, documents):
    prefix = write_dataset(tmp_path / "empty", documents)
    expected = [sequence for document in documents for sequence in document]
    assert read_all(prefix) == expected
    dataset = pickle.loads(pickle.dumps(IndexedDataset(prefix)))
    assert len(dataset.document_indices) == len(documents) + 1
    assert [sequence.tolist() for sequence in dataset[:]] == expected


def test_opening_maps_nothing_and_keeps_nothing_open(tmp_path):
    code = f"""
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
        from preprocess import IndexedDataset
        maps = lambda: open("/proc/self/maps").read().count(".bin")
        datasets = [IndexedDataset({str(tmp_path)!r} + "/a") for _ in range(1000)]
        assert maps() == 0, maps()
        assert datasets[7][0].tolist() == [1, 2, 3] and maps() == 1
        assert all(dataset[0].tolist() == [1, 2, 3] for dataset in datasets) and maps() == 1000
        del datasets
        assert maps() == 0, maps()
    """
    if not os.path.exists("/proc/self/maps"):
        code = "\n".join(line for line in code.splitlines() if "maps()" not in line)
    write_dataset(tmp_path / "a", [[[1, 2, 3]]])
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 48


def test_the_whole_check_runs_once_for_the_same_file(prefix, monkeypatch):
    touch(f"{prefix}.idx")
    checks = []
    original = index_file.check_index
    monkeypatch.setattr(index_file, "check_index", lambda *a: (checks.append(a[0]), original(*a)))
    first = IndexedDataset(prefix)
    assert checks == []
    first[0]
    pickle.loads(pickle.dumps(first))[0]
    IndexedDataset(prefix).document_indices  # noqa: B018 - the access is the point
    assert len(checks) == 1
    touch(f"{prefix}.idx")
    IndexedDataset(prefix)[0]
    assert len(checks) == 2


@pytest.mark.parametrize("touched", [False, True])
def test_worker_processes_skip_what_their_parent_has_checked(dataset, touched, prefix, tmp_path):
    touch(f"{prefix}.idx")
    dataset = IndexedDataset(prefix)
    if touched:
        dataset[0]
    (tmp_path / "pickle").write_bytes(pickle.dumps(dataset))
    code = f"""
        import pickle
        from preprocess.indexed import index_file
        original, checks = index_file.check_index, []
        index_file.check_index = lambda *arguments: (checks.append(1), original(*arguments))
        dataset = pickle.load(open({str(tmp_path / "pickle")!r}, "rb"))
        assert [sequence.tolist() for sequence in dataset] == {SEQUENCES}
        assert len(checks) == {0 if touched else 1}, checks
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)


def test_pickles_are_small_and_survive_a_change_of_folder(dataset, prefix, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    relative = IndexedDataset("small")
    dataset[0]
    pickled = pickle.dumps(relative)
    assert len(pickled) < 1000
    monkeypatch.chdir("/")
    assert pickle.loads(pickled)[0].tolist() == SEQUENCES[0]


def test_a_pickle_does_not_open_another_dataset(dataset, prefix):
    pickled = pickle.dumps(dataset)
    write_dataset(prefix, [[[1]]])
    with pytest.raises(IndexedDatasetError, match="as when this dataset was pickled") as caught:
        pickle.loads(pickled)
    assert_explains(caught.value, ".idx")


@pytest.mark.parametrize("extension", ["idx", "bin"])
def test_files_replaced_between_opening_and_first_access(dataset, prefix, extension):
    path = Path(f"{prefix}.{extension}")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content + b"\0\0")
    with pytest.raises(IndexedDatasetError) as caught:
        dataset[0]
    assert_explains(caught.value, f".{extension}")


def test_forked_children_share_the_map(prefix):
    code = f"""
        import os
        from preprocess import IndexedDataset
        touched, untouched = IndexedDataset({prefix!r}), IndexedDataset({prefix!r})
        touched[0]
        children = []
        for _ in range(3):
            child = os.fork()
            if child == 0:
                good = touched[4].tolist() == untouched[4].tolist() == [7, 8, 9, 10]
                os._exit(0 if good else 1)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
        assert touched[0].tolist() == [1, 2, 3]
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)


def test_threads_may_race_for_the_first_access(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    prefix = write_dataset(tmp_path / "many", [[[i]] for i in range(2000)])
    for _ in range(20):
        dataset = IndexedDataset(prefix)
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda i, d=dataset: int(d[i][0]), range(100))) == list(range(100))


def test_unknown_attributes_are_unknown(dataset):
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        dataset.nonsense  # noqa: B018 - the access is the point
