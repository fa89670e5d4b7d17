"""Datasets that go to an object store, through fsspec's memory and local file systems."""

import os

import fsspec
import pytest
from helpers import assert_explains, read_all, write_dataset

from maskgen import cli
from preprocess import IndexedDatasetError, IndexedDatasetWriter, verify_dataset


@pytest.fixture(autouse=True)
def staging(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "staging"))
    (tmp_path / "staging").mkdir()
    return tmp_path / "staging"


@pytest.fixture
def store():
    store = fsspec.filesystem("memory")
    store.pipe_file("/bucket/other", b"x")
    yield store
    store.rm("/bucket", recursive=True)


def test_the_index_is_the_last_put(tmp_path, monkeypatch, store, staging):
    store.rm("/bucket/other")
    events = []
    original = type(store).put_file

    def recording(self, source, target, **options):
        events.append((os.path.splitext(target)[1], sorted(os.path.basename(path) for path in self.find("/bucket"))))
        return original(self, source, target, **options)

    monkeypatch.setattr(type(store), "put_file", recording)
    store.pipe_file("/bucket/corpus.idx", b"an older dataset")
    write_dataset("memory://bucket/corpus", [[[1, 2], [3]]])
    assert events == [
        (".bin", []),
        (".json", ["corpus.bin"]),
        (".idx", ["corpus.bin", "corpus.json"]),
    ]
    for extension in ("bin", "idx", "json"):
        store.get_file(f"/bucket/corpus.{extension}", str(tmp_path / f"copy.{extension}"))
    assert read_all(tmp_path / "copy") == [[1, 2], [3]]
    assert verify_dataset(tmp_path / "copy", full=True).ok
    assert os.listdir(staging) == []


@pytest.mark.parametrize("url", ["nonsense://bucket/a", "memory://bucket/"])
def test_stores_that_cannot_be_written_to_are_refused_at_once(url, staging):
    with pytest.raises(IndexedDatasetError) as caught:
        IndexedDatasetWriter(url, "uint16")
    assert_explains(caught.value)
    assert os.listdir(staging) == []


def test_a_failed_upload_keeps_the_work(monkeypatch, store, staging, tmp_path):
    def refuse(self, source, target):
        raise ConnectionError("the network is gone")

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "put_file", refuse)
        with pytest.raises(IndexedDatasetError, match="the network is gone") as caught:
            write_dataset("memory://bucket/corpus", [[[1, 2], [3]]])
    (folder,) = os.listdir(staging)
    assert f"the complete dataset lies at {staging / folder / 'corpus'}" in caught.value.remedy
    assert read_all(staging / folder / "corpus") == [[1, 2], [3]]
    write_dataset("memory://bucket/corpus", [[[4]]])
    assert os.listdir(staging) == []


def test_merging_into_a_store(tmp_path, store, capsys):
    prefix = write_dataset(tmp_path / "a", [[[1]]])
    command = ["merge", prefix, "--output-prefix", "memory://bucket/merged"]
    assert cli.main(command) == 0
    assert store.exists("/bucket/merged.idx")
    assert cli.main(command) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert cli.main([*command, "--overwrite"]) == 0
