"""Documents in random order across the whole corpus, in bounded memory, the same for any plan.

    shards' files --each document's hash of (seed, number in the corpus)--> buckets by its first bits, on disk
                  --each bucket sorted by the whole hash, in memory--> files like those of shards, in the final order

Equal hashes keep the order of the corpus. All keys move alike.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from preprocess.indexed.format import LENGTH
from preprocess.pipeline.provenance import corpus_lines
from preprocess.pipeline.shard_files import Receipt, ShardWriter
from preprocess.pipeline.work_folder import WorkFolder

BUCKET_BYTES = 64 << 20  # of tokens, about
MOST_BUCKETS = 1024  # so that beyond 64 GB of tokens buckets, and with them the memory, grow
BATCH_BYTES = 16 << 20
GATHERED = 1 << 20  # values at a time
DOCUMENT_BYTES = 24  # of a document beside its tokens
HELD_BYTES = 64 << 20  # in all buckets before they go to disk

Array = npt.NDArray[Any]


def shuffle_documents(
    work: WorkFolder, receipts: Sequence[Receipt], plan: str, keys: int, dtype: np.dtype[np.generic], seed: int,
    *, lines: bool, first_number: int,
) -> list[Receipt]:  # fmt: skip
    """Write the shuffled documents as shards numbered from `first_number`, and return their receipts in order."""
    total = sum(receipt.files[f"{key}.bin"].bytes for receipt in receipts for key in range(keys))
    total += DOCUMENT_BYTES * keys * sum(receipt.documents for receipt in receipts)
    bits = min(MOST_BUCKETS.bit_length() - 1, max(0, -(-total // BUCKET_BYTES) - 1).bit_length())
    buckets = _Buckets(work, 1 << bits)
    everywhere = corpus_lines(work, receipts) if lines else None
    documents = 0
    for receipt in receipts:
        hashes = document_hashes(seed, documents, receipt.documents)
        documents += receipt.documents
        owners = (hashes >> np.uint64(63 - bits) >> np.uint64(1)).astype(np.int64)
        order = np.argsort(owners, kind="stable")
        buckets.add("hashes", owners[order], hashes[order].reshape(-1, 1))
        if everywhere is not None:
            buckets.add("lines", owners[order], next(everywhere)[order].reshape(-1, 1))
        for key in range(keys):
            for first, batch in _batches(work, receipt, key, dtype):
                own = owners[first : first + len(batch)]
                _send(buckets, key, own, batch)
        buckets.flush_if_full()
    buckets.flush()
    finished = []
    for number in range(buckets.count):
        writer = ShardWriter(
            work, first_number + number, keys, size=total // buckets.count, lines=lines, quarantine=False
        )
        try:
            _sort_bucket(buckets, number, writer, keys, dtype, lines)
            finished.append(writer.finish(plan, None))
        finally:
            writer.discard()
        buckets.remove(number)
    return finished


def document_hashes(seed: int, first: int, count: int) -> npt.NDArray[np.uint64]:
    """A hash of (seed, number) for `count` documents: two rounds of splitmix64, which leave no pattern."""
    with np.errstate(over="ignore"):
        start = _mix(np.array([seed & 0xFFFFFFFFFFFFFFFF], np.uint64))
        return _mix(_mix(np.arange(first, first + count, dtype=np.uint64)) ^ start)


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@dataclass(frozen=True)
class _Documents:
    """Some documents of one key, as they lie in a shard's files."""

    counts: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]
    tokens: Array

    def __len__(self) -> int:
        return len(self.counts)

    def take(self, order: npt.NDArray[np.int64]) -> "_Documents":
        """These documents in that order."""
        sequences = np.concatenate(([0], np.cumsum(self.counts, dtype=np.int64)))
        ends = np.concatenate(([0], np.cumsum(self.lengths, dtype=np.int64)))[sequences]
        return _Documents(
            self.counts[order],
            gather(self.lengths, sequences[order], sequences[order + 1]),
            gather(self.tokens, ends[order], ends[order + 1]),
        )


