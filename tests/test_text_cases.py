"""The bad texts that people feed to tokenizing tools, each under every policy, at the level of whole runs.

By default the first bad record stops the run, named with file, line and byte; `skip` and `quarantine` count it by its
reason and go on. What is not an error is not counted as one. No case ends or hangs the process.
"""

import base64
import bz2
import gzip
import json
import lzma
import os
from pathlib import Path

import pytest
from helpers import leftovers, read_all
from pipeline_runs import outcome, run, vocabulary, write_lines

from preprocess import IndexedDataset, MaskgenError, load_tokenizer
from preprocess.indexed.sidecar import read_sidecar
from preprocess.pipeline.options import Options

GOOD = b'{"text": "hello world"}'
LAST = b'{"text": "the token"}'

# number, name -> the line, the reason by which it is counted
BAD_LINES = {
    (1, "malformed line"): (b'{"text": "hello', "not JSON"),
    (2, "missing key"): (b'{"body": "hello"}', "missing key"),
    (3, "null text"): (b'{"text": null}', "null"),
    (4, "number"): (b'{"text": 3.5}', "not text"),
    (5, "list of something else"): (b'{"text": ["hello", 1]}', "not text"),
    (10, "invalid UTF-8 in the text"): (b'{"text": "he\xffllo"}', "invalid UTF-8"),
    (10, "invalid UTF-8 elsewhere"): (b'{"x": "\xc3\x28", "text": "hello"}', "invalid UTF-8"),
    (11, "lone surrogate escape"): (b'{"text": "he\\ud83dllo"}', "lone surrogate"),
    (12, "NaN as the text"): (b'{"text": NaN}', "not text"),
    (12, "Infinity as the text"): (b'{"text": -Infinity}', "not text"),
    (13, "the key twice"): (b'{"text": "hello", "text": "world"}', "duplicate key"),
    (14, "top-level array"): (b'[{"text": "hello"}]', "not a JSON object"),
    (15, "trailing junk"): (b'{"text": "hello"} // a remark', "not JSON"),
    (21, "nesting 100,000 deep"): (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b', "text": ""}', "nested too deep"),
    (21, "nesting without end"): (b'{"x": ' + b'{"a":' * 100_000, "nested too deep"),
    (22, "a 5,000-digit integer as the text"): (b'{"text": ' + b"9" * 5000 + b"}", "not text"),
    (23, "raw NUL"): (b'{"text": "he\x00llo"}', "not JSON"),
    (23, "raw control character"): (b'{"text": "he\x1fllo"}', "not JSON"),
    (24, "two objects on one line"): (GOOD + GOOD, "not JSON"),
    (26, "one huge line"): (b'{"text": "' + b"hello " * 2000 + b'"}', "line too long"),
}
# What looks odd and is a document, with its text.
FINE_LINES = {
    (5, "list of sentences"): (b'{"text": ["hello", "world"]}', "hello world"),
    (12, "NaN elsewhere"): (b'{"score": NaN, "text": "hello"}', "hello"),
    (13, "another key twice"): (b'{"x": 1, "x": 2, "text": "hello"}', "hello"),
    (19, "empty text"): (b'{"text": ""}', ""),
    (21, "some nesting"): (b'{"x": ' + b"[" * 150 + b"]" * 150 + b', "text": "hello"}', "hello"),
    (22, "a 5,000-digit integer elsewhere"): (b'{"id": ' + b"9" * 5000 + b', "text": "hello"}', "hello"),
    (23, "an escaped NUL"): (b'{"text": "he\\u0000llo"}', "he\x00llo"),
    (25, "U+2028 inside"): ('{"text": "hello\u2028world"}'.encode(), "hello\u2028world"),
    (25, "U+0085 inside"): ('{"text": "hello\x85world"}'.encode(), "hello\x85world"),
    (25, "a surrogate pair"): (b'{"text": "hello \\ud83d\\ude00"}', "hello \U0001f600"),
    (7, "CRLF"): (b'{"text": "hello"}\r', "hello"),
}
BLANK_LINES = {
    (6, "blank line"): b"",
    (7, "CRLF blank line"): b"\r",
    (8, "spaces-only line"): b"  \t ",
}


