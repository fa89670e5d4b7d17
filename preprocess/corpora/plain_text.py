r"""Plain text: a document a line, a document between blank lines, or a document a file.

blocks of lines --one validation a block--> documents as UTF-8 bytes, with the lines where they begin

White space is that of ASCII: a line of nothing else is blank, and no document. A line ends with \n, and the \r in front
of that belongs to the line end; at no other character. A document between blank lines is its lines as they stand,
without the last line end; it belongs to the range of the file in which its first line starts.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from preprocess.corpora.corpus_file import UTF8_MARK, CorpusFile, open_unchanged
from preprocess.corpora.errors import INVALID_UTF8, RAW_KEPT, TOO_LONG, Problem
from preprocess.corpora.line_blocks import LineBlock, line_blocks, line_start
from preprocess.corpora.records import TextRecords
from preprocess.errors import os_failure

DOCUMENTS = ("line", "block", "file")

_BLANK_LINES = re.compile(rb"\n[ \t\r\v\f\n]*\n")  # from the line end in front of them to their last


def read_text(file: CorpusFile, begin: int, end: int, *, documents: str, max_line_bytes: int) -> Iterator[TextRecords]:
    """Yield the documents that start in ``[begin, end)``, some at a time; `documents` is one of DOCUMENTS."""
    if documents == "line":
        yield from map(_lines_of, line_blocks(file, begin, end, max_line_bytes=max_line_bytes))
    elif documents == "block":
        if file.compression is None:
            begin = document_start(file, begin, max_line_bytes)
            end = document_start(file, end, max_line_bytes)
        yield from _separated(line_blocks(file, begin, end, max_line_bytes=max_line_bytes), max_line_bytes)
    elif documents == "file":
        if begin == 0 < end:
            yield _whole(line_blocks(file, 0, file.bytes, max_line_bytes=max_line_bytes), max_line_bytes)
    else:
        raise ValueError(f"documents is {documents!r}: it must be one of {', '.join(DOCUMENTS)}")


def document_start(file: CorpusFile, position: int, max_line_bytes: int) -> int:
    """Find where documents between blank lines are no longer those of what is before `position`.

    That is the next line start, if the line in front of it is blank; else the next blank line.
    """
    with open_unchanged(file) as opened:
        try:
            start = line_start(opened.fileno(), position, file.bytes)
            if start in (0, file.bytes) or _is_behind_blank_line(opened.fileno(), start, max_line_bytes):
                return start
        except OSError as error:
            raise os_failure(file.name, "read it", error, "check the disk, or copy the file again") from error
    for block in line_blocks(file, start, file.bytes, max_line_bytes=max_line_bytes, block_bytes=1 << 16):
        found = _BLANK_LINES.search(b"\n" + block.data)
        if found is not None:
            return block.offset + found.start()  # the line end that was put in front makes up for the one behind
    return file.bytes


def _is_behind_blank_line(descriptor: int, start: int, max_line_bytes: int) -> bool:
    """Whether the line in front of `start` is blank: not longer than a line may be, and of white space alone."""
    at, white = start - 1, 0
    while at > 0 and white <= max_line_bytes:
        size = min(at, 1 << 12)
        part = os.pread(descriptor, size, at - size)
        kept = part.rstrip(b" \t\r\v\f")
        white += size - len(kept)
        if kept:
            is_mark = at - size + len(kept) == len(UTF8_MARK) and os.pread(descriptor, 3, 0) == UTF8_MARK
            return (is_mark or kept.endswith(b"\n")) and white <= max_line_bytes
        at -= size
    return white <= max_line_bytes


def _lines_of(block: LineBlock) -> TextRecords:
    content = bytes(block.data)
    texts = content.split(b"\n")
    if b"\r" in content:
        texts[:-1] = [text.removesuffix(b"\r") for text in texts[:-1]]
    if not texts[-1]:
        texts.pop()  # behind the last line end there is no line
    problems = block.problems if is_utf8(content) else _invalid(texts, content, block)
    bad = {problem.line - block.lines_before for problem in problems} if texts else set()
    blank = {number for number, text in enumerate(texts) if not text or text.isspace()}
    lines = np.arange(block.lines_before, block.lines_before + len(texts))
    if bad or blank:
        dropped = bad | blank
        texts = [text for number, text in enumerate(texts) if number not in dropped]
        lines = np.delete(lines, list(dropped))
    return TextRecords([texts], lines, block.lines, block.bytes_read, len(blank), problems)


def _invalid(texts: list[bytes], content: bytes, block: LineBlock) -> list[Problem]:
    problems = []
    at = 0
    for number, text in enumerate(texts):
        if (found := invalid_utf8(text)) is not None:
            problems.append(_invalid_text(found, block.lines_before + number, block.offset + at, text))
        at = content.find(b"\n", at) + 1
    return problems


def _invalid_text(found: str, line: int, offset: int, text: bytes) -> Problem:
    return Problem(INVALID_UTF8, found, line, offset, text[:RAW_KEPT], len(text))


def is_utf8(content: bytes) -> bool:
    """Whether bytes are valid UTF-8."""
    return content.isascii() or invalid_utf8(content) is None


def invalid_utf8(content: bytes) -> str | None:
    """Say what is wrong with bytes that are not valid UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return f"byte 0x{content[error.start]:02x} at byte {error.start} of the text"
    return None


