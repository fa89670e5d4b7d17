#!/usr/bin/env python3
"""What a corpus of any size costs: time, memory and disk, as fixed + per byte + per document, measured here.

    python tools/bench/bench_scaling.py CORPUS.jsonl --tokenizer tokenizer.json [--output docs/scaling.md]

CORPUS is tokenized at several sizes (1, 2 and 4 times itself, and once and twice as documents of 200 characters); the
costs are fitted to these runs, and what they predict for 8 times the corpus stands beside what that took. Sizes take
turns; times are medians of rounds. The yardstick is `cat` of the largest input to a new file, and `sync`. Then parts of
the work are measured at sizes of their own: finishing apart (as on a cluster), plans of very many files and shards,
opening a dataset of very many documents, mappings, fingerprints. Last, all of it is taken to --terabytes on --machines.
Rates of the cluster's storage are assumptions (--storage, --stream).

With --output the tables are written between the markers of that page. Needs disk for 25 times the corpus in --folder.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import fields
from textwrap import fill

from bench_all import around_table, write_table
from machine import commit, machine
from results import Row, bench_parser, record
from scaling_model import Cluster, Cost, fitted
from scaling_page import Measured, Parts, tables
from scaling_runs import Corpus, Run, corpora, measured, tokenized

SIZES = [("as it is", 1), ("as it is", 2), ("as it is", 4), ("short", 1), ("short", 2)]
HELD_OUT = ("as it is", 8)
Sizes = dict[str, list[tuple[int, ...]]]  # of each part
COSTS = ("seconds", "cpu", "bin", "idx", "json", "disk")
MANY: Sizes = {
    "plan": [(10_000, 40_000), (100_000, 100_000)],
    "open": [(1_000_000,), (10_000_000,)],
    "mapping": [(20_000_000,)],
}
FEW: Sizes = {"plan": [(100, 400), (1_000, 1_000)], "open": [(10_000,), (100_000,)], "mapping": [(200_000,)]}
SMALL_SHARD = 64 << 10  # bytes, to have very many of them


def main() -> None:
    """Measure, print, write."""
    arguments = arguments_of()
    where = f"commit {commit()} on {machine()}"
    if arguments.output:
        around_table(arguments.output)
    with tempfile.TemporaryDirectory(prefix="bench-scaling-", dir=arguments.folder) as folder:
        inputs = corpora(arguments.corpus, folder, arguments.megabytes, [*SIZES, HELD_OUT])
        found = Measured(*whole_runs(inputs, arguments, folder))
        parts = Parts(
            workers=arguments.workers,
            large_shards=tokenized(
                inputs[-1],
                arguments.tokenizer,
                fresh(folder, "large-shards"),
                *workers(arguments),
                "--shard-bytes",
                "256M",
            ),
            finishing=[finishing(corpus, arguments, folder) for corpus in (inputs[0], inputs[-1])],
            many_shards=finishing(inputs[0], arguments, folder, "--shard-bytes", str(SMALL_SHARD)),
            small_shards=-(-os.path.getsize(inputs[0].path) // SMALL_SHARD),
            fingerprints=[fingerprinted(corpus, arguments, folder) for corpus in (inputs[0], inputs[2])],
            cat=copied(inputs[-1].path, folder, arguments.rounds),
            separate=separate(arguments, FEW if arguments.quick else MANY),
        )
    cluster = Cluster(
        arguments.terabytes, arguments.machines, arguments.cores, arguments.storage * 1e9, arguments.stream * 1e9
    )
    text = tables(found, parts, cluster)
    print(f"\nMeasured at {where}\n\n{text}")
    largest = found.held_out
    what = f"tokenize, {found.corpora[-1].text / 1e6:,.0f} MB, {arguments.workers} workers"
    record(
        arguments.results,
        [Row(what, largest.seconds, "s", parts.cat, "cat and sync of the input", less_is_better=True)],
    )
    if arguments.output:
        write_table(arguments.output, f"{measured_line(arguments, where)}\n\n{text}")


def arguments_of() -> argparse.Namespace:
    """The command line."""
    parser = bench_parser(__doc__, rounds=3)
    add = parser.add_argument
    add("corpus", metavar="CORPUS.jsonl")
    add("--tokenizer", required=True, metavar="TOKENIZER.json")
    add("--megabytes", type=float, default=1e9, help="of text, from the head (default: all)")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes (as many as cores)")
    add("--folder", help="where inputs and datasets go (the system's temporary folder)")
    add("--output", metavar="PAGE", help="write the tables between its markers, such as docs/scaling.md")
    add("--quick", action="store_true", help="smaller plans, indices and mappings, to try it out")
    add("--terabytes", type=float, default=10.0, help="of text, of the plan (%(default)s)")
    add("--machines", type=int, default=64)
    add("--cores", type=int, default=64, help="of each (%(default)s)")
    add("--storage", type=float, default=20.0, help="GB/s that all machines together can read (%(default)s, assumed)")
    add("--stream", type=float, default=1.0, help="GB/s that one process can copy (%(default)s, assumed)")
    return parser.parse_args()


def whole_runs(
    inputs: Sequence[Corpus], arguments: argparse.Namespace, folder: str
) -> tuple[list[Corpus], list[Run], dict[str, Cost]]:
    """Each size in turns; medians of times, the most of memory and disk; and the costs without the last size."""
    runs: dict[str, list[Run]] = {corpus.name: [] for corpus in inputs}
    for number in range(arguments.rounds):
        for corpus in inputs:
            run = tokenized(corpus, arguments.tokenizer, fresh(folder, "whole"), *workers(arguments))
            runs[corpus.name].append(run)
            print(
                f"round {number + 1}: {corpus.name}, {corpus.text / 1e6:,.1f} MB, {corpus.documents:,} documents: "
                f"{run.seconds:.2f} s, {run.cpu:.2f} s of cores, largest process {run.memory / 1e6:.0f} MB",
                flush=True,
            )
    middle = [summary(each) for each in runs.values()]
    fit = list(zip(inputs, middle, strict=True))[:-1]
    costs = {
        kind: fitted([(corpus.text, corpus.documents, getattr(run, kind)) for corpus, run in fit]) for kind in COSTS
    }
    return list(inputs), middle, costs


def summary(runs: Sequence[Run]) -> Run:
    """Medians of times, the most of the rest."""
    medians = {kind: statistics.median(getattr(run, kind) for run in runs) for kind in ("seconds", "cpu")}
    most = {each.name: max(getattr(run, each.name) for run in runs) for each in fields(Run)}
    return Run(**{**most, **medians})


def finishing(corpus: Corpus, arguments: argparse.Namespace, folder: str, *options: str) -> Run:
    """The job that comes after an array, alone."""
    runs, shards = [], 0
    for _ in range(arguments.rounds):
        prefix = fresh(folder, "finishing")
        tokenized(corpus, arguments.tokenizer, prefix, *workers(arguments), *options, "--shard", "0/1")
        shards = unfinished(prefix)
        runs.append(tokenized(corpus, arguments.tokenizer, prefix, *options, "--finish"))
    run = summary(runs)
    print(
        f"finishing {corpus.name} apart: {run.seconds:.2f} s, {shards:,} shards, {run.memory / 1e6:.0f} MB", flush=True
    )
    return run


def unfinished(prefix: str) -> int:
    """Shards that are there."""
    return sum(name.endswith(".receipt.json") for name in os.listdir(f"{prefix}.maskgen-work"))


def fingerprinted(corpus: Corpus, arguments: argparse.Namespace, folder: str) -> Run:
    """A dataset's fingerprint by its sidecar, with 1000 samples and three batches."""
    prefix = fresh(folder, "fingerprint")
    tokenized(corpus, arguments.tokenizer, prefix, *workers(arguments))
    options = ["--tokenizer", arguments.tokenizer, "--max-seq-length", "128", "--seed", "1", "--scheme", "roberta"]
    output = ["--output", f"{prefix}.fingerprint", "--quiet", "--steps", "0,1"]
    return measured(["fingerprint", f"{prefix}_text_document", *options, *output], folder)


