"""Inputs and outputs behind URLs, through fsspec's memory and local file systems."""

import gzip
import os
import subprocess
import sys

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from helpers import contents, read_all
from pipeline_runs import documents, outcome, run, vocabulary, write_jsonl

from maskgen import cli
from preprocess import IndexedDataset, IndexedDatasetError, MaskgenError, merge_datasets, verify_dataset
from preprocess.indexed.sidecar import read_sidecar
from preprocess.pipeline import shard
from preprocess.pipeline.options import Options, TokenizerChoice
from preprocess.pipeline.provenance import origins
from preprocess.pipeline.run import Manner, tokenize
from preprocess.stores import Store, is_url

URL = "counted://bucket"


class CountedFileSystem(MemoryFileSystem):
    """Memory that counts what is fetched from it, and fails where it is told to."""

    protocol = "counted"
    store = {}  # noqa: RUF012 - as its base has it
    pseudo_dirs = [""]  # noqa: RUF012
    gets, puts = [], []
    fail_get = fail_put = None  # a part of a name

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.replace("counted://", "memory://", 1))

    def get_file(self, rpath, lpath, **options):
        self.gets.append(os.path.basename(rpath))
        if self.fail_get and self.fail_get in rpath:
            with open(lpath, "wb") as file:
                file.write(self.cat_file(rpath)[:10])
            raise ConnectionError("the network is gone")
        super().get_file(rpath, lpath, **options)

    def put_file(self, lpath, rpath, **options):
        self.puts.append(os.path.basename(rpath))
        if self.fail_put and self.fail_put in rpath:
            raise ConnectionError("the network is gone")
        super().put_file(lpath, rpath, **options)


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    fsspec.register_implementation("counted", CountedFileSystem, clobber=True)
    for name in ("store", "pseudo_dirs", "gets", "puts", "fail_get", "fail_put"):
        fresh = {"store": {}, "pseudo_dirs": [""], "gets": [], "puts": []}.get(name)
        monkeypatch.setattr(CountedFileSystem, name, fresh)
    monkeypatch.setenv("MASKGEN_CACHE", str(tmp_path / "copies"))
    return fsspec.filesystem("counted")


@pytest.fixture
def corpus(tmp_path, store):
    """Three compressed parts, on the disk and in the store."""
    paths = []
    for number in range(3):
        plain = write_jsonl(tmp_path / "plain.jsonl", documents(40, seed=number))
        path = tmp_path / f"part-{number}.jsonl.gz"
        with open(plain, "rb") as file:
            path.write_bytes(gzip.compress(file.read(), mtime=0))
        store.pipe_file(f"/bucket/part-{number}.jsonl.gz", path.read_bytes())
        paths.append(str(path))
    os.unlink(tmp_path / "plain.jsonl")
    return paths


def bucket(store, name):
    return store.cat_file(f"/bucket/{name}")


def test_what_is_a_url():
    for name in (
        "s3://b/x",
        "gs://b/part-*.gz",
        "memory://x",
        "file:///x",
        "simplecache::s3://b/x",
        "zip://a::s3://b/z",
    ):
        assert is_url(name), name
    for name in ("C:\\data\\x", "C://data/x", "data/x.jsonl", "/a://b", "a:b", "a b://c", "-", "", "://x", "s3:/b/x"):
        assert not is_url(name), name