@dataclass
class _Found:
    """What one TextRecords will hold."""

    documents: list[bytes] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    blank: int = 0
    lines_read: int = 0
    bytes_read: int = 0

    def records(self) -> TextRecords:
        lines = np.array(self.lines, np.int64)
        return TextRecords([self.documents], lines, self.lines_read, self.bytes_read, self.blank, self.problems)


class _Document:
    """One document while its parts arrive. Of one that is too long only the beginning stays."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._clear()

    def _clear(self) -> None:
        self._parts: list[bytes] = []
        self._size = self._line_end = 0
        self._line = self._offset = 0
        self._is_valid = True
        self._owes_newline = False  # that of a line that is too long, if something comes behind it

    def add(self, content: bytes, line: int, offset: int, *, is_valid: bool) -> None:
        """Take in some whole lines."""
        if not self._size:
            self._line, self._offset = line, offset
        if self._owes_newline:
            content = b"\n" + content
            self._owes_newline = False
        self._parts.append(content)
        self._size += len(content)
        self._line_end = len(content) - len(_without_line_end(content))
        self._is_valid &= is_valid
        if self._size - self._line_end > self._max_bytes:
            self._parts = [b"".join(self._parts)[:RAW_KEPT]]

    def add_too_long(self, line: Problem) -> None:
        """Take in a line that is too long on its own."""
        self.add(line.raw, line.line, line.offset, is_valid=True)
        self._size += line.size - len(line.raw)
        self._line_end = 0
        self._owes_newline = True

    def end(self, found: _Found, *, keep_line_end: bool = False) -> None:
        """Hand over what was taken in, if anything was, and begin anew."""
        size = self._size if keep_line_end else self._size - self._line_end
        if size:
            text = b"".join(self._parts)[:size]
            problem = self._problem(text, size)
            if problem is None:
                found.documents.append(text)
                found.lines.append(self._line)
            else:
                found.problems.append(problem)
        self._clear()

    def _problem(self, text: bytes, size: int) -> Problem | None:
        if size > self._max_bytes:
            found = f"{size} bytes, more than {self._max_bytes}"
            return Problem(TOO_LONG, found, self._line, self._offset, text[:RAW_KEPT], size)
        wrong = None if self._is_valid else invalid_utf8(text)
        return None if wrong is None else _invalid_text(wrong, self._line, self._offset, text)


def _without_line_end(text: bytes) -> bytes:
    return text[:-1].removesuffix(b"\r") if text.endswith(b"\n") else text


def _separated(blocks: Iterator[LineBlock], max_bytes: int) -> Iterator[TextRecords]:
    """Yield the documents that end in each block, and then the one that the last block leaves."""
    document = _Document(max_bytes)
    for block in blocks:
        found = _Found(lines_read=block.lines, bytes_read=block.bytes_read)
        if block.problems:
            document.add_too_long(block.problems[0])
        else:
            _cut_at_blank_lines(bytes(block.data), block, document, found)
        yield found.records()
    last = _Found()
    document.end(last)
    if last.documents or last.problems:
        yield last.records()


def _cut_at_blank_lines(content: bytes, block: LineBlock, document: _Document, found: _Found) -> None:
    is_valid = is_utf8(content)
    if not content.endswith(b"\n"):  # the end of the file
        unended = content.rpartition(b"\n")[2]
        if unended.isspace():
            found.blank += 1
            content = content.removesuffix(unended)
    at, line = 0, block.lines_before
    for blank in _BLANK_LINES.finditer(b"\n" + content):
        text = content[at : blank.start()]  # without the line end put in front, this is behind the text's own
        if text:
            document.add(text, line, block.offset + at, is_valid=is_valid)
        document.end(found)
        blank_lines = blank.group().count(b"\n") - 1
        found.blank += blank_lines
        line += text.count(b"\n") + blank_lines
        at = blank.end() - 1
    if at < len(content):
        document.add(content[at:], line, block.offset + at, is_valid=is_valid)


def _whole(blocks: Iterator[LineBlock], max_bytes: int) -> TextRecords:
    """Return all lines as one document, if anything but white space is in them."""
    document, found, is_blank = _Document(max_bytes), _Found(), True
    for block in blocks:
        found.lines_read += block.lines
        found.bytes_read += block.bytes_read
        content = bytes(block.data)
        if block.problems:
            document.add_too_long(block.problems[0])
        elif content:
            document.add(content, 0, block.offset, is_valid=is_utf8(content))
        is_blank &= not block.problems and (not content or content.isspace())
    if is_blank:
        found.blank = found.lines_read
    else:
        document.end(found, keep_line_end=True)
    return found.records()