def copied(path: str, folder: str, rounds: int) -> float:
    """Seconds of `cat` to a new file and of `sync`."""
    command = f"cat '{path}' > '{folder}/cat' && sync '{folder}/cat'"
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run(["sh", "-c", command], check=True)
        taken.append(time.perf_counter() - started)
        os.unlink(f"{folder}/cat")
    return statistics.median(taken)


def separate(arguments: argparse.Namespace, sizes: Sizes) -> dict[str, list[dict[str, float]]]:
    """The parts of scaling_parts.py, each in a process of its own."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scaling_parts.py")
    found: dict[str, list[dict[str, float]]] = {}
    for part, each in sizes.items():
        for size in each:
            words = [arguments.tokenizer] * (part == "plan") + [str(number) for number in size]
            command = [sys.executable, script, part, *words]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            figures = json.loads(output) | {f"size{place}": float(number) for place, number in enumerate(size)}
            print(f"{part} {size}: {figures}", flush=True)
            found.setdefault(part, []).append(figures)
    return found


def workers(arguments: argparse.Namespace) -> list[str]:
    """The flag."""
    return ["--workers", str(arguments.workers)]


def fresh(folder: str, name: str) -> str:
    """A prefix in a folder without anything in it."""
    place = os.path.join(folder, "out")
    subprocess.run(["rm", "-rf", place], check=True)
    os.mkdir(place)
    return os.path.join(place, name)


def measured_line(arguments: argparse.Namespace, where: str) -> str:
    """With what, and on what."""
    tokenizer = os.path.join(*os.path.abspath(arguments.tokenizer).split(os.sep)[-2:])
    words = f"python tools/bench/bench_scaling.py {os.path.basename(arguments.corpus)} --tokenizer {tokenizer}"
    words += f" --rounds {arguments.rounds}"
    if arguments.megabytes < 1e9:
        words += f" --megabytes {arguments.megabytes:g}"
    return fill(f"Measured by `{words}` at {where}.", 120, break_on_hyphens=False)


if __name__ == "__main__":
    main()
