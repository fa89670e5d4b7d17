r"""The lines of a file, in blocks of about a megabyte that are never copied.

disk or decompressor --readinto--> one recycled buffer --> a view of all of its whole lines; the unfinished line behind
them moves to the front of the buffer, and reading goes on behind it

A line starts at the beginning of the file or behind a \n, and at no other character. A range of a file has the lines
that start in it: both of its ends move to the next line start, so that ranges that touch never share or lose a line.
Of a line that is too long only the beginning is kept and the rest is counted: memory is bounded by `max_line_bytes`.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

from preprocess._native import count_newlines
from preprocess.corpora.compression import Stream, open_stream
from preprocess.corpora.corpus_file import CorpusFile, changed, check_unchanged, mark_length, open_unchanged
from preprocess.corpora.errors import RAW_KEPT, TOO_LONG, Problem
from preprocess.errors import os_failure

_NEWLINE = ord("\n")
_SCAN = 1 << 16  # bytes at a time when looking for a line's end


@dataclass
class LineBlock:
    r"""Whole lines. Each ends with \n, only the last one of a file need not."""

    data: memoryview  # valid until the next block is asked for
    offset: int  # of the data in the (decompressed) file
    lines_before: int  # between where reading began and the data
    lines: int  # in the data, and in problems
    bytes_read: int  # of the file on disk, since the block before
    problems: list[Problem] = field(default_factory=list)  # one line that is too long; then there is no data


def line_blocks(
    file: CorpusFile, begin: int, end: int, *, max_line_bytes: int, block_bytes: int = 1 << 20
) -> Iterator[LineBlock]:
    """Yield the lines that start in ``[begin, end)``; of a compressed file, all of them."""
    if file.compression is not None and (begin, end) != (0, file.bytes):
        raise ValueError(f"{file.name} is compressed: it is read as a whole, not from {begin} to {end}")
    source = _Range(file, begin, end) if file.compression is None else _Whole(file)
    with closing(source):
        yield from _Cutter(source, max_line_bytes, block_bytes).blocks()
        source.finish()


def line_start(descriptor: int, position: int, limit: int) -> int:
    """Find the first line start at or behind `position`; `limit`, or something beyond it, when none is before that."""
    at = position - 1
    while 0 <= at < limit:
        part = os.pread(descriptor, _SCAN, at)
        found = part.find(b"\n")
        if found >= 0:
            return at + found + 1
        if not part:
            break
        at += len(part)
    return 0 if at < 0 else limit


class _Range:
    """A Stream of whole lines of a plain file."""

    def __init__(self, file: CorpusFile, begin: int, end: int) -> None:
        self._file = file
        self._raw = open_unchanged(file)
        self._descriptor = self._raw.fileno()
        try:
            mark = mark_length(file, os.pread(self._descriptor, 4, 0))
            start = line_start(self._descriptor, begin, end)  # not beyond: a line may be longer than many ranges
            self._stop = line_start(self._descriptor, end, file.bytes) if start < end else start
        except OSError as error:
            self._raw.close()
            raise self._unreadable(error) from error
        except Exception:
            self._raw.close()
            raise
        self.offset = max(start, mark) if start < self._stop else start
        self._position = self.offset
        self._start = start

    @property
    def consumed(self) -> int:
        return self._position - self._start

    def readinto(self, room: memoryview) -> int:
        filled = 0
        wanted = min(len(room), self._stop - self._position)
        while filled < wanted:
            try:
                count = os.preadv(self._descriptor, [room[filled:wanted]], self._position)
            except OSError as error:
                raise self._unreadable(error) from error
            if not count:
                raise changed(self._file, f"its end at byte {self._position}")
            filled += count
            self._position += count
        return filled

    def _unreadable(self, error: OSError) -> Exception:
        return os_failure(self._file.name, "read it", error, "check the disk, or copy the file again")

    def finish(self) -> None:
        check_unchanged(self._file, self._raw)

    def close(self) -> None:
        self._raw.close()


class _Whole:
    """A Stream of all that is in a compressed file, without a byte order mark."""

    def __init__(self, file: CorpusFile) -> None:
        self._stream: Stream = open_stream(file)
        head = bytearray(4)
        try:
            count = self._stream.readinto(memoryview(head))
            self.offset = mark_length(file, bytes(head[:count]))
        except Exception:
            self._stream.close()
            raise
        self._head = bytes(head[self.offset : count])

    @property
    def consumed(self) -> int:
        return self._stream.consumed

    def readinto(self, room: memoryview) -> int:
        head = self._head[: len(room)]
        self._head = self._head[len(head) :]
        room[: len(head)] = head
        return len(head) + self._stream.readinto(room[len(head) :])

    def finish(self) -> None:
        self._stream.finish()

    def close(self) -> None:
        self._stream.close()


class _Cutter:
    """The buffer, and what is known about its content."""

    def __init__(self, source: _Range | _Whole, max_line_bytes: int, block_bytes: int) -> None:
        self._source = source
        self._max_line_bytes = max_line_bytes
        self._block_bytes = block_bytes
        self._offset = source.offset
        self._lines = 0
        self._reported = 0
        self._allocate(block_bytes)

    def blocks(self) -> Iterator[LineBlock]:
        filled = searched = 0  # up to `searched` there is no line end
        at_end = False
        while not at_end:
            filled += self._source.readinto(self._room[filled:])
            at_end = filled < len(self._room)
            whole = filled if at_end else self._buffer.rfind(b"\n", searched, filled) + 1
            yield from self._cut(whole)
            if not at_end and filled - whole > self._max_line_bytes:
                problem, filled = self._skip_line(whole, filled)
                yield self._problem_block(problem)
                searched = 0
            else:
                filled = searched = self._keep(whole, filled)
        if self._source.consumed > self._reported:
            yield self._block(0, 0)

    def _allocate(self, size: int) -> None:
        self._buffer = bytearray(size)
        self._room = memoryview(self._buffer)

    def _cut(self, whole: int) -> Iterator[LineBlock]:
        """Yield the first `whole` bytes of the buffer: one block, unless there are lines that are too long."""
        begin = at = 0
        while whole - at > self._max_line_bytes:
            newline = self._buffer.rfind(b"\n", at, min(whole, at + self._max_line_bytes + 1))
            if newline >= 0:  # and so are all line ends before it no further apart
                at = newline + 1
                continue
            if begin < at:
                yield self._block(begin, at)
            found = self._buffer.find(b"\n", at, whole)
            end = whole if found < 0 else found
            problem = self._problem(bytes(self._room[at : min(end, at + RAW_KEPT)]), end - at)
            begin = at = min(whole, end + 1)
            yield self._problem_block(problem)
        if begin < whole:
            yield self._block(begin, whole)

    def _skip_line(self, begin: int, filled: int) -> tuple[Problem, int]:
        """Read on to the end of a line that is too long; what is behind it moves to the front."""
        raw = bytearray(self._room[begin : min(filled, begin + RAW_KEPT)])
        size = filled - begin
        while count := self._source.readinto(self._room):
            newline = self._buffer.find(b"\n", 0, count)
            length = count if newline < 0 else newline
            raw += self._room[: min(length, RAW_KEPT - len(raw))]
            size += length
            if newline >= 0:
                return self._problem(bytes(raw), size), self._keep(newline + 1, count)
        return self._problem(bytes(raw), size), 0

    def _keep(self, begin: int, filled: int) -> int:
        """Move what is in the buffer from `begin` on to the front; make more room where that is all of it."""
        rest = filled - begin
        old = self._room
        if rest == len(old):
            self._allocate(min(2 * rest, self._max_line_bytes + 1))
        elif len(old) > self._block_bytes > rest:
            self._allocate(self._block_bytes)
        self._room[:rest] = old[begin:filled]
        return rest

    def _block(self, begin: int, end: int) -> LineBlock:
        data = self._room[begin:end]
        lines = count_newlines(data) + (begin < end and self._buffer[end - 1] != _NEWLINE)
        block = LineBlock(data, self._offset, self._lines, lines, self._newly_read())
        self._lines += lines
        self._offset += end - begin
        return block

    def _problem(self, raw: bytes, size: int) -> Problem:
        found = f"{size} bytes, more than {self._max_line_bytes}"
        return Problem(TOO_LONG, found, self._lines, self._offset, raw, size)

    def _problem_block(self, problem: Problem) -> LineBlock:
        block = LineBlock(memoryview(b""), self._offset, self._lines, 1, self._newly_read(), [problem])
        self._lines += 1
        self._offset += problem.size + 1
        return block

    def _newly_read(self) -> int:
        count = self._source.consumed - self._reported
        self._reported += count
        return count
