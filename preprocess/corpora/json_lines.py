r"""A block of JSON lines: the places of the texts in it, without Python objects for the texts.

block --native scan--> taken: spans ----> Tokenizer.encode_json --length -1--> JsonRecords.without --\
      |             \--> blank: counted                                                               |
      |              \-> anything else -------------------------------------------> read_json_line <-/
      |                                                                           odd documents, or a problem
      \--scan_lines: the twin, which takes nothing

What comes out is what `read_json_line` says of each line alone; `scan_lines` is the scan that takes nothing, and with
it the same block gives the same documents, problems and counts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from preprocess import _native
from preprocess.corpora.errors import RAW_KEPT, BadRecordError, Problem
from preprocess.corpora.json_line import is_blank, read_json_line, read_json_string
from preprocess.corpora.records import Document, TextRecords

Int64s = npt.NDArray[np.int64]
Scan = Callable[[memoryview, list[bytes]], tuple[Int64s, npt.NDArray[np.uint8], Int64s]]

TAKEN, BLANK, ASK = 0, 1, 2  # as JsonLines::State in csrc/jsonl.hpp


@dataclass
class JsonRecords:
    """The records of one block of lines. A record's number is its place in `lines` and `spans`."""

    data: memoryview
    keys: tuple[str, ...]
    spans: Int64s  # [records, keys, 2]: begin and end in `data`, between the quotes; -1 for odd records
    lines: Int64s  # of each record: 0-based, from the start of what is read
    odd: dict[int, list[Document]]  # by record number: what only Python could read, one document a key
    problems: list[Problem]  # in the order of lines
    lines_read: int  # in all, blank and bad ones too
    blank: int  # lines of white space alone
    starts: Int64s  # of each line of the block, and the end of the last one
    offset: int  # of the block
    lines_before: int
    bytes_read: int = 0  # of the file on disk, for progress

    def __len__(self) -> int:
        return len(self.lines)

    def line(self, record: int) -> bytes:
        """The bytes of a record's line, without its end."""
        return _line(self.data, self.starts, int(self.lines[record]) - self.lines_before)

    def without(self, bad: npt.NDArray[np.integer] | Sequence[int]) -> tuple["JsonRecords", npt.NDArray[np.bool_]]:
        """The records again, after the texts of those numbered `bad` turned out to be none.

        Python reads each of them: it is dropped and becomes a problem, or else stays as an odd record. The second
        result says of each record of this block whether it is still there.
        """
        kept = np.ones(len(self), dtype=bool)
        spans = self.spans.copy()
        odd = dict(self.odd)
        problems = list(self.problems)
        for record in sorted({int(number) for number in bad}):
            if record in odd:
                continue
            line = self.line(record)
            try:
                odd[record] = read_json_line(line, self.keys)
                spans[record] = -1
            except BadRecordError as error:
                kept[record] = False
                row = int(self.lines[record]) - self.lines_before
                problems.append(_problem(error, line, row, self.starts, self.offset, self.lines_before))
        numbers = np.cumsum(kept) - 1
        left = replace(
            self,
            spans=spans[kept],
            lines=self.lines[kept],
            odd={int(numbers[record]): documents for record, documents in odd.items()},
            problems=sorted(problems, key=lambda problem: problem.line),
        )
        return left, kept

    def problem_at(self, line: int, error: BadRecordError) -> Problem:
        """That line as a problem, which was found in what its texts stand for."""
        row = line - self.lines_before
        return _problem(error, _line(self.data, self.starts, row), row, self.starts, self.offset, self.lines_before)

    def as_text(self) -> TextRecords:
        """All documents as Python objects; records of which a text turns out to be none become problems."""
        texts: list[list[Document]] = [[] for _ in self.keys]
        bad = []
        for record in range(len(self)):
            try:
                documents = self.odd[record] if record in self.odd else self._documents(record)
            except BadRecordError:
                bad.append(record)
                continue
            for column, document in zip(texts, documents, strict=True):
                column.append(document)
        if bad:
            return self.without(bad)[0].as_text()
        return TextRecords(
            documents=list(texts),
            lines=self.lines,
            lines_read=self.lines_read,
            bytes_read=self.bytes_read,
            blank=self.blank,
            problems=self.problems,
        )

    def _documents(self, record: int) -> list[Document]:
        return [read_json_string(bytes(self.data[begin:end])) for begin, end in self.spans[record].tolist()]


def read_json_block(
    data: memoryview | bytes,
    keys: Sequence[str],
    *,
    offset: int = 0,
    lines_before: int = 0,
    bytes_read: int = 0,
    scan: Scan = _native.scan_json_lines,
) -> JsonRecords:
    """The records of whole lines; the last one need not end with a newline.

    `offset` and `lines_before` say where the block stands in what is read: lines and problems are counted from there.
    The result holds `data` itself, which must not change while it is in use.
    """
    data = memoryview(data).cast("B")
    starts, states, spans = scan(data, [key.encode("utf-8", "surrogatepass") for key in keys])
    odd_rows: dict[int, list[Document]] = {}
    problems: list[Problem] = []
    for row in np.flatnonzero(states == ASK).tolist():
        line = _line(data, starts, row)
        try:
            odd_rows[row] = read_json_line(line, keys)
        except BadRecordError as error:
            problems.append(_problem(error, line, row, starts, offset, lines_before))
    is_record = states == TAKEN
    is_record[list(odd_rows)] = True
    rows = np.flatnonzero(is_record)
    return JsonRecords(
        data=data,
        keys=tuple(keys),
        spans=spans if len(rows) == len(states) else spans[rows],
        lines=rows + lines_before,
        odd={int(np.searchsorted(rows, row)): documents for row, documents in odd_rows.items()},
        problems=problems,
        lines_read=len(states),
        blank=int(np.count_nonzero(states == BLANK)),
        starts=starts,
        offset=offset,
        lines_before=lines_before,
        bytes_read=bytes_read,
    )


def scan_lines(data: memoryview, keys: list[bytes]) -> tuple[Int64s, npt.NDArray[np.uint8], Int64s]:
    """The twin of the native scan: cuts lines and knows blank ones; of all others Python is asked."""
    starts, states = [0], []
    position, content = 0, bytes(data)
    while position < len(content):
        end = content.find(b"\n", position) + 1 or len(content)
        states.append(BLANK if is_blank(content[position:end]) else ASK)
        starts.append(end)
        position = end
    spans = np.full((len(states), len(keys), 2), -1, dtype=np.int64)
    return np.array(starts, dtype=np.int64), np.array(states, dtype=np.uint8), spans


def _line(data: memoryview, starts: Int64s, row: int) -> bytes:
    return bytes(data[int(starts[row]) : int(starts[row + 1])]).removesuffix(b"\n")


def _problem(error: BadRecordError, line: bytes, row: int, starts: Int64s, offset: int, lines_before: int) -> Problem:
    return Problem(
        reason=error.reason,
        found=error.found,
        line=lines_before + row,
        offset=offset + int(starts[row]),
        raw=line[:RAW_KEPT],
        size=len(line),
    )