def names(cases):
    return [f"{number} {name}" for number, name in cases]


def encode(tmp_path, text):
    return load_tokenizer(vocabulary(tmp_path), "reference").encode_batch([text])[0].tolist()


def settings(policy, **more):
    return Options(on_error=policy, max_line_bytes=1_000_000, **more)


@pytest.mark.parametrize("case", BAD_LINES, ids=names(BAD_LINES))
def test_bad_line_is_an_error(tmp_path, case):
    line, reason = BAD_LINES[case]
    corpus = write_lines(tmp_path / "corpus.jsonl", GOOD, line, LAST)
    limit = 4000 if reason == "line too long" else 1_000_000
    small = max(10, len(line) // 20)  # several shards begin inside each line
    for shard_bytes in (None, small):
        prefix = tmp_path / f"out{shard_bytes}"
        with pytest.raises(MaskgenError) as caught:
            run(corpus, prefix, Options(max_line_bytes=limit, shard_bytes=shard_bytes))
        message = str(caught.value)
        assert message.startswith(f"{corpus}: line 2, byte {len(GOOD) + 1}: found {reason}"), message
        assert "expected" in message
        assert "--on-error skip" in message
        assert "\n" not in message
        assert len(message) < 600
        assert not list(tmp_path.glob("out*_document*"))


@pytest.mark.parametrize("policy", ["skip", "quarantine"])
@pytest.mark.parametrize("case", BAD_LINES, ids=names(BAD_LINES))
def test_bad_line_is_counted_and_left_out(tmp_path, case, policy):
    line, reason = BAD_LINES[case]
    corpus = write_lines(tmp_path / "corpus.jsonl", GOOD, line, LAST, line)
    found = []
    for shard_bytes in (None, max(10, len(line) // 20)):
        options = Options(
            on_error=policy, max_line_bytes=4000 if reason == "line too long" else 1_000_000, shard_bytes=shard_bytes
        )
        summary = run(corpus, tmp_path / f"out{shard_bytes}", options, max_errors="2")
        prefix = summary.prefixes[0]
        assert read_all(prefix) == [encode(tmp_path, "hello world"), encode(tmp_path, "the token")]
        assert read_sidecar(prefix).statistics["skipped"] == {reason: 2}
        assert f"2 {reason}" in "\n".join(summary.lines())
        found.append(outcome(prefix))
        if policy == "quarantine":
            check_quarantine(summary.quarantine, corpus, line, reason)
        else:
            assert summary.quarantine is None
    assert found[0] == found[1]


def check_quarantine(path, corpus, line, reason):
    kept = [json.loads(row) for row in Path(path).read_bytes().splitlines()]
    first = len(GOOD) + 1
    second = first + len(line) + 1 + len(LAST) + 1
    assert [(row["path"], row["line"], row["offset"]) for row in kept] == [(corpus, 2, first), (corpus, 4, second)]
    for row in kept:
        assert row["reason"] == reason
        assert row["bytes"] == len(line)
        raw = row["raw"].encode() if "raw" in row else base64.b64decode(row["raw_base64"])
        assert raw == line


@pytest.mark.parametrize("policy", ["error", "skip", "quarantine"])
@pytest.mark.parametrize("case", FINE_LINES, ids=names(FINE_LINES))
def test_odd_line_is_a_document(tmp_path, case, policy):
    line, text = FINE_LINES[case]
    corpus = write_lines(tmp_path / "corpus.jsonl", GOOD, line, LAST)
    prefix = run(corpus, tmp_path / "out", settings(policy)).prefixes[0]
    dataset = IndexedDataset(prefix)
    assert len(dataset.document_indices) == 4
    first, last = dataset.document_indices[1:3].tolist()
    assert [i for part in dataset[first:last] for i in part.tolist()] == encode(tmp_path, text)
    assert read_sidecar(prefix).statistics["skipped"] == {}


@pytest.mark.parametrize("policy", ["error", "skip", "quarantine"])
@pytest.mark.parametrize("case", BLANK_LINES, ids=names(BLANK_LINES))
def test_blank_line_is_no_document_and_no_error(tmp_path, case, policy):
    corpus = write_lines(tmp_path / "corpus.jsonl", BLANK_LINES[case], GOOD, BLANK_LINES[case], LAST)
    prefix = run(corpus, tmp_path / "out", settings(policy)).prefixes[0]
    assert len(IndexedDataset(prefix).document_indices) == 3
    statistics = read_sidecar(prefix).statistics
    assert (statistics["skipped"], statistics["blank_lines"], statistics["lines_read"]) == ({}, 2, 4)


CONTENT = b"\n".join([GOOD] * 3000) + b"\n"


def zstd(content):
    import zstandard

    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


# Whole files that cannot be read: how they are made, and the reason.
BAD_FILES = {
    (16, "truncated gz"): ("c.jsonl.gz", gzip.compress(CONTENT)[:-30], "corrupt file"),
    (16, "truncated zst"): ("c.jsonl.zst", lambda: zstd(CONTENT)[:-7], "corrupt file"),
    (16, "truncated bz2"): ("c.jsonl.bz2", bz2.compress(CONTENT)[:-7], "corrupt file"),
    (16, "truncated xz"): ("c.jsonl.xz", lzma.compress(CONTENT)[:-7], "corrupt file"),
    (18, "gz with trailing garbage"): ("c.jsonl.gz", gzip.compress(CONTENT) + b"garbage", "corrupt file"),
    (20, "bad CRC in gz"): ("c.jsonl.gz", flipped(gzip.compress(CONTENT), -8), "corrupt file"),
    (20, "bad checksum in zst"): ("c.jsonl.zst", lambda: flipped(zstd(CONTENT), -1), "corrupt file"),
    (29, "UTF-16"): ("c.jsonl", CONTENT.decode().encode("utf-16"), "file in UTF-16 or UTF-32"),
    (29, "UTF-16 without a mark"): ("c.jsonl", CONTENT.decode().encode("utf-16-le"), None),
    (30, "corrupt Parquet footer"): ("c.parquet", b"PAR1" + bytes(100) + b"PAR1", "corrupt file"),
}


@pytest.mark.parametrize("policy", ["error", "skip", "quarantine"])
@pytest.mark.parametrize("case", BAD_FILES, ids=names(BAD_FILES))
def test_a_file_that_cannot_be_read(tmp_path, case, policy):
    """None of it is used, also where the damage shows at the very end, and the files around it are."""
    name, content, reason = BAD_FILES[case]
    before = write_lines(tmp_path / "a.jsonl", GOOD)
    (tmp_path / name).write_bytes(content() if callable(content) else content)
    after = write_lines(tmp_path / "z.jsonl", LAST)
    inputs = [before, tmp_path / name, after]
    if policy == "error" or reason is None:
        with pytest.raises(MaskgenError, match=rf"{name}.*found .*expected .*; "):
            run(inputs, tmp_path / "out", settings("error"), max_errors="100%")
        assert not list(tmp_path.glob("out_*"))
        return
    for number, shard_bytes in enumerate((None, 1000)):
        options = settings(policy, shard_bytes=shard_bytes)
        summary = run(inputs, tmp_path / f"out{number}", options, max_errors="100%")
        prefix = summary.prefixes[0]
        assert read_all(prefix) == [encode(tmp_path, "hello world"), encode(tmp_path, "the token")]
        left_out = read_sidecar(prefix).statistics["files_left_out"]
        assert [(file["name"], file["reason"]) for file in left_out] == [(str(tmp_path / name), reason)]
        assert name in "\n".join(summary.lines())
    assert outcome(tmp_path / "out0_text_document") == outcome(tmp_path / "out1_text_document")
    with pytest.raises(MaskgenError, match="expected at most 1%"):
        run(inputs, tmp_path / "strict", settings(policy))


@pytest.mark.parametrize("policy", ["error", "skip", "quarantine"])
def test_9_byte_order_mark(tmp_path, policy):
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD + b"\n" + LAST + b"\n")
    prefix = run(path, tmp_path / "out", settings(policy, shard_bytes=5)).prefixes[0]
    assert read_all(prefix) == [encode(tmp_path, "hello world"), encode(tmp_path, "the token")]


@pytest.mark.parametrize("policy", ["error", "skip", "quarantine"])
def test_17_concatenated_gz_members_are_all_read(tmp_path, policy):
    path = tmp_path / "corpus.jsonl.gz"
    path.write_bytes(gzip.compress(GOOD + b"\n") + gzip.compress(b"") + gzip.compress(LAST) + bytes(512))
    prefix = run(path, tmp_path / "out", settings(policy)).prefixes[0]
    assert read_all(prefix) == [encode(tmp_path, "hello world"), encode(tmp_path, "the token")]


@pytest.mark.parametrize("policy", ["error", "skip", "quarantine"])
def test_27_empty_file(tmp_path, policy):
    (tmp_path / "corpus.jsonl").write_bytes(b"")
    summary = run(tmp_path / "corpus.jsonl", tmp_path / "out", settings(policy))
    assert read_all(summary.prefixes[0]) == []
    assert "no document was found" in "\n".join(summary.lines())


@pytest.mark.parametrize("policy", ["error", "skip", "quarantine"])
def test_28_no_final_newline(tmp_path, policy):
    path = tmp_path / "corpus.jsonl"
    for last, documents in ((LAST, 2), (b"", 1), (b" ", 1)):
        path.write_bytes(GOOD + b"\n" + last)
        prefix = run(path, tmp_path / f"out{len(last)}", settings(policy, shard_bytes=7)).prefixes[0]
        assert len(IndexedDataset(prefix).document_indices) == documents + 1


@pytest.mark.parametrize("policy", ["error", "skip", "quarantine"])
def test_30_null_in_parquet(tmp_path, policy):
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "corpus.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["hello", None, "world"]}), path)
    if policy == "error":
        with pytest.raises(MaskgenError, match="row 2: found null"):
            run(path, tmp_path / "out", settings(policy))
        return
    summary = run(path, tmp_path / "out", settings(policy), max_errors="1")
    assert read_all(summary.prefixes[0]) == [encode(tmp_path, "hello"), encode(tmp_path, "world")]
    assert read_sidecar(summary.prefixes[0]).statistics["skipped"] == {"null": 1}


@pytest.mark.parametrize("policy", ["error", "skip", "quarantine"])
def test_30_wrong_column_in_parquet(tmp_path, policy):
    """A column that holds no text holds none in any row: that is no matter of single records."""
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "corpus.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": [1, 2], "body": ["a", "b"]}), path)
    for keys in (("text",), ("missing",)):
        with pytest.raises(MaskgenError, match=r"corpus\.parquet.*found .*expected .*; "):
            run(path, tmp_path / "out", settings(policy, json_keys=keys), max_errors="100%")


