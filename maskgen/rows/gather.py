"""Pieces of documents to rows of tokens: the definition in plain Python, and one native call that does the same."""

from collections.abc import Callable

import numpy as np

from maskgen import _native
from maskgen.rows.batch import Matrix
from maskgen.rows.pieces import DOCUMENT_BEGIN, DOCUMENT_END, LARGEST_ID, ROW_BEGIN, ROW_END, Pieces, Specials

Gather = Callable[[Matrix, Pieces, Specials, int, dict[str, Matrix], int], int]


def gather_by_twin(
    tokens: Matrix, pieces: Pieces, specials: Specials, pad_id: int, out: dict[str, Matrix], _threads: int
) -> int:
    """Fill the arrays of `out`. Returns the first piece with a token that is no id, or -1."""
    before = ((ROW_BEGIN, specials.row_begin), (DOCUMENT_BEGIN, specials.document_begin))
    after = ((DOCUMENT_END, specials.document_end), (ROW_END, specials.row_end))
    for row in range(len(pieces.row_starts) - 1):
        entries: list[int] = []
        ids: list[int] = []
        positions: list[int] = []
        first, last = pieces.row_starts[row : row + 2].tolist()
        for piece in range(first, last):
            start, bits = int(pieces.starts[piece]), int(pieces.specials[piece])
            text = tokens[start : start + int(pieces.counts[piece])].tolist()
            if not all(0 <= token <= LARGEST_ID for token in text):
                return piece
            run = [id_ for bit, id_ in before if bits & bit] + text + [id_ for bit, id_ in after if bits & bit]
            entries += run
            ids += [piece - first] * len(run)
            positions += range(len(run))
        out["lengths"][row] = len(entries)
        columns = (("tokens", entries, pad_id), ("document_ids", ids, -1), ("positions", positions, 0))
        for name, values, filler in columns:
            if name in out:
                out[name][row] = np.array(values + [filler] * (out[name].shape[1] - len(values)), np.int64)
    return -1


def gather_natively(
    tokens: Matrix, pieces: Pieces, specials: Specials, pad_id: int, out: dict[str, Matrix], threads: int
) -> int:
    """The same, in C++ and without the interpreter's lock."""
    return _native.gather_rows(
        tokens=tokens,
        row_starts=pieces.row_starts,
        starts=pieces.starts,
        counts=pieces.counts,
        specials=pieces.specials,
        ids=specials.ids,
        pad_id=pad_id,
        out=out,
        threads=threads,
    )
