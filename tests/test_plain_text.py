"""Plain text: each way of cutting it into documents against a slow twin, over every cut of a file into ranges."""

import gzip
import itertools
import os

import pytest
from corpus_files import MAX, write
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.corpora.errors import INVALID_UTF8, RAW_KEPT, TOO_LONG, Problem
from preprocess.corpora.plain_text import document_start, read_text

MARK = b"\xef\xbb\xbf"
PIECES = [b"\n", b"\n\n", b"\r\n", b"\r\n\r\n", b" \t\n", b"\r", b" ", b"a", b"word", "é".encode(), b"\xff", b"\x00"]
contents = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)


def is_blank(line, longest):
    return not line.strip(b" \t\r\v\f\n") and len(line.removesuffix(b"\n")) <= longest


def without_line_end(text):
    return text.removesuffix(b"\n").removesuffix(b"\r") if text.endswith(b"\n") else text


def split_into_lines(content):
    offset = len(MARK) if content.startswith(MARK) else 0
    for number, text in enumerate(content[offset:].split(b"\n")):
        line = content[offset : offset + len(text) + 1]
        if line:
            yield number, offset, line
        offset += len(text) + 1


def twin(content, documents, longest):
    """(line, offset, text) of each document, and the number of blank lines."""
    groups, blank, open_group = [], 0, False
    for number, offset, line in split_into_lines(content):
        if is_blank(line, longest):
            blank += 1
            open_group = False
        elif documents == "block" and open_group:
            groups[-1][2] += line
        else:
            groups.append([number, offset, line])
            open_group = True
    return [(number, offset, without_line_end(text)) for number, offset, text in groups], blank


def read(file, documents, begin=0, end=None, longest=MAX):
    """(line, text or problem) in the order of lines, and the sums of the counts."""
    found, blank, lines, bytes_read = [], 0, 0, 0
    for records in read_text(
        file, begin, file.bytes if end is None else end, documents=documents, max_line_bytes=longest
    ):
        assert len(records.documents) == 1
        assert len(records) == len(records.documents[0])
        found += zip(records.lines.tolist(), records.documents[0], strict=True)
        found += [(problem.line, problem) for problem in records.problems]
        blank += records.blank
        lines += records.lines_read
        bytes_read += records.bytes_read
    return sorted(found, key=lambda pair: pair[0]), (blank, lines, bytes_read)


def explained(number, offset, text, longest):
    """What a reader should say about a document."""
    if len(text) > longest:
        return TOO_LONG, number, offset, text, len(text)
    try:
        text.decode()
    except UnicodeDecodeError:
        return INVALID_UTF8, number, offset, text, len(text)
    return text


def facts(document):
    if isinstance(document, Problem):
        return document.reason, document.line, document.offset, document.raw, document.size
    return document


@settings(max_examples=200, deadline=None)
@given(
    contents,
    st.lists(st.integers(0, 100), max_size=4),
    st.sampled_from(["line", "block"]),
    st.booleans(),
    st.sampled_from([1000, 6, 3]),
)
def test_any_cut_into_ranges_gives_every_document_once(tmp_path_factory, content, cuts, documents, with_mark, longest):
    if documents == "line" or longest < 1000:
        content = content.replace(b"\r", b"")  # whether a \r in front of \n counts is decided where lines are cut
    content = (MARK if with_mark else b"") + content
    file = write(tmp_path_factory.getbasetemp() / f"text{os.getpid()}.txt", content)
    expected, blank = twin(content, documents, longest)
    ends = sorted({min(cut, len(content)) for cut in cuts} | {0, len(content)})
    found, total, lines_before = [], 0, 0
    for begin, end in itertools.pairwise(ends):
        inside, (blank_inside, lines, _) = read(file, documents, begin, end, longest)
        starts = [
            number
            for number, offset, _ in expected
            if begin <= (0 if offset == len(MARK) and with_mark else offset) < end
        ]
        if not (with_mark and 0 < begin <= len(MARK)):
            assert [lines_before + line for line, _ in inside] == starts
        found += [(lines_before + line, document) for line, document in inside]
        total += blank_inside
        lines_before += lines
    assert total == blank
    assert lines_before == len(list(split_into_lines(content)))
    assert [line for line, _ in found] == [number for number, _, _ in expected]
    if len(ends) == 2:
        assert [facts(document) for _, document in found] == [explained(*document, longest) for document in expected]


@pytest.mark.parametrize("documents", ["line", "block"])
def test_documents_across_blocks(tmp_path, documents):
    """Blocks are 1 MiB: documents and blank lines of all sizes lie across their borders."""
    parts = []
    for number in range(3000):
        parts.append(b"document %d " % number + "é word ".encode() * (number * 7919 % 300))
        parts.append(b"\n" * (1 + number % 2) if number % 5 else b"\n \r\n\n\t\n")
        if number % 1000 == 7:
            parts.append(b"\n" * 150_000)
            parts.append(b"x" * 1_500_000)
    content = b"".join(parts)
    expected, blank = twin(content, documents, 1 << 24)
    file = write(tmp_path / "a.txt", content)
    found, (blank_found, lines, bytes_read) = read(file, documents, longest=1 << 24)
    assert found == [(number, text) for number, _, text in expected]
    assert (blank_found, lines, bytes_read) == (blank, content.count(b"\n"), len(content))
    cuts = range(0, len(content) + 70_000, 70_000)
    texts = []
    for begin in cuts:
        texts += [text for _, text in read(file, documents, begin, begin + 70_000, 1 << 24)[0]]
    assert texts == [text for _, _, text in expected]


