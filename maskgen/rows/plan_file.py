"""Plans on disk: made once for all processes and runs, mapped by all of them.

What the dataset is and every argument are hashed into the names of two files, one of pieces and one of row starts.
"""

import hashlib
import json
import os
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from maskgen.mapping.cache import dataset_key
from maskgen.mapping.cache_folder import cache_folder, lock_folder, write_array
from maskgen.mapping.npy_file import CacheFileError, MappedRows, map_rows
from maskgen.rows.packing import Plan
from maskgen.rows.pieces import Integers
from preprocess import IndexedDataset

CHUNK = 1 << 18  # pieces looked at together, so that they stay in the cache
WHOLE = (np.dtype(np.int64),)


def kept_plan(
    dataset: IndexedDataset,
    facts: dict[str, Any],
    cache_dir: str | os.PathLike[str] | None,
    build: Callable[[], Plan],
) -> Plan:
    """The plan that `build` makes, from the files that `facts` name; they are written where they are missing."""
    statement = json.dumps({"dataset": dataset_key(dataset), **facts}, sort_keys=True)
    key = hashlib.sha256(statement.encode()).hexdigest()[:40]
    folder = cache_folder(dataset, cache_dir)
    names = [os.path.join(folder, f"rows-{key}-{part}.npy") for part in ("pieces", "starts")]
    if not _exist(names):
        with lock_folder(folder):
            if not _exist(names):  # the process that had the lock before may have made the same
                plan = build()
                write_array(names[0], plan.pieces)
                write_array(names[1], plan.row_starts.reshape(-1, 1))
    starts = map_rows(names[1], 1, WHOLE)
    flat = starts.reshape(-1)
    if isinstance(starts, MappedRows) and isinstance(flat, MappedRows):
        flat.source = starts.source
    return Plan(map_rows(names[0], 2, WHOLE), flat)


def check_plan(plan: Plan, sizes: Integers, *, room: int, specials: int, tokens: int) -> None:
    """Raise unless every row of a plan that was read is made of pieces that exist, and all have that many tokens."""
    starts, pieces = np.asarray(plan.row_starts), np.asarray(plan.pieces)
    found = 0
    if not len(starts) or starts[0] != 0 or starts[-1] != len(pieces):
        _refuse(plan.row_starts, "ends", str(starts[[0, -1]].tolist() if len(starts) else []), f"0 and {len(pieces)}")
    for first in range(0, len(starts) - 1, CHUNK):
        bounds = starts[first : first + CHUNK + 1]
        if (np.diff(bounds) < 1).any() or bounds[-1] > len(pieces):
            _refuse(plan.row_starts, f"rows {first} on", "a row without pieces", "rising numbers of pieces")
        places, offsets = pieces[bounds[0] : bounds[-1]].T
        if int(places.min()) < 0 or int(places.max()) >= len(sizes):
            _refuse(plan.pieces, f"pieces {bounds[0]} on", "other documents", f"documents from 0 to {len(sizes) - 1}")
        lengths = np.minimum(sizes[places] - offsets, room)
        if int(offsets.min()) < 0 or (offsets % room).any() or int(lengths.min()) < 1:
            _refuse(plan.pieces, f"pieces {bounds[0]} on", "other offsets", f"multiples of {room} inside of documents")
        found += int(lengths.sum())
        if int(np.add.reduceat(lengths + specials, bounds[:-1] - bounds[0]).max()) > room + specials:
            _refuse(plan.pieces, f"rows {first} on", "longer rows", f"rows of at most {room + specials}")
    if found != tokens:
        _refuse(plan.pieces, "all pieces", f"{found} tokens", f"the {tokens} tokens of the documents")


def _exist(names: list[str]) -> bool:
    return all(map(os.path.lexists, names))


def _refuse(array: Any, place: str, found: str, expected: str) -> NoReturn:
    source = array.source if isinstance(array, MappedRows) else None
    raise CacheFileError("a plan" if source is None else source.path, place, found, expected)
