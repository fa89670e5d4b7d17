"""Which pieces of documents share a row: three strategies, in plain Python (the definition) and natively.

sizes of documents --windows of the long ones--> pieces --strategy--> row of each piece --> pieces row by row

A piece is (place of its document, offset in it); its length follows from the document's size. Rows are numbered by
their first piece, and the pieces of a row are in the order of the documents, whatever the strategy.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen import _native
from maskgen.mapping.arguments import memory_limit
from maskgen.rows.pieces import Integers

STRATEGIES = ("best-fit", "sequential")


@dataclass(frozen=True)
class Plan:
    """Row r is ``pieces[row_starts[r]:row_starts[r + 1]]``, each (place of the document, offset in it)."""

    pieces: npt.NDArray[Any]
    row_starts: npt.NDArray[Any]

    def __post_init__(self) -> None:
        self.pieces.flags.writeable = self.row_starts.flags.writeable = False


def plan_rows(sizes: Integers, *, seq_length: int, specials: int, split_long: bool, strategy: str, engine: str) -> Plan:
    """The plan for documents of these sizes; `specials` entries of each piece are special tokens."""
    if engine == "reference":
        rows = plan_by_twin(
            sizes.tolist(), seq_length=seq_length, specials=specials, split_long=split_long, strategy=strategy
        )
        pieces = [piece for row in rows for piece in row]
        starts = np.cumsum([0, *map(len, rows)])
        return Plan(np.array(pieces, np.int64).reshape(-1, 2), np.asarray(starts, np.int64))
    found = _native.plan_rows(
        sizes=sizes,
        seq_length=seq_length,
        specials=specials,
        split_long=split_long,
        strategy=strategy,
        memory_limit=memory_limit(),
    )
    return Plan(*found)


def plan_by_twin(
    sizes: list[int], *, seq_length: int, specials: int, split_long: bool, strategy: str
) -> list[list[tuple[int, int]]]:
    """The pieces of each row."""
    room = seq_length - specials
    pieces, lengths = [], []
    for place, size in enumerate(sizes):
        for offset in range(0, size if split_long else min(size, 1), room):
            pieces.append((place, offset))
            lengths.append(min(room, size - offset) + specials)
    rows: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for piece, row in zip(pieces, ROW_OF_EACH[strategy](lengths, seq_length), strict=True):
        rows[row].append(piece)
    return list(rows.values())


def alone(lengths: list[int], _seq_length: int) -> list[int]:
    """A row for each piece."""
    return list(range(len(lengths)))


def sequential(lengths: list[int], seq_length: int) -> list[int]:
    """The last row while it has space, else a new one."""
    row, space, chosen = -1, 0, []
    for length in lengths:
        if length > space:
            row, space = row + 1, seq_length
        space -= length
        chosen.append(row)
    return chosen


def best_fit(lengths: list[int], seq_length: int) -> list[int]:
    """Long pieces first, equal ones in order: each into the row with the least space that holds it.

    Of the rows with that space, the one that got it last.
    """
    chosen = [0] * len(lengths)
    by_space: dict[int, list[int]] = defaultdict(list)
    rows = 0
    for piece in sorted(range(len(lengths)), key=lambda piece: -lengths[piece]):
        length = lengths[piece]
        space = min((space for space, open_rows in by_space.items() if open_rows and space >= length), default=None)
        if space is None:
            space, row, rows = seq_length, rows, rows + 1
        else:
            row = by_space[space].pop()
        if space > length:
            by_space[space - length].append(row)
        chosen[piece] = row
    return chosen


ROW_OF_EACH: dict[str, Callable[[list[int], int], list[int]]] = {
    "alone": alone,
    "sequential": sequential,
    "best-fit": best_fit,
}
