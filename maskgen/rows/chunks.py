"""Full rows over documents laid end to end, as GPT and RoBERTa take them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.identity import array_digest
from maskgen.mapping import build_sample_idx
from maskgen.mapping.arguments import memory_limit, whole_number
from maskgen.rows.base import RowSource
from maskgen.rows.pieces import ABSENT, DOCUMENT_BEGIN, DOCUMENT_END, ROW_BEGIN, ROW_END, Integers, Pieces, Specials
from maskgen.samples.errors import SampleError
from preprocess import IndexedDataset

Ids = tuple[int | None, int | None]
ORDER_BYTES = 24  # a document of an epoch: its place, and sizes while rows are found


class Chunks(RowSource):
    """Rows that follow each other without gaps in the stream of all documents, epoch after epoch.

    With a `seed` each epoch has the documents in an order of its own: that of ``document_order(seed, epoch, count)``.
    `add_special` puts ids around each document in the stream, `row_special` around each row. Every row but the last is
    full; `drop_last_partial_sequence` leaves the last one out unless it is full as well.
    """

    kind = "chunks"

    def __init__(
        self,
        dataset: IndexedDataset,
        seq_length: int,
        *,
        seed: int | None = None,
        num_epochs: int = 1,
        documents: range | Sequence[int] | npt.NDArray[Any] | None = None,
        add_special: Ids | None = None,
        row_special: Ids | None = None,
        drop_last_partial_sequence: bool = False,
        pad_id: int = 0,
        dtype: npt.DTypeLike = np.int64,
        engine: str = "native",
    ) -> None:
        super().__init__(
            dataset,
            seq_length,
            documents=documents,
            specials=Specials.of(add_special, row_special),
            pad_id=pad_id,
            dtype=dtype,
            engine=engine,
        )
        self.seed = None if seed is None else whole_number("seed", seed, 0, (1 << 64) - 1)
        self.num_epochs = whole_number("num_epochs", num_epochs, 1, (1 << 32) - 1)
        self.drop_last_partial_sequence = bool(drop_last_partial_sequence)
        self._room = self.seq_length - self.specials.around_row
        self._plan()

    def _plan(self) -> None:
        count = len(self.selection)
        if count * self.num_epochs > memory_limit() // ORDER_BYTES:
            raise SampleError(
                f"num_epochs is {self.num_epochs} with {count} documents; expected an order that fits into the "
                f"{memory_limit()} bytes of this machine; lower num_epochs"
            )
        self._order: Integers | None = None
        if self.seed is not None:
            orders = [document_order(self.seed, epoch, count) for epoch in range(self.num_epochs)]
            self._order = np.concatenate(orders)
        sizes = self.selection.sizes()
        sizes[sizes > 0] += self.specials.around_document
        tokens = int(sizes.sum())
        self._stream = tokens * self.num_epochs
        self.cut_documents = 0
        if tokens == 0:
            self._bounds: npt.NDArray[Any] = np.zeros((1, 2), np.int32)
            return
        order = np.tile(np.arange(count), self.num_epochs) if self._order is None else self._order
        self._bounds = build_sample_idx(
            sizes,
            order,
            seq_length=self._room,
            num_epochs=self.num_epochs,
            tokens_per_epoch=tokens,
            drop_last_partial_sequence=self.drop_last_partial_sequence,
            add_extra_token_to_sequence=0,
        )
        # Rows end inside a document or at its end; each epoch's documents count for themselves.
        places, offsets = self._bounds.T
        inside = (offsets > 0) & (offsets < sizes[order[places]])
        self.cut_documents = len(np.unique(places[inside]))

    def __len__(self) -> int:
        return len(self._bounds) - 1

    @property
    def entries(self) -> int:
        """Entries of all rows that are not padding."""
        return self._stream - self.dropped_entries + len(self) * self.specials.around_row

    @property
    def dropped_entries(self) -> int:
        """Entries at the end of the stream that are in no row, for `drop_last_partial_sequence`."""
        return max(0, self._stream - len(self) * self._room)

    def pieces(self, indices: Integers) -> Pieces:
        """What the rows at `indices` are made of."""
        begin, end = (self._bounds[each].astype(np.int64) for each in (indices, indices + 1))
        spread = end[:, 0] - begin[:, 0] + 1  # documents that a row touches, empty ones included
        firsts = np.cumsum(spread) - spread
        rows = np.repeat(np.arange(len(indices)), spread)
        places = np.arange(len(rows)) - firsts[rows] + begin[rows, 0]
        documents = self._documents(places)
        starts, counts = self.selection.spans(documents)
        # From here on in entries: the document with what stands around it.
        sizes = np.where(counts > 0, counts + self.specials.around_document, 0)
        low, high = np.zeros(len(rows), np.int64), sizes.copy()
        lasts = firsts + spread - 1
        low[firsts] = begin[:, 1]
        high[lasts] = end[:, 1]
        kept = low < high
        if not kept.all():
            rows, documents, starts, counts, sizes, low, high = (
                each[kept] for each in (rows, documents, starts, counts, sizes, low, high)
            )
        bits = np.zeros(len(rows), np.uint8)
        if self.specials.around_document:
            has_begin = self.specials.document_begin != ABSENT
            if has_begin:
                bits[low == 0] |= DOCUMENT_BEGIN
            if self.specials.document_end != ABSENT:
                bits[high == sizes] |= DOCUMENT_END
            low, high = (np.clip(each - has_begin, 0, counts) for each in (low, high))  # now in tokens
        row_starts = np.searchsorted(rows, np.arange(len(indices) + 1))
        if self.specials.row_begin != ABSENT:
            bits[row_starts[:-1]] |= ROW_BEGIN
        if self.specials.row_end != ABSENT:
            bits[row_starts[1:] - 1] |= ROW_END
        return Pieces(row_starts, documents, starts + low, high - low, bits)

    def _documents(self, places: Integers) -> Integers:
        places = places % len(self.selection) if self._order is None else self._order[places]
        return self.selection.numbers(places)

    def _arguments(self) -> dict[str, Any]:
        around_documents, around_rows = self.specials.pairs
        return {
            "seed": self.seed,
            "num_epochs": self.num_epochs,
            "drop_last_partial_sequence": self.drop_last_partial_sequence,
            "add_special": around_documents,
            "row_special": around_rows,
        }

    def _facts(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "num_epochs": self.num_epochs,
            "drop_last_partial_sequence": self.drop_last_partial_sequence,
            "dropped_entries": self.dropped_entries,
            "cut_documents": self.cut_documents,
            "plan": array_digest(self._bounds),
        }


def document_order(seed: int, epoch: int, count: int) -> Integers:
    """The order of documents in an epoch: a permutation by numpy's legacy generator, whose stream is frozen.

    It is seeded with three 32-bit words: the lower and the higher half of `seed`, and `epoch`.
    """
    words = [seed & 0xFFFFFFFF, seed >> 32, epoch]
    return np.random.RandomState(words).permutation(count).astype(np.int64, copy=False)
