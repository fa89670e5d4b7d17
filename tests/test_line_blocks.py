"""Blocks of lines against bytes.split, over every cut of a file into ranges, and lines that are too long."""

import itertools
import os
import tracemalloc

import pytest
from corpus_files import MAX, describe, write
from helpers import assert_explains
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess import IndexedDatasetError
from preprocess._native import count_newlines
from preprocess.corpora.corpus_file import CorpusFile
from preprocess.corpora.errors import RAW_KEPT, TOO_LONG, WRONG_ENCODING, CorpusError, CorpusFileError
from preprocess.corpora.line_blocks import line_blocks

MARK = b"\xef\xbb\xbf"
PIECES = [b"\n", b"\n\n", b"\r\n", b"\r", b"a", b"word", b" ", b"\x00", "\u2028".encode(), "\u0085".encode(), b"x" * 40]
contents = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)


def lines_by_split(content):
    """The definition: (offset, line with its end) for each line."""
    start = len(MARK) if content.startswith(MARK) else 0
    lines, offset = [], start
    for line in content[start:].split(b"\n"):
        lines.append((offset, content[offset : offset + len(line) + 1]))
        offset += len(line) + 1
    return [(offset, line) for offset, line in lines if line]


def read(file, begin=0, end=None, max_line_bytes=MAX, block_bytes=1 << 20):
    """(line number, offset, line or problem) for each line; everything that blocks promise is checked on the way."""
    found, number, offset, bytes_read = [], 0, None, 0
    for block in line_blocks(
        file, begin, file.bytes if end is None else end, max_line_bytes=max_line_bytes, block_bytes=block_bytes
    ):
        assert block.lines_before == number
        assert offset in (None, block.offset) or not block.lines
        offset = block.offset + len(block.data)
        bytes_read += block.bytes_read
        for problem in block.problems:
            assert not block.data
            assert (problem.line, problem.offset) == (number, block.offset)
            found.append((problem.offset, problem))
            number, offset = number + 1, offset + problem.size + 1
        content = bytes(block.data)
        at = block.offset
        for line in content.split(b"\n")[:-1]:
            found.append((at, line + b"\n"))
            at += len(line) + 1
        if not content.endswith(b"\n") and content:
            found.append((at, content.rpartition(b"\n")[2]))
            assert at + len(found[-1][1]) == file.bytes
        number = block.lines_before + block.lines
        assert number == len(found)
    return found, bytes_read


@settings(max_examples=200, deadline=None)
@given(
    contents,
    st.lists(st.integers(0, 200), max_size=4),
    st.integers(1, 70),
    st.sampled_from([3, 10, 1000]),
    st.booleans(),
)
def test_any_cut_into_ranges_gives_every_line_once(tmp_path_factory, content, cuts, block_bytes, longest, with_mark):
    content = (MARK if with_mark else b"") + content
    file = write(tmp_path_factory.getbasetemp() / f"cut{os.getpid()}.txt", content)
    expected = lines_by_split(content)
    ends = sorted({min(cut, len(content)) for cut in cuts} | {0, len(content)})
    bytes_read = 0
    found = []
    for begin, end in itertools.pairwise(ends):
        inside, count = read(file, begin, end, longest, block_bytes)
        first = len(MARK) if with_mark else 0  # a mark belongs to the first line
        starts_inside = [offset for offset, _ in expected if begin <= (offset if offset > first else 0) < end]
        if not (with_mark and 0 < begin <= len(MARK)):
            assert [offset for offset, _ in inside] == starts_inside
        found += inside
        bytes_read += count
    assert [offset for offset, _ in found] == [offset for offset, _ in expected]
    assert bytes_read == len(content)
    for (_, line), (_, expected_line) in zip(found, expected, strict=True):
        text = expected_line.removesuffix(b"\n")
        if len(text) > longest:
            assert (line.reason, line.raw, line.size) == (TOO_LONG, text, len(text))
        else:
            assert line == expected_line


@settings(max_examples=100, deadline=None)
@given(contents.map(lambda content: content * 30))
def test_counting_lines_is_as_bytes_count(content):
    assert count_newlines(content) == content.count(b"\n")
    assert count_newlines(memoryview(content)[3:]) == content[3:].count(b"\n")


def test_counting_lines_beyond_what_one_byte_counts():
    for size in (0, 63, 64, 65, 255 * 64, 256 * 64 + 1, 100_000):
        assert count_newlines(b"\n" * size) == size
    with pytest.raises(ValueError, match="contiguous"):
        count_newlines(memoryview(b"abcd")[::2])


def test_case_9_a_byte_order_mark_is_no_text(tmp_path):
    assert read(write(tmp_path / "a.txt", MARK + b"a\nb\n"))[0] == [(3, b"a\n"), (5, b"b\n")]
    assert read(write(tmp_path / "b.txt", MARK))[0] == []
    assert read(write(tmp_path / "c.txt", b"a\n" + MARK + b"b\n"))[0][1] == (2, MARK + b"b\n")


