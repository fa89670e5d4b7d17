"""Finding the files of a corpus: names, folders, globs, formats, and what is refused."""

import functools
import gzip
import io
import json
import os
import socket

import pytest
import zstandard
from corpus_files import MAX
from helpers import assert_explains

from preprocess import IndexedDatasetError
from preprocess.corpora.errors import CorpusError, CorpusFileError
from preprocess.corpora.inputs import find_inputs
from preprocess.corpora.line_blocks import line_blocks
from preprocess.staging import spool_stdin

OBJECT = b'{"text": "a"}\n'
packed = functools.partial(gzip.compress, mtime=0)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(path, content=OBJECT):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    return path


def names(*arguments, **options):
    return [file.name for file in find_inputs(arguments, **options).files]


def refused(*arguments, match=None, **options):
    with pytest.raises(CorpusError, match=match) as caught:
        find_inputs(arguments, **options)
    error = caught.value
    for part in (error.path, error.found, error.expected, error.remedy):
        assert part
        assert part in str(error)
    return str(error)


def test_a_file_as_it_was_found(folder):
    put("b.jsonl.gz", packed(OBJECT))
    (file,) = find_inputs(["b.jsonl.gz"]).files
    state = os.stat("b.jsonl.gz")
    assert (file.name, file.path) == ("b.jsonl.gz", str(folder / "b.jsonl.gz"))
    assert (file.bytes, file.modified_ns) == (state.st_size, state.st_mtime_ns)
    assert (file.format, file.compression, file.split) == ("jsonl", "gzip", None)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.json", b"", "jsonl"),
        ("a.NDJSON", b"", "jsonl"),
        ("a.txt", OBJECT, "text"),
        ("a.text.zst", zstandard.compress(b"x"), "text"),
        ("a.parquet", b"", "parquet"),
        ("part-00000", b"\xef\xbb\xbf \n\t" + OBJECT, "jsonl"),
        ("part-00000.gz", packed(b"\n" + OBJECT), "jsonl"),
        ("part-0", b"PAR1...", "parquet"),
        ("utf-16", '{"text": "a"}'.encode("utf-16"), "jsonl"),
    ],
)
def test_formats(name, content, kind):
    put(name, content)
    for argument in (name, "."):
        assert [file.format for file in find_inputs([argument]).files] == [kind]


def test_a_format_that_nothing_tells():
    for content in (b"", b" \n", b"plain text", b"[1]", "{".encode("utf-16-le")[1:]):
        assert "--format" in refused(put("data", content), match="neither name nor content")
    assert [file.format for file in find_inputs(["data"], format="text").files] == ["text"]
    assert [file.format for file in find_inputs([put("a.txt")], format="jsonl").files] == ["jsonl"]
    refused("a.txt", format="xml", match="one of auto, jsonl")
    refused("a.txt", format="datasets", match="save_to_disk")


def test_order():
    for name in ("z.jsonl", "d/b.jsonl", "d/a/x.jsonl", "d/a.jsonl", "g2.jsonl", "g1.jsonl"):
        put(name)
    assert names("z.jsonl", "d", "g*.jsonl") == [
        "z.jsonl", "d/a.jsonl", "d/a/x.jsonl", "d/b.jsonl", "g1.jsonl", "g2.jsonl",
    ]  # fmt: skip
    assert names("g2.jsonl", "g1.jsonl") == ["g2.jsonl", "g1.jsonl"]


def test_what_is_left_out_of_a_folder_is_told():
    put("d/a.jsonl")
    for name in ("README.md", "_SUCCESS", ".a.jsonl.crc", ".git/x.jsonl", "_temporary/y.jsonl", "sub/notes.xml"):
        put(f"d/{name}", b"something")
    put("d/old.zip", b"PK\x03\x04")
    found = find_inputs(["d"])
    assert [file.name for file in found.files] == ["d/a.jsonl"]
    assert found.left_out == [
        "d/.a.jsonl.crc", "d/.git/", "d/README.md", "d/_SUCCESS", "d/_temporary/", "d/old.zip", "d/sub/notes.xml",
    ]  # fmt: skip


