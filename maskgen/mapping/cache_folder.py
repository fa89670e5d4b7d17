"""The folder in which mappings and plans are kept: one builder at a time, and files that are whole or not there."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.mapping.npy_file import header_of
from preprocess import IndexedDataset
from preprocess.errors import IndexedDatasetError, os_failure

OWN_NAMES = ("mapping-", "rows-")
WRITE_BYTES = 64 << 20
REMEDY = "name a folder that can be written to (--cache-dir, cache_dir=)"


def cache_folder(dataset: IndexedDataset, cache_dir: str | os.PathLike[str] | None) -> str:
    """`cache_dir`, by default the folder beside the dataset."""
    return f"{dataset.prefix}.maskgen-cache" if cache_dir is None else os.fspath(cache_dir)


@contextmanager
def lock_folder(folder: str) -> Iterator[None]:
    """One builder at a time; where the file system has no locks, several build the same bytes and the last one wins."""
    try:
        os.makedirs(folder, exist_ok=True)
        lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _not_writable(folder, error) from None
    try:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
            for name in os.listdir(folder):  # of builders that were killed: none is alive while the lock is held
                if name.startswith(OWN_NAMES) and name.endswith(".partial"):
                    os.unlink(os.path.join(folder, name))
        yield
    finally:
        os.close(lock)


def write_array(path: str, rows: npt.NDArray[Any]) -> None:
    """Write `rows` as the .npy file at `path`, whole or not at all."""
    # A name of its own, also where containers of one name and process number share a folder without locks.
    partial = f"{path}.{os.uname().nodename}-{os.getpid()}-{os.urandom(4).hex()}.partial"
    try:
        with open(partial, "wb") as file:
            file.write(header_of(rows.shape, rows.dtype))
            data = rows.view(np.uint8).reshape(-1).data
            for offset in range(0, len(data), WRITE_BYTES):
                file.write(data[offset : offset + WRITE_BYTES])
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _not_writable(path, error) from None
    finally:
        with suppress(OSError):
            os.unlink(partial)


def _not_writable(path: str, error: OSError) -> IndexedDatasetError:
    failure = os_failure(path, "write the cache", error, REMEDY)
    if REMEDY in failure.remedy:
        return failure
    return IndexedDatasetError(path, failure.place, failure.found, failure.expected, f"{failure.remedy}, or {REMEDY}")
