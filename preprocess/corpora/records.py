"""What a reader hands over: some documents at a time, with their places, and the records that are none.

A record has one document for each of the keys that were asked for. A document is a text, or a list of texts where the
corpus is already cut into sentences.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from preprocess.corpora.errors import Problem

Document = str | bytes | list[str]  # bytes are valid UTF-8, str has no lone surrogates


@dataclass
class TextRecords:
    """Some records, and what was between them."""

    documents: list[Sequence[Document]]  # for each key, one document a record
    lines: npt.NDArray[np.int64]  # of each record: 0-based, from the start of what is read; a row in a table
    lines_read: int  # in all, blank and bad ones too
    bytes_read: int  # of the file on disk, for progress
    blank: int = 0  # lines of white space alone
    problems: list[Problem] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines)

    def as_text(self) -> "TextRecords":
        """What these are already; other records can become it."""
        return self
