"""Indexed datasets to and from Arrow and Hugging Face `datasets`, in constant memory and without a loss.

IndexedDataset --a few documents at a time, views into the map--> record batches --> a stream, Parquet, a Dataset
record batches, tables, a Dataset --each column's values as one array--> IndexedDatasetWriter --> .bin, .idx, .json

A row is a document: its ids in ``input_ids``, how they divide into sequences (sentences) in ``sequence_lengths``, and
in multimodal datasets ``sequence_modes``. The type of a token is that of the column.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from preprocess.errors import IndexedDatasetError, MaskgenError, os_failure
from preprocess.indexed.format import CODE_OF_DTYPE, LENGTH, MODE, TokenDType, plain_prefix
from preprocess.indexed.reader import IndexedDataset
from preprocess.indexed.writer import IndexedDatasetWriter

TOKENS, LENGTHS, MODES = "input_ids", "sequence_lengths", "sequence_modes"

BATCH_TOKENS = 1 << 20  # in a record batch, unless a single document has more
WINDOW = 1 << 16  # documents whose places are looked up at a time; the most in a record batch
LARGEST_LIST = (1 << 31) - 1  # entries: lists have int32 offsets, since older versions of datasets know no others
ROWS = 1000  # that are asked of a Dataset at a time, as many as its own writer puts into a batch


def to_arrow(dataset: IndexedDataset) -> Any:
    """The documents of `dataset` as a ``pyarrow.RecordBatchReader``; the ids are views into the map, not copies.

    >>> import pyarrow.parquet                                             # doctest: +SKIP
    >>> reader = to_arrow(IndexedDataset("corpus_text_sentence"))          # doctest: +SKIP
    >>> with pyarrow.parquet.ParquetWriter("corpus.parquet", reader.schema) as file:   # doctest: +SKIP
    ...     for batch in reader:
    ...         file.write_batch(batch)
    """
    pyarrow = _required("pyarrow")
    types = {TOKENS: dataset.dtype, LENGTHS: LENGTH, **({} if dataset.sequence_modes is None else {MODES: MODE})}
    fields = [pyarrow.field(name, pyarrow.list_(pyarrow.from_numpy_dtype(dtype))) for name, dtype in types.items()]
    schema = pyarrow.schema(fields)
    return pyarrow.RecordBatchReader.from_batches(schema, _record_batches(pyarrow, dataset, schema))


def from_arrow(
    source: Any,
    prefix: str | os.PathLike[str],
    *,
    dtype: npt.DTypeLike | None = None,
    column: str = TOKENS,
) -> IndexedDataset:
    """Write a table, a RecordBatchReader, a ``pyarrow.dataset`` or record batches as the dataset `prefix`; open it.

    `column` has the ids of a document in a row. Where there is no column ``sequence_lengths``, a document is one
    sequence, and an empty one has none. `dtype` takes the place of the column's type; ids that do not fit into it are
    refused.
    """
    pyarrow = _required("pyarrow")
    batches = source
    if isinstance(source, pyarrow.RecordBatch):
        batches = [source]
    elif hasattr(source, "to_batches"):
        batches = source.to_batches()
    return _write(pyarrow, batches, getattr(source, "schema", None), plain_prefix(prefix), dtype, column)


def to_hf_dataset(dataset: IndexedDataset, path: str | os.PathLike[str]) -> Any:
    """Write `dataset` to the Arrow file `path`, as one stream, and open that as a memory-mapped ``datasets.Dataset``.

    Worker processes map the same file. The file has its name only when it is complete.
    """
    datasets, pyarrow = _required("datasets"), _required("pyarrow")
    path = plain_prefix(path)
    partial = f"{path}.partial"
    reader = to_arrow(dataset)
    try:
        with pyarrow.OSFile(partial, "wb") as file, pyarrow.ipc.new_stream(file, reader.schema) as stream:
            # datasets refuses a file without a batch: that of a dataset without documents has an empty one
            stream.write_batch(pyarrow.RecordBatch.from_pylist([], schema=reader.schema))
            for batch in reader:
                stream.write_batch(batch)
        os.replace(partial, path)
    except OSError as error:
        raise os_failure(path, "write it", error, "check the folder") from error
    finally:
        with suppress(OSError):
            os.unlink(partial)
    return datasets.Dataset.from_file(path)


def write_from_dataset(
    dataset: Any,
    prefix: str | os.PathLike[str],
    *,
    dtype: npt.DTypeLike | None = None,
    column: str = TOKENS,
) -> IndexedDataset:
    """Write a ``datasets.Dataset`` or ``IterableDataset``, in its order, as the dataset `prefix`; see `from_arrow`."""
    pyarrow = _required("pyarrow")
    prefix = plain_prefix(prefix)
    if isinstance(dataset, dict):
        found, remedy = f"several splits ({', '.join(map(str, dataset))})", "choose one: dataset['train']"
        raise IndexedDatasetError(prefix, "the dataset to write", found, "one dataset", remedy)
    schema = None if dataset.features is None else dataset.features.arrow_schema
    if schema is not None and column in schema.names:
        dataset = dataset.select_columns([name for name in (column, LENGTHS, MODES) if name in schema.names])
    batches = dataset.with_format("arrow").iter(batch_size=ROWS)
    return _write(pyarrow, batches, schema, prefix, dtype, column)


def _required(package: str) -> Any:
    try:
        if package == "datasets":
            import datasets

            return datasets
        import pyarrow
        import pyarrow.compute
        import pyarrow.ipc
    except ImportError as error:
        found = f"no package {package}" if isinstance(error, ModuleNotFoundError) else f"one that fails ({error})"
        remedy = 'pip install "maskgen[corpora]"'
        raise MaskgenError(f"converting a dataset: found {found}, expected {package}; {remedy}") from None
    return pyarrow


def _record_batches(pyarrow: Any, dataset: IndexedDataset, schema: Any) -> Iterator[Any]:
    flat: dict[str, Any] = {TOKENS: dataset.tokens, LENGTHS: dataset.sequence_lengths, MODES: dataset.sequence_modes}
    for sequence_at, token_at in _document_places(dataset):
        ends = {TOKENS: token_at, LENGTHS: sequence_at, MODES: sequence_at}
        columns = []
        for name in schema.names:
            first, last = int(ends[name][0]), int(ends[name][-1])
            if last - first > LARGEST_LIST:  # only a single document can be as long as that
                expected = f"at most {LARGEST_LIST}, the most that a list in Arrow holds"
                remedy = "cut the document"
                raise IndexedDatasetError(dataset.prefix, f"{name} of a document", str(last - first), expected, remedy)
            offsets = pyarrow.array((ends[name] - first).astype(np.int32))
            columns.append(pyarrow.ListArray.from_arrays(offsets, pyarrow.array(flat[name][first:last])))
        yield pyarrow.RecordBatch.from_arrays(columns, schema=schema)


def _document_places(dataset: IndexedDataset) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """For some documents at a time, where each begins in sequences and in tokens, and where the last one ends."""
    boundaries, pointers = dataset.document_indices, dataset.sequence_pointers
    for window in range(0, len(boundaries) - 1, WINDOW):
        sequence_at = np.asarray(boundaries[window : window + WINDOW + 1])
        token_at = np.full(len(sequence_at), dataset.tokens.size, np.int64)
        inside = sequence_at < len(dataset)
        token_at[inside] = pointers[sequence_at[inside]] // dataset.dtype.itemsize
        first = 0
        while first < len(token_at) - 1:
            fitting = [
                int(np.searchsorted(at, at[first] + BATCH_TOKENS, side="right")) for at in (token_at, sequence_at)
            ]
            last = max(first + 1, min(fitting) - 1)
            yield sequence_at[first : last + 1], token_at[first : last + 1]
            first = last


def _write(
    pyarrow: Any,
    batches: Iterable[Any],
    schema: Any,
    prefix: str,
    dtype: npt.DTypeLike | None,
    column: str,
) -> IndexedDataset:
    remaining = iter(batches)
    first = next(remaining, None)
    if schema is None:
        if first is None:
            found, remedy = "no rows and no schema", "pass a table, a reader or a Dataset, which have one"
            raise IndexedDatasetError(prefix, "what is to be written", found, "record batches", remedy)
        schema = first.schema
    token_type = _token_dtype(pyarrow, schema, prefix, column) if dtype is None else dtype
    rows = 0
    with IndexedDatasetWriter(prefix, token_type) as writer:
        while first is not None:
            documents = _Documents(pyarrow, first, prefix, column, rows)
            writer.add_documents(documents.tokens, documents.lengths, documents.counts, documents.modes)
            rows += first.num_rows
            first = next(remaining, None)
    return IndexedDataset(prefix)


def _token_dtype(pyarrow: Any, schema: Any, prefix: str, column: str) -> TokenDType:
    kind = _list_type(pyarrow, schema, prefix, column).value_type
    if pyarrow.types.is_integer(kind):
        dtype: TokenDType = np.dtype(kind.to_pandas_dtype())
        if dtype in CODE_OF_DTYPE:
            return dtype
    expected = f"a list of {', '.join(str(each) for each in CODE_OF_DTYPE)}"
    remedy = "pass dtype=; preprocess.token_dtype(vocabulary_size) chooses one"
    raise IndexedDatasetError(prefix, f"column {column!r}", f"a list of {kind}", expected, remedy)


def _list_type(pyarrow: Any, schema: Any, prefix: str, column: str) -> Any:
    index = schema.get_field_index(column)
    if index < 0:
        remedy = "name the column of ids with column="
        raise IndexedDatasetError(prefix, "columns", ", ".join(schema.names) or "none", f"one {column!r}", remedy)
    kind = schema.field(index).type
    checks = (pyarrow.types.is_list, pyarrow.types.is_large_list, pyarrow.types.is_fixed_size_list)
    if not any(check(kind) for check in checks):
        remedy = "make it lists of ids, one a document"
        raise IndexedDatasetError(prefix, f"column {column!r}", f"a column of {kind}", "lists of integers", remedy)
    return kind


class _Documents:
    """The rows of a record batch or table as the writer takes them; `before` rows came earlier."""

    def __init__(self, pyarrow: Any, batch: Any, prefix: str, column: str, before: int) -> None:
        self._pyarrow, self._batch, self._prefix, self._before = pyarrow, batch, prefix, before
        self.tokens, sizes = self._lists(column)
        self.modes: npt.NDArray[Any] | None = None
        names = batch.schema.names
        if LENGTHS not in names:
            if MODES in names:
                remedy = f"add the column, or drop {MODES}"
                raise IndexedDatasetError(prefix, "columns", f"{MODES} without {LENGTHS}", "both or neither", remedy)
            self.lengths, self.counts = sizes[sizes > 0], (sizes > 0).astype(np.int64)
            return
        self.lengths, self.counts = self._lists(LENGTHS)
        if (negative := self.lengths < 0).any():
            row = int(np.searchsorted(np.cumsum(self.counts), int(np.argmax(negative)), side="right"))
            raise self._refusal(row, LENGTHS, f"the length {self.lengths[negative][0]}", "0 or more")
        sums = np.zeros(self.lengths.size + 1, np.int64)
        np.cumsum(self.lengths, out=sums[1:])
        ends = np.zeros(self.counts.size + 1, np.int64)
        np.cumsum(self.counts, out=ends[1:])
        self._must_equal(np.diff(sums[ends]), sizes, f"the sum of {LENGTHS}", f"ids in {column}")
        if MODES in names:
            self.modes, found = self._lists(MODES)
            self._must_equal(found, self.counts, f"the number of {MODES}", LENGTHS)

    def _lists(self, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """All values of a column of lists, and how many each row has."""
        pyarrow, column = self._pyarrow, self._batch.column(name)
        kind = _list_type(pyarrow, self._batch.schema, self._prefix, name)
        values, sizes = [], []
        chunks = column.chunks if isinstance(column, pyarrow.ChunkedArray) else [column]
        row = 0
        for chunk in chunks:
            if chunk.null_count:
                missing = row + int(np.argmax(chunk.is_null().to_numpy(zero_copy_only=False)))
                raise self._refusal(missing, name, "null", "a list")
            flat = chunk.flatten()
            size = pyarrow.compute.list_value_length(chunk).to_numpy(zero_copy_only=False).astype(np.int64)
            if flat.null_count:
                missing = int(np.argmax(flat.is_null().to_numpy(zero_copy_only=False)))
                raise self._refusal(
                    row + int(np.searchsorted(np.cumsum(size), missing, side="right")), name, "null", "integers"
                )
            if len(flat) and not pyarrow.types.is_integer(kind.value_type):
                raise self._refusal(row, name, f"a list of {kind.value_type}", "integers")
            if len(flat):
                values.append(flat.to_numpy())
            sizes.append(size)
            row += len(chunk)
        return _joined(values), _joined(sizes)

    def _must_equal(self, found: npt.NDArray[Any], expected: npt.NDArray[Any], what: str, of: str) -> None:
        differing = found != expected
        if differing.any():
            row = int(np.argmax(differing))
            raise self._refusal(row, what, str(found[row]), f"{expected[row]}, the number of {of}")

    def _refusal(self, row: int, place: str, found: str, expected: str) -> IndexedDatasetError:
        remedy = "mend the row, or leave it out; no dataset was written"
        return IndexedDatasetError(self._prefix, f"row {self._before + row}, {place}", found, expected, remedy)


def _joined(arrays: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """One array of them; a single one is not copied."""
    if len(arrays) == 1:
        return arrays[0]
    return np.concatenate(arrays) if arrays else np.empty(0, np.int64)
