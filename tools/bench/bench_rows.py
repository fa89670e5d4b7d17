#!/usr/bin/env python3
"""Speed of rows on one core: planning them, and gathering batches of them from a dataset's memory maps.

    python tools/bench/bench_rows.py [PREFIX] [--seq-length 512] [--rounds 7] [--documents 10000000]

Figures are medians of interleaved rounds. Gathering is in million tokens a second, padding not counted, over batches of
32 rows at random; the yardsticks are plain Python (lists, as collators build them) and this project's own twin.
Planning is in nanoseconds a document, for lengths drawn from a log-normal distribution. Without PREFIX a dataset of
100,000 documents is made up.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from results import Row, bench_parser, record

from maskgen.rows import Chunks, Documents, PackedDocuments, RowSource
from maskgen.rows.packing import plan_rows
from preprocess import IndexedDataset, IndexedDatasetWriter

BATCH = 32
PLAIN = "plain Python: lists of packed documents, padded"
ROWS = 3200
TWIN_DOCUMENTS = 20_000  # the twin of best-fit looks at every space for every piece
Work = tuple[int, Callable[[], object]]  # how many tokens or documents, and what to do with them


def main() -> None:
    """Measure and print."""
    parser = bench_parser(__doc__, rounds=7)
    parser.add_argument("prefix", nargs="?", metavar="PREFIX")
    parser.add_argument("--seq-length", type=int, default=512)
    parser.add_argument("--documents", type=int, default=10_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = IndexedDataset(arguments.prefix or made_up(os.path.join(folder, "documents")))
        ways = gathers(dataset, arguments.seq_length)
        speeds = rounds(ways, arguments.rounds, "Mtok/s", lambda count, s: count / s / 1e6)
    ways = plans(arguments.documents, arguments.seq_length)
    times = rounds(ways, min(arguments.rounds, 3), "ns a document", lambda count, s: s / count * 1e9)
    lists = speeds.pop(PLAIN)
    rows = [Row(name, speed, "Mtok/s", lists, "lists in plain Python") for name, speed in speeds.items()]
    for name, each in times.items():
        _, strategy, engine = name.rsplit(", ", 2)
        twin = next(value for way, value in times.items() if way.endswith(f"{strategy}, reference"))
        if engine == "native":
            rows.append(Row(name, each, "ns a document", twin, "twin in Python", less_is_better=True))
    record(arguments.results, rows)


def rounds(ways: dict[str, Work], count: int, unit: str, figure: Callable[[int, float], float]) -> dict[str, float]:
    """Time each of `ways` that often, one after the other, and print and return the medians."""
    figures: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(count):
        for name, (amount, work) in ways.items():
            start = time.perf_counter()
            work()
            figures[name].append(figure(amount, time.perf_counter() - start))
    medians = {name: statistics.median(values) for name, values in figures.items()}
    for name, value in medians.items():
        print(f"{name:<52}{value:10.1f} {unit}")
    return medians


def lengths_of(documents: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Lengths as web text has them: 150 in the median, a long tail."""
    return np.minimum(np.random.RandomState(0).lognormal(5, 1, documents), 20_000).astype(np.int64)


def made_up(prefix: str) -> str:
    """A dataset of random tokens, one sequence a document."""
    lengths = lengths_of(100_000)
    tokens = np.random.RandomState(1).randint(1000, 28996, lengths.sum()).astype(np.uint16)
    with IndexedDatasetWriter(prefix, "uint16") as writer:
        writer.add_documents(tokens, lengths, np.ones(len(lengths), np.int64))
    return prefix


def gathers(dataset: IndexedDataset, seq_length: int) -> dict[str, Work]:
    """Each way to get batches of rows."""
    packed = PackedDocuments(dataset, seq_length, dtype=np.int32)
    twin = PackedDocuments(dataset, seq_length, dtype=np.int32, engine="reference")
    return {
        PLAIN: plain(packed),
        "packed, the twin": gathered(twin, count=320),
        "packed, with document ids and positions, int32": gathered(packed),
        "packed, tokens alone, int32": gathered(packed, document_arrays=False),
        "packed, tokens alone, int64": gathered(packed, np.int64, document_arrays=False),
        "chunks, with document ids and positions, int32": gathered(Chunks(dataset, seq_length, dtype=np.int32)),
        "chunks, shuffled documents, tokens alone, int32": gathered(
            Chunks(dataset, seq_length, dtype=np.int32, seed=1), document_arrays=False
        ),
        "one document a row, tokens alone, int32": gathered(
            Documents(dataset, seq_length, dtype=np.int32), document_arrays=False
        ),
    }


def chosen_batches(rows: RowSource, count: int) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """Indices of rows at random, in batches of 32."""
    order = np.random.RandomState(2).permutation(len(rows))[:count].astype(np.int64)
    return [order[start : start + BATCH] for start in range(0, len(order) // BATCH * BATCH, BATCH)]


def gathered(rows: RowSource, dtype: Any = None, *, document_arrays: bool = True, count: int = ROWS) -> Work:
    """Batches into arrays that are used again."""
    batches = chosen_batches(rows, count)
    out = rows.allocate(BATCH, dtype, document_arrays=document_arrays)
    tokens = sum(int(rows.tokens(batch).lengths.sum()) for batch in batches)

    def work() -> None:
        for batch in batches:
            rows.tokens(batch, out)

    return tokens, work


def plain(rows: PackedDocuments) -> Work:
    """What one writes without this project: documents as lists, joined, padded, and made an array."""
    batches = chosen_batches(rows, 320)
    dataset, length = rows.dataset, rows.seq_length
    tokens = sum(int(rows.tokens(batch).lengths.sum()) for batch in batches)

    def work() -> None:
        for batch in batches:
            ids, numbers, positions = [], [], []
            for row in batch.tolist():
                text: list[int] = []
                document_ids: list[int] = []
                places: list[int] = []
                first, last = rows.plan.row_starts[row : row + 2].tolist()
                for number, (document, offset) in enumerate(rows.plan.pieces[first:last].tolist()):
                    begin, end = dataset.document_indices[document : document + 2].tolist()
                    whole = [token for sequence in dataset[begin:end] for token in sequence.tolist()]
                    piece = whole[offset : offset + length]
                    text += piece
                    document_ids += [number] * len(piece)
                    places += range(len(piece))
                missing = length - len(text)
                ids.append(text + [0] * missing)
                numbers.append(document_ids + [-1] * missing)
                positions.append(places + [0] * missing)
            for lists in (ids, numbers, positions):
                np.array(lists, np.int32)

    return tokens, work


def plans(documents: int, seq_length: int) -> dict[str, Work]:
    """Planning, by strategy."""
    ways: dict[str, Work] = {}
    for engine, count in (("reference", TWIN_DOCUMENTS), ("native", documents)):
        sizes = lengths_of(count)
        for strategy in ("sequential", "best-fit"):
            ways[f"plan of {count:,} documents, {strategy}, {engine}"] = planned(sizes, seq_length, strategy, engine)
    return ways


def planned(sizes: np.ndarray[Any, np.dtype[np.int64]], seq_length: int, strategy: str, engine: str) -> Work:
    """One plan."""

    def work() -> None:
        plan_rows(sizes, seq_length=seq_length, specials=2, split_long=True, strategy=strategy, engine=engine)

    return len(sizes), work


if __name__ == "__main__":
    main()