def test_case_25_lines_end_nowhere_else(tmp_path):
    line = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\rh".encode() + b"\n"
    assert read(write(tmp_path / "a.txt", line * 2))[0] == [(0, line), (len(line), line)]


def test_case_27_an_empty_file(tmp_path):
    assert read(write(tmp_path / "a.txt", b"")) == ([], 0)


def test_case_28_no_final_newline(tmp_path):
    assert read(write(tmp_path / "a.txt", b"a\nb"))[0] == [(0, b"a\n"), (2, b"b")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_case_29_other_encodings_are_refused_in_every_range(tmp_path, encoding):
    text = "one\ntwo\n" if encoding in ("utf-16", "utf-32") else "\ufeffone\ntwo\n"
    file = write(tmp_path / "a.txt", text.encode(encoding))
    for begin in (0, 9):
        with pytest.raises(CorpusFileError, match=encoding[:6].upper()) as caught:
            read(file, begin)
        assert caught.value.reason == WRONG_ENCODING
        assert_explains(caught.value, "a.txt")


@pytest.mark.parametrize("end", [1 << 28, pytest.param(1 << 31, marks=pytest.mark.slow)])
def test_cases_26_and_47_a_huge_line(tmp_path, end):
    path = tmp_path / "a.txt"
    with open(path, "wb") as file:
        file.write(b"before\n")
        file.truncate(end)
        file.seek(end)
        file.write(b"\nbehind")
    file = describe(path)
    tracemalloc.start()
    blocks = [
        (bytes(block.data), block.lines_before, block.offset, block.problems)
        for block in line_blocks(file, 0, file.bytes, max_line_bytes=4 << 20)
    ]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = end - 7
    (problem,) = blocks[1][3]
    assert (problem.reason, problem.line, problem.offset, problem.size) == (TOO_LONG, 1, 7, size)
    assert problem.raw == bytes(RAW_KEPT)
    assert blocks[0] == (b"before\n", 0, 0, [])
    assert blocks[2] == (b"behind", 2, end + 1, [])
    assert peak < 20 << 20


def test_the_longest_line_that_fits(tmp_path):
    file = write(tmp_path / "a.txt", b"x" * 100 + b"\n" + b"y" * 101 + b"\nz" * 2)
    for block_bytes in (1, 7, 100, 101, 102, 1000):
        (_, first), (_, second), (_, third), (_, fourth) = read(file, max_line_bytes=100, block_bytes=block_bytes)[0]
        assert (first, third, fourth) == (b"x" * 100 + b"\n", b"z\n", b"z")
        assert (second.size, second.raw) == (101, b"y" * 101)


def test_blocks_are_not_much_larger_than_asked_for(tmp_path):
    file = write(tmp_path / "a.txt", b"short\n" * 100 + b"x" * 5000 + b"\n" + b"short\n" * 1000)
    sizes = [len(block.data) for block in line_blocks(file, 0, file.bytes, max_line_bytes=MAX, block_bytes=100)]
    assert sum(sizes) == file.bytes
    assert sorted(sizes)[-2] <= 100


@pytest.mark.parametrize("content", [b"one\ntwo\nthree\n", b"one\n", b""])
def test_case_31_a_file_that_changed_before_it_was_opened(tmp_path, content):
    file = write(tmp_path / "a.txt", b"one\ntwo\n")
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(CorpusError, match="changed during the run") as caught:
        read(file)
    assert_explains(caught.value, "a.txt")


def test_case_31_a_file_that_changes_while_it_is_read(tmp_path):
    lines = b"a line\n" * 100
    for content, found in ((lines + b"x", "701 bytes"), (lines[:350], "its end at byte"), (lines[:-1] + b"!", "time")):
        file = write(tmp_path / "a.txt", lines)
        blocks = line_blocks(file, 0, file.bytes, max_line_bytes=MAX, block_bytes=100)
        next(blocks)
        with open(tmp_path / "a.txt", "r+b") as target:
            target.truncate(len(content))
            target.write(content)
        os.utime(tmp_path / "a.txt", ns=(1, 1))
        with pytest.raises(CorpusError, match="changed during the run") as caught:
            list(blocks)
        assert found in str(caught.value)


def test_a_file_that_is_gone_or_no_file_any_more(tmp_path):
    file = write(tmp_path / "a.txt", b"one\n")
    os.remove(tmp_path / "a.txt")
    with pytest.raises(CorpusError, match="no file any more"):
        read(file)
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(CorpusError, match="no regular file any more"):
        read(file)
    os.remove(tmp_path / "a.txt")
    os.symlink("a.txt", tmp_path / "a.txt")
    with pytest.raises(IndexedDatasetError, match="symbolic links"):
        read(file)


def test_ranges_of_a_compressed_file_are_a_mistake_of_the_caller():
    file = CorpusFile("a.gz", "/a.gz", 10, 1, "text", "gzip")
    with pytest.raises(ValueError, match="read as a whole"):
        next(line_blocks(file, 0, 5, max_line_bytes=1))
