"""Mappings on disk (cases 32 to 35), and the command that builds them."""

import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import Index, write_dataset, write_files

from maskgen import cli, mapping
from maskgen.mapping import cache_folder
from maskgen.mapping.npy_file import MappedRows, header_of
from preprocess import IndexedDataset, IndexedDatasetError, merge_datasets, verify_dataset

ARGUMENTS = {"num_epochs": 2, "max_seq_length": 12, "short_seq_prob": 0.1, "seed": 5, "min_num_sent": 2}
DOCUMENTS = [[[1] * 4, [2] * 5, [3] * 6, [4] * 7], [[1], [2] * 3], [], [[5] * 9, [6] * 8, [7] * 3]] * 5


@pytest.fixture
def dataset(tmp_path):
    return IndexedDataset(write_dataset(tmp_path / "corpus", DOCUMENTS))


@pytest.fixture
def cached(dataset):
    """A mapping that has been built: the dataset and the path of the file."""
    mapping.cached_mapping(dataset, **ARGUMENTS)
    return dataset, mapping.mapping_file(dataset, **ARGUMENTS).path


def test_rows_are_those_of_build_mapping_and_mapped(cached):
    dataset, path = cached
    expected = mapping.build_mapping(dataset.document_indices, dataset.sequence_lengths, **ARGUMENTS)
    inode = os.stat(path).st_ino
    rows = mapping.cached_mapping(dataset, **ARGUMENTS)
    assert isinstance(rows, MappedRows)
    assert rows.source.path == os.path.abspath(path)
    assert rows[1:].source is None
    assert not rows.flags.writeable
    assert rows.dtype == expected.dtype
    assert np.array_equal(rows, expected)
    assert np.array_equal(np.load(path, allow_pickle=False), expected)
    assert os.stat(path).st_ino == inode
    assert path.startswith(f"{dataset.prefix}.maskgen-cache{os.sep}")


def test_header_is_numpys():
    for shape in ((0, 3), (5, 3), (10**12, 3)):
        for dtype in (np.dtype(np.uint32), np.dtype(np.uint64)):
            text = header_of(shape, dtype)
            assert len(text) % 64 == 0
            assert np.lib.format.read_magic(stream := io.BytesIO(text)) == (1, 0)
            assert np.lib.format.read_array_header_1_0(stream) == (shape, False, dtype)


def refused(dataset, path, message):
    with pytest.raises(mapping.CacheFileError, match=message) as caught:
        mapping.cached_mapping(dataset, **ARGUMENTS)
    assert path in str(caught.value)
    assert "remove the file" in str(caught.value)


def test_case_32_a_pickle_named_npy(cached, tmp_path):
    dataset, path = cached
    witness = tmp_path / "executed"

    class Hostile:
        def __reduce__(self):
            return (Path.touch, (witness,))

    Path(path).write_bytes(pickle.dumps(Hostile()))
    refused(dataset, path, r"first bytes: found .*a \.npy file of version 1\.0")
    with open(path, "wb") as file:  # an array of objects: a header of numpy's, then a pickle
        np.save(file, np.array([[Hostile()] * 3], object), allow_pickle=True)
    refused(dataset, path, r"dtype: found '\|O', expected <u4")
    assert not witness.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.astype(np.float32), r"dtype: found '<f4', expected <u4"),
        (lambda rows: rows.astype(np.uint64), r"dtype: found '<u8', expected <u4"),
        (lambda rows: rows.astype(">u4"), r"dtype: found '>u4', expected <u4"),
        (lambda rows: np.asfortranarray(rows), r"order: found fortran_order True, expected C order"),
        (lambda rows: rows[:, :2].copy(), r"shape: found \(\d+, 2\), expected \(rows, 3\)"),
        (lambda rows: rows.reshape(-1), r"shape: found \(\d+,\), expected \(rows, 3\)"),
    ],
)
def test_case_33_wrong_dtype_byte_order_or_fortran_order(cached, change, message):
    dataset, path = cached
    rows = change(np.load(path))
    np.save(path, rows)
    refused(dataset, path, message)


@pytest.mark.parametrize("rows", [2**40, 2**62, 10**30])
def test_case_34_a_huge_shape(cached, rows):
    dataset, path = cached
    content = Path(path).read_bytes()
    Path(path).write_bytes(header_of((rows, 3), np.dtype(np.uint32)) + content[128:])
    refused(dataset, path, rf"size: found {len(content)} bytes, expected \d+, as its shape \({rows}, 3\)")


