#!/usr/bin/env python3
"""What mappings cost: time a sentence and a row in four shapes of corpus, memory beside the output, blending.

    python tools/bench/bench_mapping.py [--sentences 20000000] [--helper PATH]

PATH is Megatron-LM's megatron/core/datasets/helpers.cpp, which is compiled with its own flags in a temporary folder, or
an extension module that was built from it. With it, both build the same mapping in turns and must agree; times are
medians, and the ratio is what travels between machines. Memory is the peak resident size of a process of its own, less
what it had with its arguments in memory.
"""

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from results import Missing, Row, bench_parser, reason_of, record

from maskgen import mapping

SHAPES = ((20, 25), (5, 25), (20, 128), (2, 25))  # sentences a document, mean tokens a sentence
SETTINGS: dict[str, Any] = {"max_seq_length": 509, "short_seq_prob": 0.1, "seed": 1234, "min_num_sent": 2}
HELPER = "Megatron-LM's helper"
IMPORTED = "megatron.core.datasets.helpers_cpp"  # taken where it can be imported and no --helper is given
RATIO_LIMIT, MEMORY_LIMIT_MB = 1.5, 64
UNLIMITED = 1 << 62


def main() -> None:
    """Print one line a measurement."""
    parser = bench_parser(__doc__, rounds=5)
    parser.add_argument("--sentences", type=int, default=20_000_000)
    parser.add_argument("--helper", metavar="PATH", help="helpers.cpp, or a module built from it, to compare with")
    parser.add_argument("--child", nargs=2, type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(memory_child(arguments.sentences, *arguments.child))
        return
    with tempfile.TemporaryDirectory(prefix="bench-mapping-") as folder:
        helper = find_helper(arguments, folder)
        for shape in SHAPES:
            row = measure_mapping(arguments.sentences, shape, helper, arguments.rounds)
            record(arguments.results, [row])
        record(arguments.results, measure_blending(helper))


def find_helper(arguments: argparse.Namespace, folder: str) -> Any:
    """The module to compare with; None, with a line that says why, where there is none."""
    if arguments.helper is not None:
        return load_helper(arguments.helper, folder)
    try:
        return importlib.import_module(IMPORTED)
    except ImportError as error:
        print(f"{HELPER}: not measured ({reason_of(error)}; --helper PATH names its source)")
        record(arguments.results, [Missing(HELPER, reason_of(error))])
        return None


def corpus(sentences: int, shape: tuple[int, int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Boundaries of documents and sizes of sentences, spread around their mean."""
    per_document, mean = shape
    random = np.random.RandomState(1)
    sizes = np.empty(sentences, np.int32)
    for start in range(0, sentences, 1 << 20):
        part = sizes[start : start + (1 << 20)]
        part[:] = np.maximum(random.poisson(mean, len(part)) + random.randint(-mean // 2, mean // 2 + 1, len(part)), 1)
    return np.arange(0, sentences + 1, per_document, dtype=np.int64), sizes


def measure_mapping(sentences: int, shape: tuple[int, int], helper: Any, rounds: int) -> Row:
    """Time of build_mapping, beside the helper's where there is one, and its memory."""
    documents, sizes = corpus(sentences, shape)
    ours, theirs = [], []
    for _ in range(rounds):
        seconds, rows = timed(mapping.build_mapping, documents, sizes, num_epochs=1, **SETTINGS)
        ours.append(seconds)
        if helper is not None:
            length, probability, seed, fewest = SETTINGS.values()
            settings = (1, UNLIMITED, length, probability, seed, False, fewest)
            seconds, expected = timed(helper.build_mapping, documents, sizes, *settings)
            theirs.append(seconds)
            if not np.array_equal(rows, expected):
                sys.exit("the two mappings differ")
            del expected
        count, output = len(rows), rows.nbytes / 1e6
        del rows
    beside = in_a_process(sentences, shape) - output
    each = statistics.median(ours) * 1e9
    line = (
        f"{shape[0]} sentences of {shape[1]} tokens: {count:,} rows in {each / 1e6:.0f} ms, {each / sentences:.1f} ns "
        f"a sentence, {each / count:.1f} ns a row; {beside:.0f} MB beside {output:.0f} MB of output "
        f"(limit {MEMORY_LIMIT_MB})"
    )
    if theirs:
        ratios = [their / our for their, our in zip(theirs, ours, strict=True)]
        line += (
            f"; helper {statistics.median(theirs) * 1e3:.0f} ms, ratio "
            f"{statistics.median(theirs) / statistics.median(ours):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, "
            f"limit {RATIO_LIMIT})"
        )
    print(line, flush=True)
    what = f"mapping, {shape[0]} sentences a document of {shape[1]} tokens, {count:,} rows"
    if not theirs:
        return Row(what, each / 1e6, "ms", less_is_better=True)
    return Row(what, each / 1e6, "ms", statistics.median(theirs) * 1e3, HELPER, less_is_better=True)


def measure_blending(helper: Any) -> list[Row]:
    """Time a step of build_blending_indices for a few, many and very many datasets of random weights."""
    rows = []
    for datasets in (5, 64, 1_000, 10_000, 1_000_000):
        weights = mapping.normalized(np.random.RandomState(1).random_sample(datasets))
        size = 1_000_000 if datasets in (5, 64, 1_000_000) else 100_000
        seconds, (dataset_index, sample_index) = timed(mapping.build_blending_indices, weights, size)
        what = f"blending {datasets:,} datasets"
        line = f"{what}: {seconds / size * 1e9:.0f} ns a step"
        row = Row(what, seconds / size * 1e9, "ns a step", less_is_better=True)
        if helper is not None and datasets < 32_767:
            expected = np.zeros(size, np.int16), np.zeros(size, np.int64)
            call = (*expected, weights, datasets, size, False)
            seconds, _ = timed(helper.build_blending_indices, *call)
            if not (np.array_equal(expected[0], dataset_index) and np.array_equal(expected[1], sample_index)):
                sys.exit("the two blends differ")
            line += f", helper {seconds / size * 1e9:.0f}"
            row = replace(row, yardstick=seconds / size * 1e9, against=HELPER)
        print(line, flush=True)
        rows.append(row)
    return rows


def load_helper(path: str, folder: str) -> Any:
    """The existing helper as a module; compiled first where `path` is its source."""
    if path.endswith(".cpp"):
        pybind11: Any = importlib.import_module("pybind11")
        built = os.path.join(folder, "helpers_cpp" + str(sysconfig.get_config_var("EXT_SUFFIX")))
        includes = [f"-I{pybind11.get_include()}", f"-I{sysconfig.get_paths()['include']}"]
        flags = ["-O3", "-Wall", "-shared", "-std=c++17", "-fPIC"]  # those of its Makefile
        subprocess.run([os.environ.get("CXX", "c++"), *flags, *includes, path, "-o", built], check=True)
        path = built
    spec = importlib.util.spec_from_file_location("helpers_cpp", path)
    if spec is None or spec.loader is None:
        sys.exit(f"{path} is not an extension module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def memory_child(sentences: int, per_document: int, mean: int) -> float:
    """MB that a build adds to a process that already holds its arguments."""
    documents, sizes = corpus(sentences, (per_document, mean))
    mapping.build_mapping(documents[:3], sizes, num_epochs=1, **SETTINGS)
    before = status_mb("VmRSS")
    rows = mapping.build_mapping(documents, sizes, num_epochs=1, **SETTINGS)
    return status_mb("VmHWM") - before if len(rows) else 0.0


def in_a_process(sentences: int, shape: tuple[int, int]) -> float:
    """Run memory_child in a process of its own."""
    child = ["--sentences", str(sentences), "--child", *map(str, shape)]
    output = subprocess.run([sys.executable, __file__, *child], check=True, capture_output=True, text=True).stdout
    return float(output)


def status_mb(field: str) -> float:
    """Return a line of this process's status in MB."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 / 1e6 for line in file if line.startswith(field))


def timed(work: Callable[..., Any], *arguments: Any, **keywords: Any) -> tuple[float, Any]:
    """Return the seconds that a call of `work` takes, and its result."""
    start = time.perf_counter()
    result = work(*arguments, **keywords)
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
