"""Writing: what goes in comes out, what does not fit is refused whole, what fails leaves nothing."""

import errno
import json
import os

import fsspec
import numpy as np
import pytest
from helpers import assert_explains, contents, leftovers, read_all, write_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess import IndexedDataset, IndexedDatasetError, IndexedDatasetWriter, verify_dataset
from preprocess.indexed import writer as writer_module

DTYPES = ["uint8", "int8", "int16", "int32", "int64", "uint16"]


@st.composite
def corpora(draw):
    """A dtype, documents of sequences of tokens, and the way in which they reach the writer."""
    dtype = draw(st.sampled_from(DTYPES))
    limits = np.iinfo(dtype)
    token = st.integers(int(limits.min), int(limits.max))
    documents = draw(st.lists(st.lists(st.lists(token, max_size=6), max_size=4), max_size=8))
    modes = draw(st.booleans())
    calls = draw(st.lists(st.integers(0, 8), max_size=4).map(sorted))
    return dtype, documents, modes, calls


@settings(derandomize=True, deadline=None, max_examples=150)
@given(corpora())
def test_what_goes_in_comes_out(tmp_path_factory, corpus):
    dtype, documents, with_modes, cuts = corpus
    folder = tmp_path_factory.mktemp("corpus")
    modes = [[number % 3 for number, _ in enumerate(document)] for document in documents] if with_modes else None
    one_by_one = write_dataset(folder / "one", documents, dtype, modes)
    with IndexedDatasetWriter(folder / "many", dtype) as writer:
        for start, stop in zip([0, *cuts], [*cuts, len(documents)], strict=True):
            group = documents[start:stop]
            sequences = [sequence for document in group for sequence in document]
            writer.add_documents(
                np.array([token for sequence in sequences for token in sequence], dtype),
                [len(sequence) for sequence in sequences],
                [len(document) for document in group],
                None if modes is None else [mode for document in modes[start:stop] for mode in document],
            )
    assert contents(one_by_one) == contents(folder / "many")
    assert read_all(one_by_one) == [sequence for document in documents for sequence in document]
    dataset = IndexedDataset(one_by_one)
    assert np.diff(dataset.document_indices).tolist() == [len(document) for document in documents]
    assert verify_dataset(one_by_one, full=True).ok
    if modes is not None and len(dataset):
        assert dataset.sequence_modes.tolist() == [mode for document in modes for mode in document]


def test_buffers_do_not_show(tmp_path, monkeypatch):
    rng = np.random.RandomState(3)
    documents = [[rng.randint(0, 999, rng.randint(0, 40)).tolist() for _ in range(5)] for _ in range(50)]
    expected = contents(write_dataset(tmp_path / "a", documents))
    monkeypatch.setattr(writer_module, "BUFFER", 7)
    monkeypatch.setattr(writer_module, "CHUNK", 3)
    assert contents(write_dataset(tmp_path / "b", documents)) == expected