def test_case_35_negative_shape_and_short_data(cached):
    dataset, path = cached
    content = Path(path).read_bytes()
    for rows in (-1, -(2**62)):
        Path(path).write_bytes(header_of((rows, 3), np.dtype(np.uint32)) + content[128:])
        refused(dataset, path, rf"shape: found \({rows}, 3\)")
    for size in (0, 5, 10, 60, len(content) - 1):
        Path(path).write_bytes(content[:size])
        refused(dataset, path, "found")
    Path(path).write_bytes(content + b"\0")
    refused(dataset, path, f"size: found {len(content) + 1} bytes, expected {len(content)}")


@pytest.mark.parametrize(
    "header",
    [
        b"{}",
        b"{'descr': '<u4', 'fortran_order': False, 'shape': (True, 3)}",
        b"{'descr': '<u4', 'fortran_order': 0, 'shape': (1, 3)}",
        b"{'descr': [('a', '<u4')], 'fortran_order': False, 'shape': (1, 3)}",
        b"{'descr': '<u4', 'fortran_order': False, 'shape': (1, 3), 'more': 1}",
        b"__import__('os').abort()",
        b"(" * 900,
        b"\xff\x00",
    ],
)
def test_other_headers_are_refused(cached, header):
    dataset, path = cached
    Path(path).write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    refused(dataset, path, "found")
    Path(path).write_bytes(b"\x93NUMPY\x01\x00\xff\xff" + b" " * 65535)
    refused(dataset, path, "header: found 65535 bytes")


def test_a_changed_argument_is_another_mapping(dataset):
    paths = {mapping.mapping_file(dataset, **ARGUMENTS).path}
    changes = [
        {"num_epochs": 3}, {"num_epochs": None, "max_num_samples": 2}, {"max_num_samples": 2}, {"max_seq_length": 13},
        {"short_seq_prob": 0.2}, {"seed": 6}, {"min_num_sent": 1}, {"split": "8,1,1", "part": "train"},
        {"split": "8,1,1", "part": "valid"},
    ]  # fmt: skip
    for change in changes:
        arguments = {**ARGUMENTS, **change}
        paths.add(mapping.mapping_file(dataset, **arguments).path)
        rows = mapping.cached_mapping(dataset, **arguments)
        split, part = arguments.pop("split", None), arguments.pop("part", None)
        first, end = mapping.part_documents(split, part, len(DOCUMENTS))
        documents = dataset.document_indices[first : end + 1]
        assert np.array_equal(rows, mapping.build_mapping(documents, dataset.sequence_lengths, **arguments))
    assert len(paths) == 1 + len(changes)


@pytest.mark.parametrize("sidecar", [True, False])
def test_a_stale_cache_of_changed_data_is_not_used(dataset, sidecar):
    if not sidecar:
        os.unlink(f"{dataset.prefix}.json")
    before = mapping.cached_mapping(dataset, **ARGUMENTS)
    write_dataset(dataset.prefix, [list(reversed(document)) for document in DOCUMENTS])
    if not sidecar:
        os.unlink(f"{dataset.prefix}.json")
    changed = IndexedDataset(dataset.prefix)
    after = mapping.cached_mapping(changed, **ARGUMENTS)
    expected = mapping.build_mapping(changed.document_indices, changed.sequence_lengths, **ARGUMENTS)
    assert np.array_equal(after, expected)
    assert not np.array_equal(before, after)


def test_an_index_changed_under_its_sidecar_is_noticed(dataset):
    path = mapping.mapping_file(dataset, **ARGUMENTS).path
    lengths = [len(sentence) for document in DOCUMENTS for sentence in document]
    boundaries = dataset.document_indices.tolist()
    tokens = Path(f"{dataset.prefix}.bin").read_bytes()
    write_files(dataset.prefix, Index(lengths[::-1], boundaries).pack(), tokens)
    assert mapping.mapping_file(IndexedDataset(dataset.prefix), **ARGUMENTS).path != path