def test_lines(tmp_path):
    file = write(tmp_path / "a.txt", b"one\r\n\r\n  \n two \t\nlast\r")
    assert read(file, "line") == ([(0, b"one"), (3, b" two \t"), (4, b"last\r")], (2, 5, file.bytes))


def test_cases_6_to_8_blank_lines_are_no_errors(tmp_path):
    for documents in ("line", "block", "file"):
        for content in (b"", b"\n", b"\r\n", b"   \n", b" ", b"\n\n \t\r\n", MARK, MARK + b"\n"):
            file = write(tmp_path / "a.txt", content)
            lines = len(list(split_into_lines(content)))
            assert read(file, documents) == ([], (lines, lines, file.bytes))


@pytest.mark.parametrize("documents", ["line", "block", "file"])
def test_cases_9_23_25_and_28(tmp_path, documents):
    text = "nul \x00, \u2028, \u0085, \x1c and no line end".encode()
    file = write(tmp_path / "a.txt", MARK + text)
    assert read(file, documents)[0] == [(0, text)]


def test_case_10_invalid_utf8(tmp_path):
    lines = [b"good\n", b"caf\xe9\n", b"\n", b"surrogate \xed\xa0\x80\r\n", b"good too\n", b"cut \xe2\x82"]
    file = write(tmp_path / "a.txt", b"".join(lines))
    found = read(file, "line")[0]
    assert [document for _, document in found if isinstance(document, bytes)] == [b"good", b"good too"]
    problems = [problem for _, problem in found if isinstance(problem, Problem)]
    assert [(problem.line, problem.offset, problem.raw, problem.size) for problem in problems] == [
        (1, 5, b"caf\xe9", 4),
        (3, 11, b"surrogate \xed\xa0\x80", 13),
        (5, 35, b"cut \xe2\x82", 6),
    ]
    assert {problem.reason for problem in problems} == {INVALID_UTF8}
    assert problems[0].found == "byte 0xe9 at byte 3 of the text"
    (first, problem), (second, document) = read(write(tmp_path / "b.txt", b"a\n\xff\n\nb"), "block")[0]
    assert (first, second, document) == (0, 3, b"b")
    assert (problem.reason, problem.offset, problem.raw) == (INVALID_UTF8, 0, b"a\n\xff")
    ((_, problem),) = read(file, "file")[0]
    assert (problem.reason, problem.size) == (INVALID_UTF8, file.bytes)


def test_case_26_documents_that_are_too_long(tmp_path):
    long_line = b"x" * 101
    content = b"a\n\nfirst\n" + long_line + b"\nlast\n\nb\n\n" + b"word word\n" * 11 + b"\nc"
    file = write(tmp_path / "a.txt", content)
    found = [facts(document) for _, document in read(file, "block", longest=100)[0]]
    joined = b"first\n" + long_line + b"\nlast"
    words = (b"word word\n" * 11)[:-1]
    assert found == [
        b"a",
        (TOO_LONG, 2, 3, joined, len(joined)),
        b"b",
        (TOO_LONG, 8, content.index(b"word"), words, 109),
        b"c",
    ]
    ((_, problem),) = read(file, "file", longest=100)[0]
    assert facts(problem) == (TOO_LONG, 0, 0, content, len(content))
    huge = write(tmp_path / "b.txt", b"word\n" * 1_000_000)
    for documents in ("block", "file"):
        ((_, problem),) = read(huge, documents, longest=3 << 20)[0]
        assert problem.raw == (b"word\n" * 1_000_000)[:RAW_KEPT]
        assert problem.size == 5_000_000 - (documents == "block")


def test_files_are_documents_as_they_stand(tmp_path):
    text = b" first\r\n\r\nsecond\n \n"
    file = write(tmp_path / "a.txt", MARK + text)
    assert read(file, "file") == ([(0, text)], (0, 4, file.bytes))
    assert read(file, "file", 5)[0] == []


@pytest.mark.parametrize("documents", ["line", "block", "file"])
def test_compressed_files(tmp_path, documents):
    text = b"one\ntwo\n\nthree\n" * 50_000
    plain = write(tmp_path / "a.txt", text)
    packed = write(tmp_path / "a.txt.gz", gzip.compress(text, 1), compression="gzip")
    (expected, (blank, lines, _)), (found, counts) = read(plain, documents), read(packed, documents)
    assert found == expected
    assert counts == (blank, lines, packed.bytes)


def test_white_space_beyond_what_a_line_may_have(tmp_path):
    """Looking back, looking ahead and reading agree that such a line is not blank."""
    for spaces in (8, 9, 5000):
        content = b"a\n" + b" " * spaces + b"\nb\n"
        file = write(tmp_path / "a.txt", content)
        whole = [facts(document)[0] for _, document in read(file, "block", longest=8)[0]]
        assert whole == (list(b"ab") if spaces == 8 else [TOO_LONG])
        start = content.index(b"b")
        assert document_start(file, start, 8) == (start if spaces == 8 else len(content))
        assert document_start(file, 1, 8) == (2 if spaces == 8 else len(content))


def test_other_kinds_of_documents(tmp_path):
    with pytest.raises(ValueError, match="'page': it must be one of line, block, file"):
        list(read_text(write(tmp_path / "a.txt", b""), 0, 0, documents="page", max_line_bytes=1))