def test_a_format_chooses_among_the_files_of_a_folder():
    for name, content in [("a.jsonl", OBJECT), ("b.txt", b"b"), ("c", OBJECT), ("d", b"d"), ("e.md", b"e")]:
        put(f"d/{name}", content)
    assert names("d", format="jsonl") == ["d/a.jsonl", "d/c"]
    assert names("d", format="text") == ["d/b.txt", "d/c", "d/d", "d/e.md"]
    assert "parquet" in refused("d", format="parquet")


def test_globs():
    for name in ("d/a.jsonl", "d/e/b.jsonl", "d/e/c.txt", "d/README.md"):
        put(name, OBJECT if "md" not in name else b"# text")
    assert names("d/*.jsonl") == ["d/a.jsonl"]
    assert names("d/**/*.jsonl") == ["d/a.jsonl", "d/e/b.jsonl"]
    found = find_inputs(["d/**"])
    assert [file.name for file in found.files] == ["d/a.jsonl", "d/e/b.jsonl", "d/e/c.txt"]
    assert found.left_out == ["d/README.md"]
    assert "quote" in refused("d/*.json", match="no match")
    refused("d/*.md", match="no file that is a corpus")


def test_a_name_with_glob_characters_that_exists_is_that_file():
    put("a[1].jsonl")
    put("a1.jsonl")
    assert names("a[1].jsonl") == ["a[1].jsonl"]
    assert names("a[1-9].jsonl") == ["a1.jsonl"]


def test_case_45_what_is_no_file(folder):
    refused("absent.jsonl", match="no file of that name")
    refused("", match="no file of that name")
    refused("nul\x00", match="null byte")
    refused(put("a.jsonl") + "/b", match="Not a directory")
    os.mkfifo("fifo.jsonl")
    refused("fifo.jsonl", match="a FIFO")
    refused("/dev/null", match="a device")
    os.symlink("absent", "dangling.jsonl")
    refused("dangling.jsonl", match="a link to nothing")
    os.symlink("looping.jsonl", "looping.jsonl")
    refused("looping.jsonl", match="symbolic links")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jsonl")
        refused("socket.jsonl", match="a socket")
    os.mkdir("empty")
    refused("empty", match="no file that is a corpus")
    for name in ("fifo.jsonl", "dangling.jsonl", "looping.jsonl", "socket.jsonl"):
        os.makedirs(f"d/{name}")
        os.rename(name, f"d/{name}/{name}")
        refused(f"d/{name}", match=name)


def test_links_to_folders_are_followed_once():
    put("d/a/x.jsonl")
    os.symlink("..", "d/a/up")
    os.symlink("a", "d/b")
    found = find_inputs(["d"])
    assert [file.name for file in found.files] == ["d/a/x.jsonl"]
    assert sorted(name.split("/ ")[0] for name in found.left_out) == ["d/a/up", "d/b"]
    put("elsewhere/y.jsonl")
    os.symlink("../elsewhere", "d/c")
    assert names("d") == ["d/a/x.jsonl", "d/c/y.jsonl"]


def test_case_31_the_same_path_twice(folder):
    put("d/a.jsonl")
    os.symlink("a.jsonl", "d/link.jsonl")
    for others in (["d/a.jsonl"], ["./d//a.jsonl"], [str(folder / "d" / "a.jsonl")], ["d/link.jsonl"], ["d/a*"]):
        assert "the same file as d/a.jsonl" in refused("d/a.jsonl", *others)
    refused("d", match="the same file as")
    os.remove("d/link.jsonl")
    refused("d", "d/a.jsonl", match="the same file as")


