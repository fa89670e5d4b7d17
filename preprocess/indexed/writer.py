"""Writing an indexed dataset, document by document, in constant memory.

Data flow: tokens go through a small buffer to ``.bin.partial`` and its running digest; lengths, document boundaries
and modes are spooled to disk beside it (4, 8 and 1 bytes each). ``commit`` streams the spools into ``.idx.partial``,
writes the sidecar and gives all three their names, the index last.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from preprocess.errors import IndexedDatasetError
from preprocess.indexed.format import (
    BOUNDARY,
    CODE_OF_DTYPE,
    LENGTH,
    MODE,
    POINTER,
    IndexLayout,
    TokenDType,
)
from preprocess.indexed.partial import SPOOLS, PartFile, PartialDataset
from preprocess.indexed.sidecar import InputFile, Part, Sidecar, TokenizerInfo, library_versions

BUFFER = 1 << 20  # bytes gathered before a write; larger ones gain nothing
CHUNK = 1 << 18  # entries of the index that are held at a time

Chunks = Callable[[], Iterable[npt.NDArray[Any]]]


class IndexedDatasetWriter:
    """Writes ``PREFIX.bin``, ``.idx`` and ``.json``; a dataset that existed there is replaced when the block ends.

    >>> with IndexedDatasetWriter("corpus", np.uint16) as writer:     # doctest: +SKIP
    ...     writer.add_document([101, 2054, 102], sequence_lengths=[3])

    Leaving the block by an exception leaves nothing behind. `tokenizer`, `settings` and `inputs` are for the sidecar
    and may be set until the block ends.
    """

    def __init__(self, prefix: str | os.PathLike[str], dtype: npt.DTypeLike) -> None:
        self.prefix = os.fspath(prefix)
        self.dtype = checked_dtype(self.prefix, dtype)
        self.documents = 0
        self.sequences = 0
        self.tokens = 0
        self.tokenizer: TokenizerInfo | None = None
        self.settings: dict[str, Any] = {}
        self.inputs: list[InputFile] = []
        self._has_modes: bool | None = None  # unknown until the first sequence
        partial = PartialDataset(self.prefix)
        self._partial: PartialDataset | None = partial
        try:
            self._bin = _Buffered(partial.create("bin", digest=True))
            self._lengths, self._boundaries, self._modes = (_Buffered(partial.create(kind)) for kind in SPOOLS)
        except BaseException:
            self.discard()
            raise
        self._boundaries.append(np.zeros(1, BOUNDARY))

    def add_document(
        self, tokens: npt.ArrayLike, sequence_lengths: npt.ArrayLike, modes: npt.ArrayLike | None = None
    ) -> None:
        """One document: all its tokens, how they divide into sequences, and a mode for each in multimodal datasets."""
        lengths = np.asarray(sequence_lengths)
        self.add_documents(tokens, lengths, [lengths.size], modes)

    def add_documents(
        self,
        flat_tokens: npt.ArrayLike,
        sequence_lengths: npt.ArrayLike,
        sequences_per_document: npt.ArrayLike,
        modes: npt.ArrayLike | None = None,
    ) -> None:
        """Many documents in one call. All of it is checked before any of it is written."""
        if self._partial is None:
            raise ValueError(f"the writer of {self.prefix} is closed")
        tokens = self._integers("tokens", flat_tokens, self.dtype)
        lengths = self._integers("sequence_lengths", sequence_lengths, LENGTH, smallest=0)
        counts = self._integers("sequences_per_document", sequences_per_document, BOUNDARY, smallest=0)
        self._must_sum("sequence_lengths", lengths, tokens.size, "tokens")
        self._must_sum("sequences_per_document", counts, lengths.size, "sequences")
        if lengths.size:
            self._must_have_modes(modes is not None)
        mode_values = self._integers("modes", [] if modes is None else modes, MODE)
        if modes is not None and mode_values.size != lengths.size:
            raise self._refusal("modes", f"{mode_values.size} modes", f"one for each of the {lengths.size} sequences")
        self._bin.append(tokens)
        self._lengths.append(lengths)
        self._boundaries.append(self.sequences + np.cumsum(counts))
        self._modes.append(mode_values)
        self.tokens += tokens.size
        self.sequences += lengths.size
        self.documents += counts.size

    def commit(self) -> None:
        """Finish: the dataset exists when this returns. Leaving the ``with`` block does it."""
        partial = self._partial
        if partial is None:
            return
        for spool in (self._bin, self._lengths, self._boundaries, self._modes):
            spool.flush()
        has_modes = bool(self._has_modes)
        layout = IndexLayout(self.dtype, self.sequences, self.documents + 1, has_modes)
        idx = partial.create("idx", digest=True)
        write_index(
            idx,
            layout,
            lengths=lambda: _read(self._lengths.part, LENGTH),
            boundaries=lambda: _read(self._boundaries.part, BOUNDARY),
            modes=lambda: _read(self._modes.part, MODE),
        )
        sidecar = Sidecar(
            dtype=str(self.dtype),
            documents=self.documents,
            sequences=self.sequences,
            tokens=self.tokens,
            has_modes=has_modes,
            bin=[Part(self._bin.part.bytes, self._bin.part.hexdigest())] if self.tokens else [],
            idx=Part(idx.bytes, idx.hexdigest()),
            tokenizer=self.tokenizer,
            settings=self.settings,
            inputs=self.inputs,
            versions=library_versions(),
        )
        partial.create("json").append(sidecar.to_json())
        partial.commit()
        self._partial = None

    def discard(self) -> None:
        """Give up: nothing stays behind, and a dataset that existed under the prefix stays as it was."""
        if self._partial is not None:
            self._partial.discard()
            self._partial = None

    def __enter__(self) -> "IndexedDatasetWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.discard()

    def _integers(self, name: str, values: npt.ArrayLike, dtype: TokenDType, smallest: int | None = None) -> Any:
        """`values` as a one-dimensional array of `dtype`, or a refusal that names the first value that does not fit."""
        array = np.asarray(values)
        if array.size == 0:
            return np.empty(0, dtype)
        if array.ndim != 1:
            raise self._refusal(name, f"{array.ndim} dimensions", "one dimension")
        if array.dtype.kind not in "iu":
            raise self._refusal(name, f"values of type {array.dtype}", "integers")
        if array.dtype == dtype and smallest is None:
            return np.ascontiguousarray(array)
        limits = np.iinfo(dtype)
        low, high = limits.min if smallest is None else smallest, limits.max
        if int(array.min()) < low or int(array.max()) > high:
            where = int(np.argmax((array < low) | (array > high)))
            raise self._refusal(f"{name}[{where}]", str(array[where]), f"{low} to {high}, the range here ({dtype})")
        return np.ascontiguousarray(array, dtype)

    def _must_sum(self, name: str, counts: npt.NDArray[Any], total: int, what: str) -> None:
        found = int(counts.sum(dtype=np.int64))
        if found != total:
            raise self._refusal(name, f"a sum of {found}", f"{total}, the number of {what}")

    def _must_have_modes(self, given: bool) -> None:
        if self._has_modes is None:
            self._has_modes = given
        elif self._has_modes != given:
            found = "modes" if given else "no modes"
            raise self._refusal("modes", found, "modes for all sequences of a dataset or for none")

    def _refusal(self, place: str, found: str, expected: str) -> IndexedDatasetError:
        remedy = "nothing of this call was written"
        if place.startswith("tokens["):
            remedy += "; token_dtype(vocabulary_size) gives a dtype that holds every id"
        return IndexedDatasetError(self.prefix, f"document {self.documents}, {place}", found, expected, remedy)


class _Buffered:
    """Gathers small appends to a PartFile into larger writes."""

    def __init__(self, part: PartFile) -> None:
        self.part = part
        self._buffer = bytearray()

    def append(self, values: npt.NDArray[Any]) -> None:
        if values.nbytes >= BUFFER:
            self.flush()
            self.part.append(values.data)
            return
        self._buffer += values.data
        if len(self._buffer) >= BUFFER:
            self.flush()

    def flush(self) -> None:
        self.part.append(self._buffer)
        self._buffer = bytearray()


def checked_dtype(prefix: str, dtype: npt.DTypeLike) -> TokenDType:
    """`dtype` as one that the format has a code for."""
    known = np.dtype(dtype)
    if known not in CODE_OF_DTYPE:
        expected = ", ".join(str(each) for each in CODE_OF_DTYPE)
        raise IndexedDatasetError(prefix, "dtype", str(known), expected, "token_dtype(vocabulary_size) chooses one")
    return known


def write_index(out: PartFile, layout: IndexLayout, *, lengths: Chunks, boundaries: Chunks, modes: Chunks) -> None:
    """Write a whole index from its sections in chunks; `lengths` is asked twice, since pointers follow from it."""
    out.append(layout.header())
    for chunk in lengths():
        out.append(chunk.data)
    end = 0
    for chunk in lengths():
        ends = np.cumsum(chunk, dtype=POINTER)
        ends *= layout.dtype.itemsize
        ends += end
        pointers = np.empty_like(ends)
        pointers[:1] = end
        pointers[1:] = ends[:-1]
        out.append(pointers.data)
        end = int(ends[-1]) if ends.size else end
    for chunk in boundaries():
        out.append(chunk.data)
    if layout.has_modes:
        for chunk in modes():
            out.append(chunk.data)
    if out.bytes != layout.size:
        expected = f"{layout.size}, for {layout.sequences} sequences and {layout.boundaries} document indices"
        remedy = "a file changed while it was read: run the same command again"
        raise IndexedDatasetError(out.path, "size", f"{out.bytes} bytes", expected, remedy)


def _read(part: PartFile, dtype: np.dtype[Any]) -> Iterator[npt.NDArray[Any]]:
    for data in part.chunks(CHUNK * dtype.itemsize):
        yield np.frombuffer(data, dtype)
