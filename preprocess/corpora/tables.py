"""Tables as corpora: row groups of Parquet files, and rows of Hugging Face datasets.

file --batches of about 8 MB--> one Arrow array for each key --checked as a whole--> documents, a record a row

A document is a column of text, or of lists of texts, which are a document cut into sentences; ``a.b`` is the field b
of the column a. Rows are looked at one by one only in arrays that have something wrong in them.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from preprocess.corpora.arrow_texts import Texts, column_of, texts_of
from preprocess.corpora.corpus_file import CorpusFile, check_unchanged, corrupt, missing_package, open_unchanged
from preprocess.corpora.records import TextRecords
from preprocess.corpora.saved_datasets import check_saved_dataset, open_dataset
from preprocess.errors import os_failure

_BATCH_BYTES = 8 << 20
_MOST_ROWS = 1 << 14
_DATASET_ROWS = 1 << 10  # at a time, of datasets: how large their rows are is not known


def parquet_row_groups(file: CorpusFile) -> list[int]:
    """Return the number of rows in each row group of a Parquet file."""
    with _Parquet(file) as parquet:
        return [parquet.metadata.row_group(group).num_rows for group in range(parquet.metadata.num_row_groups)]


def read_parquet(file: CorpusFile, first_group: int, last_group: int, keys: Sequence[str]) -> Iterator[TextRecords]:
    """Yield the rows of the row groups ``first_group`` up to, not including, ``last_group``."""
    with _Parquet(file) as parquet:
        columns = [column_of(file, parquet.schema, key) for key in keys]
        rows_before = 0
        for group in range(first_group, last_group):
            for batch, bytes_read in parquet.batches(group, [column.name for column in columns]):
                yield _records([texts_of(batch, column) for column in columns], rows_before, bytes_read)
                rows_before += len(batch)
        parquet.check_unchanged()


def datasets_rows(file: CorpusFile) -> int:
    """Return the number of rows of a Hugging Face dataset."""
    return len(open_dataset(file))


def read_datasets(file: CorpusFile, first_row: int, last_row: int, keys: Sequence[str]) -> Iterator[TextRecords]:
    """Yield the rows ``first_row`` up to, not including, ``last_row``."""
    check_saved_dataset(file)
    dataset = open_dataset(file)
    columns = [column_of(file, dataset.features.arrow_schema, key) for key in keys]
    dataset = dataset.select_columns(list(dict.fromkeys(column.path[0] for column in columns)))
    for begin in range(first_row, last_row, _DATASET_ROWS):
        end = min(begin + _DATASET_ROWS, last_row)
        try:
            batch = dataset[begin:end]
            found = [texts_of(batch, column) for column in columns]
        except Exception as error:  # of Arrow or of the package, each with its own base
            raise corrupt(file, f"rows {begin} to {end}", f"{type(error).__name__}: {error}") from error
        yield _records(found, begin - first_row, _share(file.bytes, begin, end, len(dataset)))
    check_saved_dataset(file)


def _share(size: int, begin: int, end: int, rows: int) -> int:
    """Tell how many of `size` bytes some of the rows stand for; all rows stand for all of them."""
    return size * end // rows - size * begin // rows


def _records(keys: list[Texts], rows_before: int, bytes_read: int) -> TextRecords:
    """One record a row; those with a problem in any key are left out, with the first of their problems."""
    rows = len(keys[0].documents)
    bad = {row: make_problem for texts in reversed(keys) for row, make_problem in texts.bad.items()}
    problems = [bad[row](rows_before + row) for row in sorted(bad)]
    lines = np.arange(rows_before, rows_before + rows)
    documents = [texts.documents for texts in keys]
    if bad:
        lines = np.delete(lines, sorted(bad))
        documents = [[document for row, document in enumerate(column) if row not in bad] for column in documents]
    return TextRecords(list(documents), lines, rows, bytes_read, problems=problems)


class _Parquet:
    """An open Parquet file whose failures say what they mean."""

    def __init__(self, file: CorpusFile) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise missing_package(file.name, "pyarrow", "reading Parquet") from error
        self._failures = (pa.ArrowException, OSError, UnicodeDecodeError)
        self._file = file
        self._opened = open_unchanged(file)
        try:
            # Without a buffer size a whole column of a row group is held in memory, compressed.
            self._parquet = pq.ParquetFile(self._opened, buffer_size=1 << 20, page_checksum_verification=True)
        except self._failures as error:
            self._opened.close()
            raise self._explained("footer", error) from error
        self.metadata: Any = self._parquet.metadata
        self.schema: Any = self._parquet.schema_arrow

    def __enter__(self) -> "_Parquet":
        return self

    def __exit__(self, *unused: object) -> None:
        self._opened.close()

    def check_unchanged(self) -> None:
        check_unchanged(self._file, self._opened)

    def batches(self, group: int, columns: list[str]) -> Iterator[tuple[Any, int]]:
        """Yield the batches of a row group, each with its share of the file's bytes."""
        rows_before = sum(self.metadata.row_group(earlier).num_rows for earlier in range(group))
        about = self.metadata.row_group(group)
        row_bytes = max(1, about.total_byte_size // max(1, about.num_rows))
        rows = min(_MOST_ROWS, max(1, _BATCH_BYTES // row_bytes))
        try:
            # In this thread alone: a run has a process for each core.
            for batch in self._parquet.iter_batches(rows, [group], list(dict.fromkeys(columns)), use_threads=False):
                rows_after = rows_before + len(batch)
                yield batch, _share(self._file.bytes, rows_before, rows_after, self.metadata.num_rows)
                rows_before = rows_after
        except self._failures as error:
            raise self._explained(f"row group {group}", error) from error

    def _explained(self, place: str, error: Exception) -> Exception:
        if isinstance(error, OSError) and error.errno is not None and os.strerror(error.errno) == error.strerror:
            return os_failure(self._file.name, place, error, "check the disk, or copy the file again")
        return corrupt(self._file, place, str(error))