@pytest.mark.parametrize("policy", ["error", "skip", "quarantine"])
def test_31_the_same_path_twice(tmp_path, policy):
    corpus = write_lines(tmp_path / "corpus.jsonl", GOOD)
    os.symlink(corpus, tmp_path / "other.jsonl")
    for second in (corpus, tmp_path / "." / "corpus.jsonl", tmp_path / "other.jsonl"):
        with pytest.raises(MaskgenError, match=r"twice|same file"):
            run([corpus, second], tmp_path / "out", settings(policy))


@pytest.mark.parametrize("policy", ["error", "skip", "quarantine"])
@pytest.mark.parametrize("grown", [True, False])
def test_31_a_file_changed_during_the_run(tmp_path, policy, grown, monkeypatch):
    """Nothing of a file that is two files may be used, whatever the policy."""
    from preprocess.pipeline import shard

    corpus = write_lines(tmp_path / "corpus.jsonl", *[GOOD] * 50)
    original = shard.read_piece

    def read_and_change(*arguments):
        for number, block in enumerate(original(*arguments)):
            if number == 0:
                os.truncate(corpus, os.path.getsize(corpus) + (1 if grown else -1))
            yield block

    monkeypatch.setattr(shard, "read_piece", read_and_change)
    with pytest.raises(MaskgenError, match=r"corpus\.jsonl.*changed|corpus\.jsonl.*was"):
        run(corpus, tmp_path / "out", settings(policy), max_errors="100%")
    assert not list(tmp_path.glob("out_*"))


