"""What all kinds of rows share: checked settings, batches by index, how full the rows are, and what they are."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.rows.batch import RowBatch, arrays_of, cumulative, new_arrays
from maskgen.rows.gather import Gather, gather_by_twin, gather_natively
from maskgen.rows.pieces import LARGEST_ID, Integers, Pieces, Specials
from maskgen.rows.selection import Selection
from maskgen.samples.checks import checked_engine, checked_indices, integer
from maskgen.samples.errors import SampleError
from preprocess import IndexedDataset, IndexedDatasetError, lost_page_count

LONGEST = 1 << 24  # entries of a row
VERSION = 1  # of what rows are: it changes when the same arguments give other ones


class RowSource(ABC):
    """Rows by index: ``rows.tokens(indices)``. See Chunks, PackedDocuments and Documents."""

    kind: str
    cut_documents: int  # documents that are in more than one piece

    def __init__(
        self,
        dataset: IndexedDataset,
        seq_length: int,
        *,
        documents: Any,
        specials: Specials,
        pad_id: int,
        dtype: npt.DTypeLike,
        engine: str,
    ) -> None:
        self.selection = Selection(dataset, documents)
        self.dataset = dataset
        self.specials = specials
        self.seq_length = integer(seq_length, "seq_length", 1)
        most = specials.around_row + specials.around_document
        if not most < self.seq_length <= LONGEST:
            raise SampleError(
                f"seq_length is {seq_length}; expected {most + 1} to {LONGEST}: a row has room for {most} special "
                "tokens and at least one other; correct it"
            )
        self.pad_id = integer(pad_id, "pad_id", 0)
        if self.pad_id > LARGEST_ID:
            raise SampleError(f"pad_id is {pad_id}; expected an id from 0 to {LARGEST_ID}; correct it")
        self.engine = checked_engine(engine)
        self.dtype = checked_dtype(dtype)

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def pieces(self, indices: Integers) -> Pieces:
        """What the rows at `indices`, all of them from 0 to ``len(rows)``, are made of."""

    @abstractmethod
    def _facts(self) -> dict[str, Any]:
        """Arguments of this kind, and the digest of its plan, for `describe`."""

    @abstractmethod
    def _arguments(self) -> dict[str, Any]:
        """What the constructor of this kind was given besides what all kinds are given."""

    @property
    @abstractmethod
    def entries(self) -> int:
        """Entries of all rows that are not padding."""

    @property
    def efficiency(self) -> float:
        """The share of all entries that is not padding; 1.0 where there are no rows."""
        return self.entries / (len(self) * self.seq_length) if len(self) else 1.0

    def tokens(
        self, indices: Iterable[int] | npt.NDArray[Any], out: RowBatch | None = None, threads: int = 1
    ) -> RowBatch:
        """The rows at `indices`, in new arrays or in those of `out`. The result does not depend on `threads`."""
        chosen = checked_indices(indices, len(self))
        threads = integer(threads, "threads", 1)
        if out is None:
            arrays = new_arrays(self.seq_length, len(chosen), self.dtype, LARGEST_ID, documents=True)
        else:
            arrays = arrays_of(out, self.seq_length, len(chosen), LARGEST_ID)
        before = lost_page_count()
        pieces = self.pieces(chosen)
        ends = cumulative(pieces)
        failed = self._gather()(self.dataset.tokens, pieces, self.specials, self.pad_id, arrays, threads)
        if lost_page_count() > before:
            raise IndexedDatasetError(
                self.dataset.prefix, "memory map", "a page that its file no longer has (zeros were read in its place)",
                "a file that keeps its size while it is mapped", "restore the file and ask for these rows again",
            )  # fmt: skip
        if failed >= 0:
            self._refuse(pieces, failed)
        return RowBatch(
            arrays["tokens"], arrays["lengths"], arrays.get("document_ids"), arrays.get("positions"), ends, pieces
        )

    def allocate(
        self, batch_size: int, dtype: npt.DTypeLike | None = None, *, document_arrays: bool = True
    ) -> RowBatch:
        """A batch to pass to `tokens` as `out`, again and again; without document_ids and positions if so wished."""
        size = integer(batch_size, "batch_size", 0)
        chosen = self.dtype if dtype is None else checked_dtype(dtype)
        arrays = new_arrays(self.seq_length, size, chosen, LARGEST_ID, document_arrays)
        none = np.zeros(0, np.int64)
        empty = Pieces(np.zeros(size + 1, np.int64), none, none, none, np.zeros(0, np.uint8))
        return RowBatch(
            arrays["tokens"], arrays["lengths"], arrays.get("document_ids"), arrays.get("positions"),
            np.zeros(1, np.int32), empty,
        )  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """What these rows are, as JSON: kind, arguments, plan, and how full they are. Engine and type are left out."""
        names = ("row_begin", "document_begin", "document_end", "row_end")
        return {
            "kind": self.kind,
            "version": VERSION,
            "seq_length": self.seq_length,
            "documents": self.selection.describe(),
            "specials": {name: None if id_ < 0 else id_ for name, id_ in zip(names, self.specials.ids, strict=True)},
            "pad_id": self.pad_id,
            **self._facts(),
            "rows": len(self),
            "entries": self.entries,
            "efficiency": self.efficiency,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        # A plan is made again, or mapped, from a few hundred bytes: the same one, since it is a function of these.
        common = {"documents": self.selection.chosen, "pad_id": self.pad_id, "dtype": self.dtype, "engine": self.engine}
        return _made_again, (type(self), self.dataset, self.seq_length, common | self._arguments())

    def _gather(self) -> Gather:
        return gather_by_twin if self.engine == "reference" else gather_natively

    def _refuse(self, pieces: Pieces, piece: int) -> None:
        start, count = int(pieces.starts[piece]), int(pieces.counts[piece])
        tokens = self.dataset.tokens[start : start + count]
        place = int(np.argmax((tokens < 0) | (tokens > LARGEST_ID)))
        raise SampleError(
            f"{self.dataset.prefix}: document {pieces.documents[piece]} holds the id {tokens[place]}, token "
            f"{start + place} of the dataset; expected ids from 0 to {LARGEST_ID}; make the dataset again with a "
            "tokenizer's ids"
        )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.dataset.prefix!r}: {len(self)} rows of {self.seq_length}, "
            f"{self.efficiency:.1%} full)"
        )


def _made_again(kind: Any, dataset: IndexedDataset, seq_length: int, arguments: dict[str, Any]) -> RowSource:
    rows: RowSource = kind(dataset, seq_length, **arguments)
    return rows


def checked_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """int32 or int64."""
    try:
        chosen = np.dtype(dtype)
    except TypeError:
        chosen = np.dtype(object)
    if chosen not in (np.int32, np.int64):
        raise SampleError(f"dtype is {dtype!r}; expected int32 or int64; correct it")
    return chosen