def test_plain_paths_never_import_fsspec(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", documents(3))
    code = (
        "import sys; from maskgen import cli;"
        f"assert cli.main(['tokenize', {str(tmp_path / 'a.jsonl')!r}, '--tokenizer', {vocabulary(tmp_path)!r},"
        f" '--output-prefix', {str(tmp_path / 'out')!r}, '--workers', '0', '--quiet']) == 0;"
        "assert 'fsspec' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_glob_gives_the_bytes_of_local_files(tmp_path, corpus, store, workers):
    run(corpus, tmp_path / "local")
    run(f"{URL}/part-*.jsonl.gz", tmp_path / "out", Options(provenance=True), workers=workers)
    assert outcome(tmp_path / "out_text_document") == outcome(tmp_path / "local_text_document")
    sidecar = read_sidecar(str(tmp_path / "out_text_document"))
    assert [file.name for file in sidecar.inputs] == [f"{URL}/part-{number}.jsonl.gz" for number in range(3)]
    assert [file.bytes for file in sidecar.inputs] == [os.path.getsize(path) for path in corpus]
    assert origins(str(tmp_path / "out_text_document"), [41])[0].file == f"{URL}/part-1.jsonl.gz"
    assert sorted(store.gets) == [f"part-{number}.jsonl.gz" for number in range(3)]
    assert not os.path.exists(tmp_path / "out.maskgen-work")


def test_files_folders_and_local_files_together(tmp_path, corpus, store):
    run([corpus[1], corpus[0]], tmp_path / "local")
    store.pipe_file("/bucket/d/x/part-0.jsonl.gz", bucket(store, "part-0.jsonl.gz"))
    for name in ("d/README.md", "d/.git/a.jsonl", "d/_SUCCESS", "d/x/z.zip"):
        store.pipe_file(f"/bucket/{name}", b"PK\x03\x04")
    notes = []
    run([corpus[1], f"{URL}/d/"], tmp_path / "out", notes=notes)
    assert outcome(tmp_path / "out_text_document") == outcome(tmp_path / "local_text_document")
    assert store.gets == ["part-0.jsonl.gz"]
    assert all(f"{URL}/d/{name}" in notes[0] for name in ("README.md", ".git/a.jsonl", "_SUCCESS", "x/z.zip"))


def test_the_local_file_system(tmp_path, corpus):
    run(corpus, tmp_path / "local")
    manner = Manner(workers=0, work_dir=str(tmp_path / "work"))
    choice = TokenizerChoice(vocabulary(tmp_path))
    tokenize([f"file://{tmp_path}/part-*.jsonl.gz"], choice, f"file://{tmp_path}/far/out", Options(), manner)
    assert outcome(tmp_path / "far/out_text_document") == outcome(tmp_path / "local_text_document")
    assert verify_dataset(tmp_path / "far/out_text_document", full=True).ok
    assert not os.path.exists(tmp_path / "work")


def test_a_failed_download_goes_on_where_it_stopped(tmp_path, corpus, store):
    run(corpus, tmp_path / "local")
    CountedFileSystem.fail_get = "part-1"
    with pytest.raises(IndexedDatasetError, match="the network is gone") as caught:
        run(f"{URL}/*.gz", tmp_path / "out")
    assert caught.value.path == f"{URL}/part-1.jsonl.gz"
    kept = [name for _, _, names in os.walk(tmp_path / "out.maskgen-work/inputs") for name in names]
    assert sorted(name for name in kept if "part" in name) == ["part-0.jsonl.gz"]
    CountedFileSystem.fail_get = None
    run(f"{URL}/*.gz", tmp_path / "out")
    assert outcome(tmp_path / "out_text_document") == outcome(tmp_path / "local_text_document")
    assert store.gets == ["part-0.jsonl.gz", "part-1.jsonl.gz", "part-1.jsonl.gz", "part-2.jsonl.gz"]


def test_nothing_is_downloaded_twice_and_not_at_all_when_all_is_there(tmp_path, corpus, store):
    url = f"{URL}/*.gz"
    with pytest.raises(MaskgenError, match="absent"):  # of no record: the copies stay for the next command
        run(url, tmp_path / "out", Options(json_keys=("absent",)))
    run(url, tmp_path / "out")
    assert len(store.gets) == 3
    assert run(url, tmp_path / "out").already_complete
    assert len(store.gets) == 3
    assert not os.path.exists(tmp_path / "out.maskgen-work")
    store.pipe_file("/bucket/part-1.jsonl.gz", bucket(store, "part-2.jsonl.gz"))
    with pytest.raises(MaskgenError, match=r"finished dataset .*part-1.jsonl.gz.*--overwrite"):
        run(url, tmp_path / "out")
    assert len(store.gets) == 3
    run(url, tmp_path / "out", overwrite=True)
    assert len(store.gets) == 6


def test_an_object_that_changed_between_stop_and_resume(tmp_path, corpus, store, monkeypatch):
    url, done = f"{URL}/*.gz", []
    original = shard.read_piece

    def stopping(*arguments):
        done.append(arguments)
        if len(done) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    run(corpus, tmp_path / "local", Options(shard_bytes=1))
    with monkeypatch.context() as patch:
        patch.setattr(shard, "read_piece", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(url, tmp_path / "out", Options(shard_bytes=1))
    was = bucket(store, "part-0.jsonl.gz")
    store.pipe_file("/bucket/part-0.jsonl.gz", was[:-1])
    with pytest.raises(
        MaskgenError, match=f"unfinished work .*part-0.jsonl.gz: was {len(was)} bytes, is {len(was) - 1}"
    ):
        run(url, tmp_path / "out", Options(shard_bytes=1))
    assert len(store.gets) == 3
    store.pipe_file("/bucket/part-0.jsonl.gz", was)  # of the same content, but written again
    with pytest.raises(MaskgenError, match=r"part-0.jsonl.gz: has been written again"):
        run(url, tmp_path / "out", Options(shard_bytes=1))
    run(url, tmp_path / "out", Options(shard_bytes=1), overwrite=True)
    assert outcome(tmp_path / "out_text_document") == outcome(tmp_path / "local_text_document")


def test_an_object_that_changes_while_it_is_downloaded(tmp_path, corpus, store, monkeypatch):
    original = MemoryFileSystem.get_file

    def changing(self, rpath, lpath, **options):
        original(self, rpath, lpath, **options)
        self.pipe_file(rpath, b"{}")

    monkeypatch.setattr(MemoryFileSystem, "get_file", changing)
    with pytest.raises(IndexedDatasetError, match="changed meanwhile"):
        run(f"{URL}/part-0.jsonl.gz", tmp_path / "out")


def test_a_download_that_is_too_short(tmp_path, corpus, monkeypatch):
    def short(self, rpath, lpath, **options):
        with open(lpath, "wb") as file:
            file.write(self.cat_file(rpath)[:-1])

    monkeypatch.setattr(CountedFileSystem, "get_file", short)
    with pytest.raises(IndexedDatasetError, match=r"part-0.*found \d+ bytes, expected \d+"):
        run(f"{URL}/part-0.jsonl.gz", tmp_path / "out")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"{URL}/absent.jsonl", "nothing of that name"),
        (f"{URL}/*.parquet", "no match"),
        ("s3://bucket/a.jsonl", "pip install s3fs"),
        ("gs://bucket/*.jsonl", "pip install gcsfs"),
        ("nonsense://bucket/a", "Protocol not known"),
        (f"{URL}/saved", "save_to_disk"),
        (f"{URL}/odd.gz", "gzip"),
    ],
)
def test_errors_are_one_line_that_says_what_to_do(tmp_path, store, capsys, monkeypatch, url, words):
    for name in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("saved/state.json", "saved/a.arrow", "odd.gz"):
        store.pipe_file(f"/bucket/{name}", b"{}")
    command = ["tokenize", url, "--tokenizer", vocabulary(tmp_path), "--output-prefix", str(tmp_path / "out")]
    assert cli.main([*command, "--workers", "0"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"maskgen tokenize: error: {url}")
    assert words in error
    assert error.count("\n") == 1
    assert not os.path.exists(tmp_path / "out_text_document.idx")


def test_no_permission(tmp_path, corpus, monkeypatch):
    def refuse(self, path, **options):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(CountedFileSystem, "info", refuse)
    with pytest.raises(IndexedDatasetError, match=r"Access Denied.*credentials"):
        run(f"{URL}/part-0.jsonl.gz", tmp_path / "out")


def test_the_same_object_twice(tmp_path, corpus, store):
    with pytest.raises(MaskgenError, match="the same file as"):
        run([f"{URL}/part-0.jsonl.gz", f"{URL}/*.gz"], tmp_path / "out")
    assert store.gets == []


def test_a_bad_record_is_named_by_url(tmp_path, store):
    store.pipe_file("/bucket/a.jsonl", b'{"text": "a"}\nnonsense\n')
    with pytest.raises(MaskgenError, match=f"{URL}/a.jsonl.*line 2"):
        run(f"{URL}/a.jsonl", tmp_path / "out")


def test_dry_run_says_that_it_downloads_nothing(tmp_path, corpus, store, capsys):
    command = ["tokenize", f"{URL}/*.gz", "--tokenizer", vocabulary(tmp_path), "--output-prefix", str(tmp_path / "out")]
    assert cli.main([*command, "--dry-run"]) == 2
    assert "--dry-run" in capsys.readouterr().err
    assert store.gets == []


def test_training_a_tokenizer(tmp_path, corpus, store):
    command = ["train-tokenizer", "--vocab-size", "120"]
    assert cli.main([*command, *corpus, "--output", str(tmp_path / "local")]) == 0
    assert cli.main([*command, f"{URL}/part-*.gz", "--output", str(tmp_path / "far")]) == 0
    assert (tmp_path / "far/vocab.txt").read_bytes() == (tmp_path / "local/vocab.txt").read_bytes()
    assert len(store.gets) == 3  # though the texts are read twice
    assert not os.path.exists(tmp_path / "far.maskgen-work")


def test_reproduce(tmp_path, corpus, store, capsys):
    run(f"{URL}/*.gz", tmp_path / "out")
    command = ["reproduce", f"{tmp_path}/out_text_document.json", "--tokenizer", vocabulary(tmp_path), "--workers", "0"]
    assert cli.main(command) == 0
    assert len(store.gets) == 6
    moved = [f"--input={URL}/part-{number}.jsonl.gz={path}" for number, path in enumerate(corpus)]
    assert cli.main([*command, *moved]) == 0
    assert len(store.gets) == 6
    store.pipe_file("/bucket/part-1.jsonl.gz", bucket(store, "part-2.jsonl.gz"))
    capsys.readouterr()
    assert cli.main(command) == 1
    assert f"first in inputs: {URL}/part-1.jsonl.gz" in capsys.readouterr().out


def test_output_failing_in_the_middle_goes_on_to_the_same_bytes(tmp_path, corpus, store):
    run(corpus, tmp_path / "local")
    far = Far(tmp_path)
    for kind in ("bin", "json", "idx"):
        CountedFileSystem.fail_put = f".{kind}"
        with pytest.raises(IndexedDatasetError, match="the network is gone"):
            far.run(corpus)
        assert not store.exists("/bucket/out_text_document.idx")
    CountedFileSystem.fail_put = None
    far.run(corpus)
    assert [name.rpartition(".")[2] for name in store.puts[-3:]] == ["bin", "json", "idx"]
    for number, kind in enumerate(("bin", "idx")):
        assert bucket(store, f"out_text_document.{kind}") == contents(tmp_path / "local_text_document")[number]
    assert not os.path.exists(far.work)


def test_a_complete_remote_dataset_is_known_refused_and_replaced(tmp_path, corpus, store):
    far = Far(tmp_path)
    far.run(corpus)
    assert far.run(corpus).already_complete
    with pytest.raises(MaskgenError, match=r"made otherwise.*--overwrite"):
        far.run(corpus[:1])
    assert not far.run(corpus[:1], overwrite=True).already_complete
    store.rm("/bucket/out_text_document.bin")
    with pytest.raises(MaskgenError, match=r"out_text_document.bin: found nothing"):
        far.run(corpus[:1])
    store.pipe_file("/bucket/out_text_document.json", b'{"text": "a raw corpus"}')
    store.rm("/bucket/out_text_document.idx")
    with pytest.raises(MaskgenError, match="no sidecar"):
        far.run(corpus[:1])


def test_shards_of_a_remote_dataset(tmp_path, corpus, store):
    far = Far(tmp_path)
    far.run(corpus, Options(shard_bytes=1), keep_shards=True)
    assert far.run(corpus, Options(shard_bytes=1), keep_shards=True).already_complete
    far.run(corpus[:2], Options(shard_bytes=1), keep_shards=True, overwrite=True)
    names = sorted(os.path.basename(name) for name in store.find("/bucket") if name.endswith(".idx"))
    assert names == [f"out_text_document-0000{number}-of-00002.idx" for number in range(2)]


def test_quarantine_goes_to_the_store(tmp_path, store):
    store.pipe_file("/bucket/a.jsonl", b'{"text": "a"}\nnonsense\n')
    far = Far(tmp_path)
    summary = far.run([f"{URL}/a.jsonl"], Options(on_error="quarantine"), max_errors="100%")
    assert summary.quarantine == f"{URL}/out.quarantine.jsonl"
    assert b'"nonsense"' in bucket(store, "out.quarantine.jsonl")


def test_reading_merging_and_verifying_remote_datasets(tmp_path, corpus, store):
    run(corpus, tmp_path / "local")
    Far(tmp_path).run(corpus)
    url = f"{URL}/out_text_document"
    assert read_all(url) == read_all(tmp_path / "local_text_document")
    assert sorted(store.gets) == [f"out_text_document.{kind}" for kind in ("bin", "idx", "json")]
    assert IndexedDataset(f"{url}.idx").prefix.startswith(str(tmp_path / "copies"))
    assert verify_dataset(url, full=True).ok
    assert len(store.gets) == 3
    merge_datasets([url, str(tmp_path / "local_text_document")], tmp_path / "merged")
    assert read_all(tmp_path / "merged") == 2 * read_all(tmp_path / "local_text_document")
    Far(tmp_path).run(corpus[:1], overwrite=True)
    assert len(IndexedDataset(url).document_indices) - 1 == 40
    assert len(store.gets) == 6
    with pytest.raises(IndexedDatasetError, match="nothing of that name"):
        IndexedDataset(f"{URL}/absent")


def test_urls_of_what_a_pattern_matches(store):
    store.pipe_file("/bucket/a[1].jsonl", b"{}")
    store.pipe_file("/bucket/d/b.jsonl", b"{}")
    assert not Store(f"{URL}/a[1].jsonl").is_glob()
    assert [file.url for file in Store(f"{URL}/*/*.jsonl").files()] == [f"{URL}/d/b.jsonl"]
    assert [file.url for file in Store("simplecache::memory://none/*").files()] == []
    assert [file.url for file in Store(f"{URL}/d").files()] == [f"{URL}/d/b.jsonl"]


class Far:
    """Runs whose output is in the store."""

    def __init__(self, folder):
        self.folder, self.work = folder, str(folder / "work")

    def run(self, inputs, options=None, **manner):
        manner = Manner(workers=0, work_dir=self.work, **manner)
        return tokenize(inputs, TokenizerChoice(vocabulary(self.folder)), f"{URL}/out", options or Options(), manner)