def test_two_processes_building_at_once(dataset):
    code = (
        "import sys\n"
        "from maskgen.mapping import build, cache\n"
        "from preprocess import IndexedDataset\n"
        "built = []\n"
        "real = build.build_mapping\n"
        "cache.build_mapping = lambda *a, **k: (built.append(1), real(*a, **k))[1]\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        f"rows = cache.cached_mapping(IndexedDataset({dataset.prefix!r}), **{ARGUMENTS!r})\n"
        "print(len(built), rows.tolist())\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", code], **pipes) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0].split(" ", 1) for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert sum(int(built) for built, _ in outputs) == 1
    expected = mapping.build_mapping(dataset.document_indices, dataset.sequence_lengths, **ARGUMENTS)
    assert {rows.strip() for _, rows in outputs} == {str(expected.tolist())}
    assert sorted(os.listdir(f"{dataset.prefix}.maskgen-cache"))[0] == "lock"
    assert len(os.listdir(f"{dataset.prefix}.maskgen-cache")) == 2


def test_what_a_killed_builder_left_is_cleared(dataset):
    folder = Path(f"{dataset.prefix}.maskgen-cache")
    folder.mkdir()
    (folder / "mapping-abc.npy.host-1.partial").write_bytes(b"half")
    (folder / "notes.partial").touch()
    mapping.cached_mapping(dataset, **ARGUMENTS)
    built = os.path.basename(mapping.mapping_file(dataset, **ARGUMENTS).path)
    assert sorted(path.name for path in folder.iterdir()) == ["lock", built, "notes.partial"]


def test_an_empty_mapping_is_kept_too(tmp_path):
    dataset = IndexedDataset(write_dataset(tmp_path / "empty", [[]]))
    for _ in range(2):
        rows = mapping.cached_mapping(dataset, **ARGUMENTS)
        assert rows.shape == (0, 3)
        assert rows.dtype == np.uint32
        assert not rows.flags.writeable


CUT = """
import os, pickle, sys, threading, time
import numpy as np
from maskgen.mapping.npy_file import map_rows
from maskgen.samples import BertSamples
from maskgen.vocab import Vocab
from preprocess import IndexedDataset, IndexedDatasetError

prefix, path, where = sys.argv[1:]
vocab = Vocab([f"w{i}" for i in range(9)], cls_id=0, sep_id=1, mask_id=2, pad_id=3, word_starts=[True] * 9)
samples = BertSamples(IndexedDataset(prefix), map_rows(path, 3, (np.dtype(np.uint32),)), vocab, max_seq_length=20)
if where == "pickled":
    samples = pickle.loads(pickle.dumps(samples))
samples[-1], samples.batch([-1])
with open(path, "r+b") as file:
    file.truncate(4096)

def read(access):
    try:
        access()
    except IndexedDatasetError as error:
        assert "a page that its file no longer has" in str(error), error
        print("refused")

accesses = [lambda: samples[-1], lambda: samples.batch([0, -1]), lambda: samples[-1]]
if where == "thread":
    thread = threading.Thread(target=read, args=accesses[:1])
    started, learnt, end = False, 0, time.monotonic() + 30
    while True:
        try:  # the main thread may learn of it at any statement
            if not started:
                started = True
                thread.start()
            thread.join(0.01)
            if (learnt and not thread.is_alive()) or time.monotonic() > end:
                sys.stdout.flush()
                os._exit(0 if learnt else 3)
        except IndexedDatasetError:
            learnt += 1
else:
    for access in accesses:
        read(access)
"""


@pytest.mark.parametrize("where", ["main", "pickled", "thread"])
def test_a_mapping_cut_while_it_is_mapped(dataset, tmp_path, where):
    rows = mapping.build_mapping(dataset.document_indices, dataset.sequence_lengths, **ARGUMENTS)
    path = tmp_path / "long.npy"
    np.save(path, np.repeat(rows, 3000, axis=0))
    command = [sys.executable, "-c", CUT, dataset.prefix, str(path), where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()) == (0, ["refused"] * (1 if where == "thread" else 3)), done.stderr


def test_mappings_hold_no_files_open(dataset):
    open_before = len(os.listdir("/dev/fd"))
    kept = [mapping.cached_mapping(dataset, **{**ARGUMENTS, "seed": seed}) for seed in range(20)]
    assert len(os.listdir("/dev/fd")) == open_before
    assert all(map(len, kept))