@pytest.mark.parametrize("policy", ["error", "skip", "quarantine"])
def test_32_end_of_document_on_empty_text(tmp_path, policy):
    corpus = write_lines(tmp_path / "corpus.jsonl", b'{"text": ""}', GOOD, b'{"text": " "}')
    prefix = run(corpus, tmp_path / "out", settings(policy, append_eod=True)).prefixes[0]
    assert read_all(prefix) == [[*encode(tmp_path, "hello world"), 3]]
    assert IndexedDataset(prefix).document_indices.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("kind", ["fifo", "missing", "dangling", "loop", "empty folder"])
def test_45_what_is_no_file(tmp_path, kind):
    path = tmp_path / "corpus.jsonl"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "loop":
        path.symlink_to("corpus.jsonl")
    elif kind == "empty folder":
        path.mkdir()
    with pytest.raises(MaskgenError, match=r"found .*expected .*; "):
        run(path, tmp_path / "out")
    assert leftovers(tmp_path) == []
    assert not list(tmp_path.glob("out*"))


def test_47_decompression_bomb(tmp_path):
    """A gigabyte of zeros, in a megabyte: one line, and the cap stops it."""
    path = tmp_path / "corpus.jsonl.gz"
    path.write_bytes(gzip.compress(bytes(1 << 24)) * 4)
    with pytest.raises(MaskgenError, match="line too long"):
        run(path, tmp_path / "out", Options(max_line_bytes=100_000))