REFUSALS = {
    "too large for uint16": ("uint16", [1, 70_000, 2], [3], "70000", "tokens[1]"),
    "negative for uint16": ("uint16", [1, 2, -1], [3], "-1", "tokens[2]"),
    "too large for int8": ("int8", [128], [1], "128", "tokens[0]"),
    "too large for anything": ("int64", [2**64], [1], "object", "tokens"),
    "uint64 beyond int64": ("int64", np.array([2**63], np.uint64), [1], "9223372036854775808", "tokens[0]"),
    "floats": ("uint16", [1.0, 2.0], [2], "float64", "tokens"),
    "text": ("uint16", ["a"], [1], "<U1", "tokens"),
    "two dimensions": ("uint16", [[1, 2], [3, 4]], [4], "2 dimensions", "tokens"),
    "lengths short": ("uint16", [1, 2, 3], [2], "a sum of 2", "sequence_lengths"),
    "lengths long": ("uint16", [1, 2, 3], [2, 2], "a sum of 4", "sequence_lengths"),
    "negative length": ("uint16", [1, 2, 3], [4, -1], "-1", "sequence_lengths[1]"),
    "float lengths": ("uint16", [1, 2, 3], [3.0], "float64", "sequence_lengths"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_before_anything_is_written(tmp_path, case):
    dtype, tokens, lengths, found, place = REFUSALS[case]
    with IndexedDatasetWriter(tmp_path / "a", dtype) as writer:
        writer.add_document([1], [1])
        with pytest.raises(IndexedDatasetError) as caught:
            writer.add_document(tokens, lengths)
        assert_explains(caught.value, str(tmp_path / "a"))
        assert found in caught.value.found
        assert caught.value.place == f"document 1, {place}"
        writer.add_document([2, 3], [1, 1])
    assert read_all(tmp_path / "a") == [[1], [2], [3]]
    assert verify_dataset(tmp_path / "a", full=True).ok


def test_sequences_of_all_documents_must_be_accounted_for(tmp_path):
    with IndexedDatasetWriter(tmp_path / "a", "uint16") as writer:
        with pytest.raises(IndexedDatasetError, match="sequences_per_document: found a sum of 3, expected 2"):
            writer.add_documents([1, 2, 3], [1, 2], [3])
        with pytest.raises(IndexedDatasetError, match=r"sequences_per_document\[0\]: found -1"):
            writer.add_documents([1, 2, 3], [1, 2], [-1, 3])


def test_modes_are_for_all_sequences_or_for_none(tmp_path):
    with IndexedDatasetWriter(tmp_path / "a", "uint16") as writer:
        writer.add_document([], [])
        writer.add_document([1], [1], modes=[1])
        with pytest.raises(IndexedDatasetError, match="found no modes"):
            writer.add_document([1], [1])
        with pytest.raises(IndexedDatasetError, match="found 2 modes, expected one for each of the 1 sequences"):
            writer.add_document([1], [1], modes=[1, 1])
        with pytest.raises(IndexedDatasetError, match=r"modes\[0\]: found 200"):
            writer.add_document([1], [1], modes=[200])
    with IndexedDatasetWriter(tmp_path / "b", "uint16") as writer:
        writer.add_document([1], [1])
        with pytest.raises(IndexedDatasetError, match="found modes"):
            writer.add_document([1], [1], modes=[1])


@pytest.mark.parametrize("dtype", ["float32", "uint32", "uint64", "bool"])
def test_types_without_a_code_are_refused(tmp_path, dtype):
    with pytest.raises(IndexedDatasetError) as caught:
        IndexedDatasetWriter(tmp_path / "a", dtype)
    assert_explains(caught.value)
    assert os.listdir(tmp_path) == []


def test_an_exception_in_the_block_leaves_nothing(tmp_path):
    def fail():
        with IndexedDatasetWriter(tmp_path / "a", "uint16") as writer:
            writer.add_document([1], [1])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert os.listdir(tmp_path) == []


def test_an_exception_in_the_block_keeps_the_older_dataset(tmp_path):
    before = contents(write_dataset(tmp_path / "a", [[[1, 2]]]))
    writer = IndexedDatasetWriter(tmp_path / "a", "uint16")
    writer.add_document([3], [1])
    assert contents(tmp_path / "a") == before
    writer.discard()
    writer.discard()
    assert contents(tmp_path / "a") == before
    assert leftovers(tmp_path) == []


def test_a_closed_writer_says_so(tmp_path):
    writer = IndexedDatasetWriter(tmp_path / "a", "uint16")
    writer.commit()
    writer.commit()
    with pytest.raises(ValueError, match="is closed"):
        writer.add_document([1], [1])


def test_a_new_dataset_replaces_the_old_one(tmp_path):
    write_dataset(tmp_path / "a", [[[1, 2]]])
    reader = IndexedDataset(tmp_path / "a")
    assert reader[0].tolist() == [1, 2]
    write_dataset(tmp_path / "a", [[[3]]])
    assert reader[0].tolist() == [1, 2]
    assert read_all(tmp_path / "a") == [[3]]


def test_one_writer_at_a_time(tmp_path):
    first = IndexedDatasetWriter(tmp_path / "a", "uint16")
    with pytest.raises(IndexedDatasetError, match="lock of another process") as caught:
        IndexedDatasetWriter(tmp_path / "a", "uint16")
    assert_explains(caught.value)
    first.add_document([1], [1])
    first.commit()
    write_dataset(tmp_path / "a", [[[2]]])
    assert read_all(tmp_path / "a") == [[2]]


def test_leftovers_of_a_killed_writer_are_cleared(tmp_path):
    for name in ("a.bin.partial", "a.idx.partial", "a.lengths.partial", "a.modes.partial", "a.writing"):
        (tmp_path / name).write_bytes(b"half")
    write_dataset(tmp_path / "a", [[[2]]])
    assert read_all(tmp_path / "a") == [[2]]
    assert leftovers(tmp_path) == []


def test_an_unfinished_write_is_named_by_the_reader(tmp_path):
    (tmp_path / "a.idx.partial").touch()
    with pytest.raises(IndexedDatasetError, match="has not finished: run it again"):
        IndexedDataset(tmp_path / "a")


def test_folders_are_made(tmp_path):
    write_dataset(tmp_path / "x" / "y" / "a", [[[2]]])
    assert read_all(tmp_path / "x" / "y" / "a") == [[2]]


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(IndexedDatasetError, match="create the folder") as caught:
        IndexedDatasetWriter(tmp_path / "file" / "a", "uint16")
    assert_explains(caught.value)


def test_file_systems_without_locks(tmp_path, monkeypatch):
    def no_locks(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    write_dataset(tmp_path / "a", [[[2]]])
    assert read_all(tmp_path / "a") == [[2]]
    assert leftovers(tmp_path) == []


def test_object_stores_get_the_index_last_and_in_one_put(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = fsspec.filesystem("memory")
    events = []
    original = type(store).put_file

    def recording(self, source, target, **options):
        events.append((os.path.splitext(target)[1], sorted(os.path.basename(path) for path in self.find("/bucket"))))
        return original(self, source, target, **options)

    monkeypatch.setattr(type(store), "put_file", recording)
    store.pipe_file("/bucket/corpus.idx", b"an older dataset")
    try:
        write_dataset("memory://bucket/corpus", [[[1, 2], [3]]])
        assert events == [
            (".bin", []),
            (".json", ["corpus.bin"]),
            (".idx", ["corpus.bin", "corpus.json"]),
        ]
        for extension in ("bin", "idx", "json"):
            store.get_file(f"/bucket/corpus.{extension}", str(tmp_path / f"copy.{extension}"))
    finally:
        store.rm("/bucket", recursive=True)
    assert read_all(tmp_path / "copy") == [[1, 2], [3]]
    assert verify_dataset(tmp_path / "copy", full=True).ok
    assert not [name for name in os.listdir(tmp_path) if "staging" in name]


def test_sidecar_says_what_was_written(tmp_path):
    from preprocess.indexed.sidecar import InputFile, TokenizerInfo

    with IndexedDatasetWriter(tmp_path / "a", "int32") as writer:
        writer.add_document([1, 2, 3], [2, 1])
        writer.tokenizer = TokenizerInfo("wp", "0" * 64, 30)
        writer.settings["append_eod"] = True
        writer.inputs.append(InputFile("corpus.jsonl", 12, "1" * 64))
    facts = json.loads((tmp_path / "a.json").read_text())
    assert (facts["documents"], facts["sequences"], facts["tokens"], facts["dtype"]) == (1, 2, 3, "int32")
    assert facts["tokenizer"] == {"name": "wp", "sha256": "0" * 64, "vocabulary_size": 30}
    assert facts["settings"] == {"append_eod": True}
    assert facts["inputs"] == [{"name": "corpus.jsonl", "bytes": 12, "sha256": "1" * 64}]
    assert facts["bin"][0]["bytes"] == 12
    assert set(facts["versions"]) == {"maskgen", "numpy", "python"}
