#!/usr/bin/env python3
"""What the indexed dataset costs: memory of finishing and merging, time of checking, reading, writing, merging.

    python tools/bench/bench_indexed.py [--folder DIR] [--sequences 20000000] [--datasets 2000]

Every figure stands beside its yardstick from the same run, as a ratio; times are medians of interleaved runs. Memory is
the peak resident size of a process that does nothing else. Needs about 2 GB of room in DIR.
"""

import argparse
import gc
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
from results import Row, bench_parser, record

from preprocess import IndexedDataset, IndexedDatasetWriter, _native, merge_datasets
from preprocess.indexed.check import check_index
from preprocess.indexed.index_file import load_index, open_index

FINISH_LIMIT_MB, MERGE_LIMIT_MB = 600, 300


def main() -> None:
    """Run all measurements in a temporary folder."""
    parser = bench_parser(__doc__, rounds=7)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where the files go (%(default)s)")
    parser.add_argument("--sequences", type=int, default=20_000_000)
    parser.add_argument("--datasets", type=int, default=2_000)
    parser.add_argument("--child", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        CHILDREN[arguments.child[0]](*arguments.child[1:])
        print(f"peak {peak_mb():.0f}")
        return
    folder = tempfile.mkdtemp(prefix="bench-indexed-", dir=arguments.folder)
    try:
        print(f"memory before any work (Python, numpy, the package): {in_a_process('nothing'):.0f} MB")
        rows = [
            measure_finish(folder, arguments.sequences),
            measure_check(f"{folder}/big", arguments.rounds),
            *measure_merge(folder, arguments.datasets),
            measure_reads(folder, arguments.rounds),
        ]
        record(arguments.results, rows)
    finally:
        shutil.rmtree(folder)


def measure_finish(folder: str, sequences: int) -> Row:
    """Peak memory of a process that writes and finishes a dataset of many short sequences."""
    peak = in_a_process("write", f"{folder}/big", str(sequences))
    print(f"writing and finishing {sequences:,} sequences: peak {peak:.0f} MB (limit {FINISH_LIMIT_MB})")
    what = f"memory of writing and finishing {sequences:,} sequences"
    return Row(what, peak, "MB", against=f"limit {FINISH_LIMIT_MB} MB", less_is_better=True)


def measure_merge(folder: str, datasets: int) -> list[Row]:
    """Peak memory and time of merging many datasets, beside cat of the same .bin files."""
    os.mkdir(f"{folder}/parts")
    for number in range(datasets):
        with IndexedDatasetWriter(f"{folder}/parts/{number:05}", "uint16") as writer:
            tokens = np.full(200_000, number % 60_000, np.uint16)
            writer.add_documents(tokens, np.full(400, 500), np.full(200, 2))
    start = time.perf_counter()
    peak = in_a_process("merge", folder, str(datasets))
    seconds = time.perf_counter() - start
    print(f"merging {datasets:,} datasets: peak {peak:.0f} MB (limit {MERGE_LIMIT_MB}), {seconds:.2f} s as a process")
    command = f"cat {folder}/parts/*.bin > {folder}/cat.bin && sync {folder}/cat.bin"
    ours, cat = [], []
    for _ in range(3):
        ours.append(timed(lambda: merge_datasets(part_prefixes(folder, datasets), f"{folder}/merged")))
        cat.append(timed(lambda: subprocess.run(["bash", "-c", command], check=True)))
    print(f"  merge {median(ours):.2f} s, cat of the .bin files and sync {median(cat):.2f} s, "
          f"ratio {median(ours) / median(cat):.2f}")  # fmt: skip
    return [
        Row(
            f"memory of merging {datasets:,} datasets",
            peak,
            "MB",
            against=f"limit {MERGE_LIMIT_MB} MB",
            less_is_better=True,
        ),
        Row(
            f"time of merging {datasets:,} datasets",
            median(ours),
            "s",
            median(cat),
            "cat and sync",
            less_is_better=True,
        ),
    ]


def measure_check(prefix: str, rounds: int) -> Row:
    """The whole index check against a warm byte-sum of the same map."""
    index = open_index(prefix)
    raw = load_index(index)
    sums, checks = [], []
    for _ in range(rounds):
        sums.append(timed(lambda: int(raw.sum())))
        checks.append(timed(lambda: check_index(index.path, raw, index.layout, index.bin_size)))
    ratio = median(checks) / median(sums)
    print(f"index check of {raw.nbytes / 1e6:.0f} MB: {median(checks) * 1e3:.0f} ms, byte-sum "
          f"{median(sums) * 1e3:.0f} ms, ratio {ratio:.2f} (limit 1.5)")  # fmt: skip
    what, unit = f"check of an index of {raw.nbytes / 1e6:.0f} MB", "ms"
    return Row(what, median(checks) * 1e3, unit, median(sums) * 1e3, "sum of its bytes by numpy", less_is_better=True)


def measure_reads(folder: str, rounds: int) -> Row:
    """Random ds[i] of 512 tokens against a bare np.frombuffer on the same map."""
    count = 50_000
    with IndexedDatasetWriter(f"{folder}/reads", "uint16") as writer:
        writer.add_documents(np.zeros(count * 512, np.uint16), np.full(count, 512), np.ones(count, np.int64))
    dataset = IndexedDataset(f"{folder}/reads")
    file_map = _native.FileMap(f"{folder}/reads.bin")
    view = memoryview(file_map)
    order = [random.Random(1).randrange(count) for _ in range(100_000)]
    offsets = [1024 * index for index in order]
    dtype = np.dtype(np.uint16)

    def ours() -> None:
        for index in order:
            dataset[index]

    def bare() -> None:
        for offset in offsets:
            np.frombuffer(view, dtype, 512, offset)

    ours_s, bare_s = [], []
    for _ in range(rounds):
        ours_s.append(timed(ours))
        bare_s.append(timed(bare))
    each = 1e9 / len(order)
    print(f"random reads of 512 uint16 tokens: ds[i] {median(ours_s) * each:.0f} ns, np.frombuffer "
          f"{median(bare_s) * each:.0f} ns, ratio {median(ours_s) / median(bare_s):.2f} (limit 2)")  # fmt: skip
    what, unit = "ds[i], 512 uint16 tokens, random order", "ns"
    return Row(
        what, median(ours_s) * each, unit, median(bare_s) * each, "np.frombuffer on the map", less_is_better=True
    )


def write_child(prefix: str, sequences: str) -> None:
    """Write `sequences` short sequences, two a document."""
    left = int(sequences)
    with IndexedDatasetWriter(prefix, "uint16") as writer:
        while left:
            count = min(left, 100_000)
            left -= count
            writer.add_documents(np.full(count * 8, 7, np.uint16), np.full(count, 8), np.full(count // 2, 2))


def merge_child(folder: str, datasets: str) -> None:
    """Merge the parts."""
    merge_datasets(part_prefixes(folder, int(datasets)), f"{folder}/merged")


def part_prefixes(folder: str, datasets: int) -> list[str]:
    """Name the datasets that measure_merge has made."""
    return [f"{folder}/parts/{number:05}" for number in range(datasets)]


CHILDREN: dict[str, Callable[..., None]] = {"write": write_child, "merge": merge_child, "nothing": lambda: None}


def in_a_process(*arguments: str) -> float:
    """Run one of the CHILDREN in a process of its own and return its peak memory in MB."""
    command = [sys.executable, __file__, "--child", *arguments]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(output.split()[-1])


def peak_mb() -> float:
    """Return the largest resident size of this process so far."""
    if os.path.exists("/proc/self/status"):  # getrusage would count the parent's size at the fork as the child's own
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 / 1e6 for line in file if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes, without a garbage collection in between."""
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median(values: list[float]) -> float:
    """Return the middle value."""
    return sorted(values)[len(values) // 2]


if __name__ == "__main__":
    main()