@pytest.mark.parametrize(
    ("limit", "enough"), [("2", False), ("3", True), ("29%", False), ("30%", True), ("100%", True), ("0", False)]
)
def test_too_many_errors(tmp_path, limit, enough):
    """The run fails, and goes on from where it was with a higher limit."""
    corpus = write_lines(tmp_path / "corpus.jsonl", *[GOOD] * 7, *[b"{"] * 3)
    if enough:
        assert run(corpus, tmp_path / "out", Options(on_error="skip"), max_errors=limit).totals.skipped == {
            "not JSON": 3
        }
        return
    with pytest.raises(MaskgenError, match=r"3 not JSON among 10 records, expected at most"):
        run(corpus, tmp_path / "out", Options(on_error="skip"), max_errors=limit)
    assert not list(tmp_path.glob("out_*"))
    assert run(corpus, tmp_path / "out", Options(on_error="skip"), max_errors="100%").shards_found == 1


@pytest.mark.parametrize("limit", ["", "x", "-1", "101%", "1.5", "%"])
def test_senseless_limit(tmp_path, limit):
    corpus = write_lines(tmp_path / "corpus.jsonl", GOOD)
    with pytest.raises(MaskgenError, match="--max-errors: found"):
        run(corpus, tmp_path / "out", max_errors=limit)


def test_the_policy_may_change_while_work_is_continued(tmp_path):
    """Clean shards of a run that stopped at a bad line serve the next run, which skips it; and the other way round."""
    corpus = write_lines(tmp_path / "corpus.jsonl", *[GOOD] * 40, b"junk", *[LAST] * 40)
    options = {"shard_bytes": 300}
    with pytest.raises(MaskgenError, match="line 41"):
        run(corpus, tmp_path / "out", Options(**options))
    with pytest.raises(MaskgenError, match="expected at most 0"):
        run(corpus, tmp_path / "out", Options(on_error="skip", **options), max_errors="0")
    with pytest.raises(MaskgenError, match="line 41"):
        run(corpus, tmp_path / "out", Options(**options))
    summary = run(corpus, tmp_path / "out", Options(on_error="quarantine", **options), max_errors="5%")
    assert summary.shards_found > 3
    assert json.loads(Path(summary.quarantine).read_text())["line"] == 41
    with pytest.raises(MaskgenError, match=r"left out \(1 not JSON\)"):
        run(corpus, tmp_path / "out", Options(**options))
