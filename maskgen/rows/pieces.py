"""What rows are made of: runs of tokens of documents, and the special tokens around them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.samples.errors import SampleError

Integers = npt.NDArray[np.int64]

# What stands around the tokens of a piece, in this order.
ROW_BEGIN, DOCUMENT_BEGIN, DOCUMENT_END, ROW_END = 1, 2, 4, 8
ABSENT = -1
LARGEST_ID = (1 << 31) - 1
BITS = np.array([bin(each).count("1") for each in range(16)], np.int64)


@dataclass(frozen=True)
class Pieces:
    """The pieces of some rows, in order: row r is made of pieces ``row_starts[r]`` to ``row_starts[r + 1]``.

    A piece is `counts` tokens of a document, from token `starts` of the whole dataset on, with the special tokens
    around them that the bits of `specials` name.
    """

    row_starts: Integers
    documents: Integers
    starts: Integers
    counts: Integers
    specials: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def lengths(self) -> Integers:
        """Entries of each piece, special tokens included."""
        return self.counts + BITS[self.specials]

    @property
    def row_lengths(self) -> Integers:
        """Entries of each row that are not padding."""
        ends = np.zeros(len(self) + 1, np.int64)
        np.cumsum(self.lengths, out=ends[1:])
        return np.diff(ends[self.row_starts])


@dataclass(frozen=True)
class Specials:
    """The ids to put around rows and around documents, `ABSENT` where there is none."""

    row_begin: int = ABSENT
    document_begin: int = ABSENT
    document_end: int = ABSENT
    row_end: int = ABSENT

    @classmethod
    def of(cls, around_documents: Any, around_rows: Any = None) -> "Specials":
        """From pairs (id or None, id or None), each of which may be None."""
        first, last = _pair("add_special", around_documents)
        begin, end = _pair("row_special", around_rows)
        return cls(begin, first, last, end)

    @property
    def ids(self) -> tuple[int, int, int, int]:
        """The ids in the order of their bits."""
        return self.row_begin, self.document_begin, self.document_end, self.row_end

    @property
    def pairs(self) -> tuple[tuple[int | None, int | None], tuple[int | None, int | None]]:
        """What `of` was given."""
        first, begin, end, last = (None if id_ == ABSENT else id_ for id_ in self.ids)
        return (begin, end), (first, last)

    @property
    def around_row(self) -> int:
        """How many are put around a row."""
        return (self.row_begin != ABSENT) + (self.row_end != ABSENT)

    @property
    def around_document(self) -> int:
        """How many are put around a document."""
        return (self.document_begin != ABSENT) + (self.document_end != ABSENT)

    @property
    def present(self) -> int:
        """The bits of those that there are."""
        return sum(1 << place for place, id_ in enumerate(self.ids) if id_ != ABSENT)


def _pair(name: str, value: Any) -> tuple[int, int]:
    if value is None:
        return ABSENT, ABSENT
    ids = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(ids) != 2 or not all(id_ is None or _is_id(id_) for id_ in ids):
        raise SampleError(
            f"{name} is {value!r}; expected None or two ids (begin, end), each from 0 to {LARGEST_ID} or None; "
            "vocab.cls_id, vocab.sep_id and their like are such ids"
        )
    begin, end = (ABSENT if id_ is None else int(id_) for id_ in ids)
    return begin, end


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and 0 <= int(value) <= LARGEST_ID
