"""One shard: batches of samples, columns, a Parquet file under a temporary name, its digests, and then its own name."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from maskgen.export.columns import Column, ContentDigest, columns_of
from maskgen.export.settings import Plan
from maskgen.samples.opening import AnySamples
from preprocess.errors import MaskgenError, os_failure
from preprocess.indexed.parts import file_sha256

ROWS, CELLS = 2048, 1 << 21  # most of a batch, which is a row group: about 100 MB as arrays, 20 MB as columns


def require_pyarrow() -> Any:
    """The package, with the part that writes Parquet."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        found = "no package pyarrow" if isinstance(error, ModuleNotFoundError) else f"one that fails ({error})"
        raise MaskgenError(
            f'writing Parquet: found {found}, expected pyarrow; pip install "maskgen[corpora]"'
        ) from None
    return pyarrow


def write_shard(
    samples: AnySamples, plan: Plan, shard: int, path: str, threads: int, on_rows: Callable[[int], object]
) -> dict[str, Any]:
    """Write a shard to `path` and return its facts; the file has that name only when it is complete and on disk."""
    pyarrow = require_pyarrow()
    partial = f"{path}.partial"
    digest = ContentDigest()
    writer = None
    size = max(1, min(ROWS, CELLS // max(field.width for field in samples.fields)))
    try:
        for epoch, indices in plan.batches(shard, size):
            batch = samples.batch(indices, threads=threads, epoch=epoch)
            columns = columns_of(batch, samples.fields, plan.settings)
            digest.update(columns)
            table = pyarrow.table({column.name: _array(pyarrow, column) for column in columns})
            if writer is None:
                writer = pyarrow.parquet.ParquetWriter(partial, table.schema, compression="zstd")
            writer.write_table(table)
            on_rows(len(indices))
        if writer is not None:
            writer.close()
        _flush(partial)
        facts = {
            "file": f"data/{os.path.basename(path)}",
            "rows": plan.shard_rows(shard),
            "bytes": os.path.getsize(partial),
            "content": digest.hexdigest(),
            "sha256": file_sha256(partial),
        }
        os.replace(partial, path)
    except OSError as error:
        raise os_failure(path, "write it", error, "check the folder") from error
    finally:
        if writer is not None:
            with suppress(Exception):  # it may be what failed
                writer.close()
        with suppress(OSError):
            os.unlink(partial)
    return facts


def _array(pyarrow: Any, column: Column) -> Any:
    values = pyarrow.array(column.values)
    if column.lengths is None:
        return values
    offsets = np.zeros(len(column.lengths) + 1, np.int32)  # a batch has at most CELLS values, or one row
    np.cumsum(column.lengths, out=offsets[1:])
    return pyarrow.ListArray.from_arrays(pyarrow.array(offsets), values)


def _flush(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
