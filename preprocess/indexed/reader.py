"""Reading an indexed dataset: random access to sequences of tokens straight from the file system's cache.

Data flow: opening reads a header and two file sizes and keeps nothing open, so thousands of datasets cost nothing.
The first access maps both files and checks the whole index; from then on ``ds[i]`` is a view into the map. Arrays keep
the map alive, so they outlive the dataset. A pickled dataset is a few hundred bytes; its copy maps the files anew.
"""

import operator
import os
import weakref
from collections.abc import Iterator
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from preprocess import _native
from preprocess.errors import IndexedDatasetError
from preprocess.indexed.format import BOUNDARY, LENGTH, MODE, POINTER, TokenDType, dataset_prefix
from preprocess.indexed.index_file import IndexFile, load_index, map_tokens, open_index

Tokens = npt.NDArray[Any]

_mapped: "weakref.WeakSet[IndexedDataset]" = weakref.WeakSet()


class IndexedDataset:
    """The sequences of ``PREFIX.bin`` and ``PREFIX.idx``: ``ds[i]``, ``ds[i:j]``, ``ds.get(i, offset, length)``.

    >>> dataset = IndexedDataset("corpus_text_document")   # doctest: +SKIP
    >>> dataset[0][:5]                                      # doctest: +SKIP
    array([ 101, 1996, 3007, 2003,  102], dtype=uint16)
    """

    # Set by the first access. They are missing before it, so that __getattr__ can fill them in and the common case,
    # a mapped dataset, pays for no test.
    _length_at: memoryview
    _pointer_at: memoryview
    _tokens: Tokens
    _raw_index: npt.NDArray[np.uint8]

    def __init__(self, prefix: str | os.PathLike[str]) -> None:
        self.prefix = dataset_prefix(prefix)
        self._index = open_index(self.prefix)
        self._itemsize = self._index.layout.dtype.itemsize

    def __len__(self) -> int:
        return self._index.layout.sequences

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> Tokens: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tokens]: ...
    def __getitem__(self, index: int | np.integer[Any] | slice) -> Tokens | list[Tokens]:
        """The tokens of one sequence, or a list of them for a slice; read-only views into the map."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        # Items of a memoryview are Python integers, checked against both ends: a third of the cost of numpy's scalars.
        start = self._pointer_at[index] // self._itemsize
        return self._tokens[start : start + self._length_at[index]]

    def __iter__(self) -> Iterator[Tokens]:
        for index in range(len(self)):
            yield self[index]

    def get(self, index: int, offset: int = 0, length: int | None = None) -> Tokens:
        """Tokens ``offset`` to ``offset + length`` of one sequence, to its end by default; never a neighbour's."""
        sequence = self[operator.index(index)]
        offset = operator.index(offset)  # Python's integers, since numpy's wrap around in the sum below
        length = len(sequence) - offset if length is None else operator.index(length)
        if offset < 0 or length < 0 or offset + length > len(sequence):
            raise IndexError(
                f"sequence {index} of {self.prefix} has {len(sequence)} tokens: "
                f"offset {offset} with length {length} is not inside it"
            )
        return sequence[offset : offset + length]

    @property
    def dtype(self) -> TokenDType:
        """The integer type of a token."""
        return self._index.layout.dtype

    @property
    def tokens(self) -> Tokens:
        """All tokens of ``.bin``, for those who slice them by `sequence_pointers` and `sequence_lengths`."""
        return self._tokens

    @property
    def sequence_lengths(self) -> npt.NDArray[np.int32]:
        """Tokens in each sequence."""
        return self._section(self._index.layout.lengths_offset, len(self), LENGTH)

    @property
    def sequence_pointers(self) -> npt.NDArray[np.int64]:
        """Where each sequence starts in ``.bin``, in bytes."""
        return self._section(self._index.layout.pointers_offset, len(self), POINTER)

    @property
    def document_indices(self) -> npt.NDArray[np.int64]:
        """The sequence at which each document ends; document ``d`` is sequences ``indices[d]`` to ``indices[d+1]``."""
        return self._section(self._index.layout.boundaries_offset, self._index.layout.boundaries, BOUNDARY)

    @property
    def sequence_modes(self) -> npt.NDArray[np.int8] | None:
        """The mode of each sequence in a multimodal dataset, else None."""
        if not self._index.layout.has_modes:
            return None
        return self._section(self._index.layout.modes_offset, len(self), MODE)

    def _section(self, offset: int, count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        return self._raw_index[offset : offset + count * dtype.itemsize].view(dtype)

    def __getattr__(self, name: str) -> Any:
        if name in ("_length_at", "_pointer_at", "_tokens", "_raw_index") and "_index" in self.__dict__:
            self._load()
            return self.__dict__[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _load(self) -> None:
        layout = self._index.layout
        raw = load_index(self._index)
        if self._index.bin_size:
            tokens = np.frombuffer(memoryview(map_tokens(self._index)), self.dtype)
        else:  # nothing to map
            tokens = np.empty(0, self.dtype)
            tokens.flags.writeable = False
        # Two threads may both come here on first access; each sets the same values, and the loser's map goes away.
        view = raw.data
        self._length_at = view[layout.lengths_offset : layout.pointers_offset].cast("i")
        self._pointer_at = view[layout.pointers_offset : layout.boundaries_offset].cast("q")
        self._raw_index = raw
        self._tokens = tokens
        _mapped.add(self)

    def _unload(self) -> None:
        for name in ("_length_at", "_pointer_at", "_tokens", "_raw_index"):
            self.__dict__.pop(name, None)

    def __getstate__(self) -> dict[str, Any]:
        # The full path, since a worker process may have another current directory.
        return {
            "prefix": os.path.abspath(self.prefix),
            "index": self._index,
            "checked": self._index.is_checked,
            "host": os.uname().nodename,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        before: IndexFile = state["index"]
        self.prefix = state["prefix"]
        self._index = open_index(self.prefix)
        self._itemsize = self._index.layout.dtype.itemsize
        if (self._index.layout, self._index.bin_size) != (before.layout, before.bin_size):
            found = f"{len(self)} sequences in {self._index.bin_size} bytes"
            expected = f"{before.layout.sequences} in {before.bin_size}, as when this dataset was pickled"
            raise IndexedDatasetError(self._index.path, "header", found, expected, "open the dataset anew")
        same_files = (self._index.identity, self._index.bin_identity) == (before.identity, before.bin_identity)
        if not same_files and state["host"] == os.uname().nodename:  # another host may have a copy of its own
            found, expected = "files that were replaced since this dataset was pickled", "the same files"
            raise IndexedDatasetError(self._index.path, "file", found, expected, "open the dataset anew")
        if state["checked"] and same_files:
            self._index.mark_checked()

    def __repr__(self) -> str:
        documents = self._index.layout.documents
        return f"IndexedDataset({self.prefix!r}: {len(self)} sequences in {documents} documents, {self.dtype})"


def _raise_for_lost_pages() -> None:
    """Runs in the main thread soon after a read met a page that its file no longer has (somebody cut the file).

    Every mapped dataset lets go of its maps, so that the next access to a damaged one maps and checks it again and
    fails there too; undamaged ones come back by themselves. Other threads learn of it by lost_page_count().
    """
    for dataset in list(_mapped):
        _mapped.discard(dataset)
        dataset._unload()
    raise IndexedDatasetError(
        "an indexed dataset",
        "memory map",
        "a page that its file no longer has (zeros were read in its place)",
        "a file that keeps its size while it is mapped",
        "do not write to datasets in use: replace them by renaming; the next access names the file",
    )


_native.on_lost_page(_raise_for_lost_pages)