def test_compression_is_what_the_content_says():
    for name, content, compression in [
        ("a.jsonl", packed(OBJECT), "gzip"),
        ("b.jsonl.zst", zstandard.compress(OBJECT), "zstd"),
        ("c.jsonl.gz", b"", None),
        ("d.jsonl", b"BZh9", None),
    ]:
        (file,) = find_inputs([put(name, content)]).files
        assert (file.format, file.compression) == ("jsonl", compression)
    refused(put("e.jsonl.gz", OBJECT), match="no gzip")
    refused(put("e.jsonl.gz", zstandard.compress(OBJECT)), match="no gzip")
    refused(put("e.jsonl", b"PK\x03\x04"), match="a ZIP archive")
    refused(put("e.zip", b"PK\x03\x04"), match="unpack it")
    refused(put("e.parquet", packed(b"PAR1")), match="Parquet file inside gzip")
    with pytest.raises(CorpusFileError, match="truncated"):
        find_inputs([put("part-0", packed(OBJECT)[:-3])])


def test_case_29_utf16_is_found_when_it_is_read():
    (file,) = find_inputs([put("a.txt", "text\n".encode("utf-16"))]).files
    with pytest.raises(CorpusFileError, match="UTF-16"):
        list(line_blocks(file, 0, file.bytes, max_line_bytes=MAX))


def test_standard_input(folder):
    content = packed(OBJECT * 1000)
    path = spool_stdin(io.BytesIO(content), str(folder))
    (file,) = find_inputs([path]).files
    assert (file.bytes, file.format, file.compression) == (len(content), "jsonl", "gzip")
    assert os.listdir(folder) == [os.path.basename(path)]


def test_standard_input_that_fails(folder):
    class Failing(io.BytesIO):
        def read(self, _size):
            raise OSError(5, "Input/output error")

    with pytest.raises(IndexedDatasetError, match="Input/output error") as caught:
        spool_stdin(Failing(), str(folder))
    assert_explains(caught.value)
    with pytest.raises(IndexedDatasetError, match="No such file"):
        spool_stdin(io.BytesIO(), str(folder / "absent"))
    assert os.listdir(folder) == []


def save(path, state):
    put(f"{path}/dataset_info.json", b"{}")
    put(f"{path}/state.json", json.dumps(state).encode())
    put(f"{path}/data-00000-of-00001.arrow", b"12345")


def test_saved_datasets(folder):
    save("saved", {"_split": "train"})
    (file,) = find_inputs(["saved"]).files
    size = sum(os.path.getsize(f"saved/{name}") for name in os.listdir("saved"))
    newest = max(os.stat(f"saved/{name}").st_mtime_ns for name in os.listdir("saved"))
    assert (file.format, file.path, file.bytes, file.modified_ns) == ("datasets", f"{folder}/saved", size, newest)
    assert names("saved", split="train") == ["saved"]
    refused("saved", split="test", match="one of train")
    refused("saved", "./saved", match="the same file as saved")
    os.makedirs("all")
    os.rename("saved", "all/saved")
    put("all/a.jsonl")
    assert names("all") == ["all/a.jsonl", "all/saved"]


def test_saved_datasets_with_splits(folder):
    put("saved/dataset_dict.json", b'{"splits": ["train", "test"]}')
    save("saved/train", {})
    save("saved/test", {})
    assert "several splits, expected one of train, test" in refused("saved")
    assert "no split 'dev', expected one of train, test" in refused("saved", split="dev")
    (file,) = find_inputs(["saved"], split="test").files
    assert (file.path, file.split) == (f"{folder}/saved/test", "test")
    put("saved/dataset_dict.json", b"[]")
    refused("saved", match="no JSON object")
    put("saved/dataset_dict.json", b"{")
    refused("saved", match="no JSON")
    refused(put("a.jsonl"), split="train", match="leave --split out")


def test_a_corpus_with_a_state_json_of_its_own():
    put("d/state.json")
    assert names("d") == ["d/state.json"]


def test_names_on_the_hub():
    (file,) = find_inputs(["owner/name:config"], format="datasets", split="train").files
    assert (file.name, file.path, file.format) == ("owner/name:config", "owner/name:config", "datasets")
    assert (file.bytes, file.modified_ns, file.split) == (0, 0, "train")
    assert "--format datasets" in refused("owner/name:config")
    refused("owner/name", "owner/name", format="datasets", match="the same file")