def test_builders_without_locks_write_files_of_their_own(dataset, monkeypatch):
    """Two containers may have one name and one process number, and a network folder no locks."""
    partial = []
    replace = os.replace
    monkeypatch.setattr(cache_folder.fcntl, "flock", refuse_to_lock)
    monkeypatch.setattr(cache_folder.os, "replace", lambda one, other: (partial.append(one), replace(one, other)))
    for _ in range(2):
        rows = mapping.cached_mapping(dataset, **ARGUMENTS)
        os.unlink(rows.source.path)
    assert len(set(partial)) == 2


def refuse_to_lock(*_):
    raise OSError("no locks here")


def test_a_folder_that_cannot_be_written_to(dataset, tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(IndexedDatasetError, match=r"write the cache: found .*--cache-dir"):
            mapping.cached_mapping(dataset, **ARGUMENTS, cache_dir=folder)
    rows = mapping.cached_mapping(dataset, **ARGUMENTS, cache_dir=tmp_path / "elsewhere")
    assert len(rows)
    assert not os.path.exists(f"{dataset.prefix}.maskgen-cache")


def test_bad_arguments_are_refused_before_anything_is_written(dataset):
    for change in ({"num_epochs": 0}, {"num_epochs": None}, {"seed": -1}, {"max_seq_length": 1}, {"split": "1,1"}):
        with pytest.raises(mapping.MappingError):
            mapping.cached_mapping(dataset, **{**ARGUMENTS, **change})
    assert not os.path.exists(f"{dataset.prefix}.maskgen-cache")


def test_verify_and_merge_do_not_mind_the_cache(cached, tmp_path):
    dataset, _ = cached
    assert verify_dataset(dataset.prefix, full=True, progress=False).ok
    merge_datasets([dataset.prefix], tmp_path / "merged")
    assert len(IndexedDataset(tmp_path / "merged")) == len(dataset)


def test_command(dataset, tmp_path, capsys):
    flags = ["mapping", dataset.prefix, "--max-seq-length", "12", "--seed", "5", "--short-seq-prob", "0.1"]
    assert cli.main([*flags, "--num-epochs", "2", "--json", "--show", "2"]) == 0
    facts = json.loads(capsys.readouterr().out)
    rows = mapping.cached_mapping(dataset, **ARGUMENTS)
    assert facts["path"] == mapping.mapping_file(dataset, **ARGUMENTS).path
    assert facts["samples"] == len(rows)
    assert facts["first_rows"] == rows[:2].tolist()
    assert facts["reused"] is False
    assert cli.main([*flags, "--num-epochs", "2", "--show", "1"]) == 0
    out = capsys.readouterr().out
    first, end, target = rows[0].tolist()
    assert f"  sentences {first} to {end - 1}, target {target}\n" in out
    assert f"samples    {len(rows)} of uint32" in out
    assert "found      " in out
    assert cli.main([*flags, "--split", "1,1", "--part", "valid", "--cache-dir", str(tmp_path / "cache")]) == 0
    assert "documents  10 to 20 (10)" in capsys.readouterr().out
    assert os.listdir(tmp_path / "cache")


def test_command_says_why_there_is_no_sample(tmp_path, capsys):
    prefix = write_dataset(tmp_path / "whole", [[[20, 21, 22, 23]]] * 3)
    assert cli.main(["mapping", prefix, "--max-seq-length", "12", "--seed", "5"]) == 0
    assert "no sample: each document has fewer sentences than --min-num-sent" in capsys.readouterr().out
    assert cli.main(["mapping", prefix, "--max-seq-length", "12", "--seed", "5", "--min-num-sent", "1"]) == 0
    assert "no sample" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seed", "-1"], "seed is -1"),
        (["--seed", "1", "--split", "x"], "split is 'x'"),
        (["--seed", "1", "--part", "valid"], "split is None and part 'valid'"),
        (["--seed", "1", "--num-epochs", "0"], "num_epochs is 0"),
        (["--seed", "1", "--num-epochs", str(2**62)], "lower num_epochs"),
    ],
)
def test_command_refuses_in_one_line(dataset, capsys, flags, message):
    assert cli.main(["mapping", dataset.prefix, "--max-seq-length", "12", *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith("maskgen mapping: error: ")
    assert message in error
    assert error.count("\n") == 1