def gather(values: Array, begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> Array:
    """The slices ``values[begin:end]``, one behind the other, without a Python object for each."""
    places = np.concatenate(([0], np.cumsum(ends - begins)))
    found = np.empty(places[-1], values.dtype)
    first = 0
    while first < len(begins):
        last = max(first + 1, int(np.searchsorted(places, places[first] + GATHERED, side="right")) - 1)
        sizes = ends[first:last] - begins[first:last]
        shifts = np.repeat(begins[first:last] - places[first:last], sizes)
        found[places[first] : places[last]] = values[np.arange(places[first], places[last]) + shifts]
        first = last
    return found


def _batches(
    work: WorkFolder, receipt: Receipt, key: int, dtype: np.dtype[np.generic]
) -> Iterator[tuple[int, _Documents]]:
    counts = np.fromfile(work.file(receipt.files[f"{key}.counts"].name), LENGTH)
    lengths = np.fromfile(work.file(receipt.files[f"{key}.lengths"].name), LENGTH)
    sequences = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
    ends = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))[sequences]
    with open(work.file(receipt.files[f"{key}.bin"].name), "rb") as file:
        first = 0
        while first < len(counts):
            limit = ends[first] + BATCH_BYTES // dtype.itemsize
            last = max(first + 1, int(np.searchsorted(ends, limit, side="right")) - 1)
            last = min(last, first + BATCH_BYTES // DOCUMENT_BYTES)
            tokens = np.frombuffer(file.read(int(ends[last] - ends[first]) * dtype.itemsize), dtype)
            yield first, _Documents(counts[first:last], lengths[sequences[first] : sequences[last]], tokens)
            first = last


def _send(buckets: "_Buckets", key: int, owners: npt.NDArray[np.int64], batch: _Documents) -> None:
    order = np.argsort(owners, kind="stable")
    present, starts = np.unique(owners[order], return_index=True)
    for bucket, part in zip(present.tolist(), np.split(order, starts[1:]), strict=True):
        documents = batch.take(part)
        buckets.append(bucket, f"{key}.counts", documents.counts)
        buckets.append(bucket, f"{key}.lengths", documents.lengths)
        buckets.append(bucket, f"{key}.bin", documents.tokens)
    buckets.flush_if_full()


def _sort_bucket(
    buckets: "_Buckets", number: int, writer: ShardWriter, keys: int, dtype: np.dtype[np.generic], lines: bool
) -> None:
    order = np.argsort(buckets.load(number, "hashes", np.dtype(np.uint64)), kind="stable")
    writer.begin_piece().documents = len(order)
    if lines:
        writer.add_lines(buckets.load(number, "lines", np.dtype(np.int64))[order])
    for key in range(keys):
        documents = _Documents(
            buckets.load(number, f"{key}.counts", LENGTH),
            buckets.load(number, f"{key}.lengths", LENGTH),
            buckets.load(number, f"{key}.bin", dtype),
        ).take(order)
        writer.add(key, documents.tokens, documents.lengths, documents.counts)


class _Buckets:
    """Files that are appended to, some memory before each, and none of them open."""

    def __init__(self, work: WorkFolder, count: int) -> None:
        self.count = count
        self._folder = os.path.join(work.path, "shuffle")
        self._held: dict[tuple[int, str], bytearray] = {}
        self._held_bytes = 0
        os.makedirs(self._folder, exist_ok=True)
        for name in os.listdir(self._folder):  # of a run that was killed while it shuffled
            os.unlink(os.path.join(self._folder, name))

    def add(self, kind: str, owners: npt.NDArray[np.int64], rows: Array) -> None:
        """Rows sorted by their bucket."""
        present, starts = np.unique(owners, return_index=True)
        for bucket, part in zip(present.tolist(), np.split(rows, starts[1:]), strict=True):
            self.append(bucket, kind, part)

    def append(self, bucket: int, kind: str, values: Array) -> None:
        self._held.setdefault((bucket, kind), bytearray()).extend(values.tobytes())
        self._held_bytes += values.nbytes

    def flush_if_full(self) -> None:
        if self._held_bytes >= HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        for (bucket, kind), data in self._held.items():
            with open(self._path(bucket, kind), "ab") as file:
                file.write(data)
        self._held.clear()
        self._held_bytes = 0

    def load(self, bucket: int, kind: str, dtype: np.dtype[np.generic]) -> Array:
        path = self._path(bucket, kind)
        return np.fromfile(path, dtype) if os.path.exists(path) else np.empty(0, dtype)

    def remove(self, bucket: int) -> None:
        for name in os.listdir(self._folder):
            if name.startswith(f"{bucket}."):
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._folder, name))

    def _path(self, bucket: int, kind: str) -> str:
        return os.path.join(self._folder, f"{bucket}.{kind}")
