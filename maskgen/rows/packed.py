"""Rows of whole documents: several a row, packed, or one."""

import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.identity import array_digest
from maskgen.rows.base import VERSION, RowSource
from maskgen.rows.packing import STRATEGIES, Plan, plan_rows
from maskgen.rows.pieces import DOCUMENT_BEGIN, DOCUMENT_END, Integers, Pieces, Specials
from maskgen.rows.plan_file import check_plan, kept_plan
from maskgen.samples.errors import SampleError
from preprocess import IndexedDataset

Ids = tuple[int | None, int | None]


class PlannedRows(RowSource):
    """Rows by a plan: documents that fit into a row stay whole, longer ones are cut into windows of a row each.

    The last window of a long document is a piece like any other. With `split_long` False only the first window is
    kept: `dropped_tokens` says what that loses. Documents without tokens are in no row.

    `add_special` puts ids around every piece, windows included. With `cache` the plan is kept beside the dataset, or in
    the folder of that name, and mapped by the next one who asks for it.
    """

    strategy: str

    def __init__(
        self,
        dataset: IndexedDataset,
        seq_length: int,
        *,
        documents: range | Sequence[int] | npt.NDArray[Any] | None = None,
        split_long: bool = True,
        add_special: Ids | None = None,
        cache: bool | str | os.PathLike[str] = False,
        pad_id: int = 0,
        dtype: npt.DTypeLike = np.int64,
        engine: str = "native",
    ) -> None:
        super().__init__(
            dataset,
            seq_length,
            documents=documents,
            specials=Specials.of(add_special),
            pad_id=pad_id,
            dtype=dtype,
            engine=engine,
        )
        self.split_long = bool(split_long)
        self._room = self.seq_length - self.specials.around_document
        sizes = self.selection.sizes()
        self.empty_documents = int(np.count_nonzero(sizes == 0))
        self.long_documents = int(np.count_nonzero(sizes > self._room))
        kept = sizes if self.split_long else np.minimum(sizes, self._room)
        self._tokens = int(kept.sum())
        self.dropped_tokens = int(sizes.sum()) - self._tokens
        self.cut_documents = self.long_documents if self.split_long else 0
        if not isinstance(cache, (bool, str, os.PathLike)):
            raise SampleError(f"cache is {cache!r}; expected True, False or a folder; correct it")
        self.cache = cache
        self.plan = self._plan(sizes)

    def _plan(self, sizes: Integers) -> Plan:
        specials = self.specials.around_document
        facts: dict[str, Any] = {
            "seq_length": self.seq_length,
            "specials": specials,
            "split_long": self.split_long,
            "strategy": self.strategy,
        }
        if self.cache is False:
            return plan_rows(sizes, engine=self.engine, **facts)
        names = {"function": "plan_rows", "version": VERSION, "documents": self.selection.describe()}
        folder = None if self.cache is True else os.fspath(self.cache)
        plan = kept_plan(self.dataset, facts | names, folder, lambda: plan_rows(sizes, engine=self.engine, **facts))
        check_plan(plan, sizes, room=self._room, specials=specials, tokens=self._tokens)
        return plan

    def _arguments(self) -> dict[str, Any]:
        return {"split_long": self.split_long, "add_special": self.specials.pairs[0], "cache": self.cache}

    def __len__(self) -> int:
        return len(self.plan.row_starts) - 1

    @property
    def entries(self) -> int:
        """Entries of all rows that are not padding."""
        return self._tokens + len(self.plan.pieces) * self.specials.around_document

    def pieces(self, indices: Integers) -> Pieces:
        """What the rows at `indices` are made of."""
        plan_starts, plan_pieces = np.asarray(self.plan.row_starts), np.asarray(self.plan.pieces)
        firsts = plan_starts[indices]
        row_starts = np.zeros(len(indices) + 1, np.int64)
        np.cumsum(plan_starts[indices + 1] - firsts, out=row_starts[1:])
        # Piece p of this batch is piece p of the plan, moved by as much as the row it is in.
        moved = np.repeat(firsts - row_starts[:-1], np.diff(row_starts))
        chosen = plan_pieces[moved + np.arange(len(moved))]
        documents = self.selection.numbers(chosen[:, 0])
        starts, sizes = self.selection.spans(documents)
        counts = np.minimum(sizes - chosen[:, 1], self._room)
        bits = np.full(len(counts), self.specials.present & (DOCUMENT_BEGIN | DOCUMENT_END), np.uint8)
        return Pieces(row_starts, documents, starts + chosen[:, 1], counts, bits)

    def _facts(self) -> dict[str, Any]:
        return {
            "strategy": self.strategy,
            "split_long": self.split_long,
            "long_documents": self.long_documents,
            "cut_documents": self.cut_documents,
            "empty_documents": self.empty_documents,
            "dropped_tokens": self.dropped_tokens,
            "plan": self._plan_digests,
        }

    @cached_property
    def _plan_digests(self) -> list[str]:
        return [array_digest(self.plan.pieces), array_digest(self.plan.row_starts)]


class PackedDocuments(PlannedRows):
    """Several documents a row.

    ``sequential`` fills rows in the order of the documents: where one does not fit, a new row begins. ``best-fit`` puts
    long pieces first, each into the fullest row that still holds it (best-fit decreasing), and wastes far less.
    """

    kind = "packed"

    def __init__(self, dataset: IndexedDataset, seq_length: int, *, strategy: str = "best-fit", **options: Any) -> None:
        if strategy not in STRATEGIES:
            raise SampleError(f"strategy is {strategy!r}; expected {' or '.join(STRATEGIES)}; correct its name")
        self.strategy = strategy
        super().__init__(dataset, seq_length, **options)

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "strategy": self.strategy}


class Documents(PlannedRows):
    """One document a row, or a window of a long one, padded."""

    kind = "documents"
    strategy = "alone"
