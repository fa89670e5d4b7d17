#!/usr/bin/env python3
"""From JSON lines on disk to finished .bin and .idx, against `tokenizers` on strings that are already in memory.

    python tools/bench/bench_pipeline.py corpus.jsonl ... --tokenizer tokenizer.json

Every run is a process of its own; ours and the yardstick take turns. Process start, imports and loading the tokenizer
(until the first worker is ready) are shown apart. Then where the time goes, stage by stage, on one core.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from corpus_texts import corpus_texts
from results import Row, bench_parser, record

from preprocess.corpora.inputs import find_inputs
from preprocess.corpora.json_lines import read_json_block
from preprocess.corpora.line_blocks import line_blocks
from preprocess.pipeline.options import TokenizerChoice
from preprocess.pipeline.run import Manner, tokenize
from preprocess.tokenization import load_tokenizer

LINE_LIMIT = 64 << 20


def measure_pipeline(corpus: str, arguments: argparse.Namespace) -> dict[str, float]:
    """One whole run, files on disk at both ends."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        manner = Manner(workers=arguments.workers)
        summary = tokenize([corpus], TokenizerChoice(arguments.tokenizer), os.path.join(folder, "out"), manner=manner)
    return {"seconds": summary.seconds - summary.seconds_starting, "start": summary.seconds_starting}


def measure_yardstick(corpus: str, arguments: argparse.Namespace) -> dict[str, float]:
    """`tokenizers.encode_batch_fast` on a part of the texts, spread over the corpus."""
    from tokenizers import Tokenizer

    texts = list(corpus_texts(corpus, "text"))[:: arguments.thin]
    size = sum(len(text.encode()) for text in texts)
    started = time.perf_counter()
    tokenizer = Tokenizer.from_file(arguments.tokenizer)
    ready = time.perf_counter()
    for first in range(0, len(texts), 1000):
        tokenizer.encode_batch_fast(texts[first : first + 1000], add_special_tokens=False)
    return {"seconds": time.perf_counter() - ready, "start": ready - started, "bytes": size}


MEASURES: dict[str, Callable[[str, argparse.Namespace], dict[str, float]]] = {
    "tokenizers": measure_yardstick,
    "maskgen": measure_pipeline,
}


def measure_stages(corpus: str, arguments: argparse.Namespace) -> list[tuple[str, float]]:
    """Seconds of one core for each stage, one after the other added to those before."""
    file = find_inputs([corpus]).files[0]
    tokenizer = load_tokenizer(arguments.tokenizer)

    def read() -> None:
        for _ in line_blocks(file, 0, file.bytes, max_line_bytes=LINE_LIMIT):
            pass

    def scan() -> None:
        for block in line_blocks(file, 0, file.bytes, max_line_bytes=LINE_LIMIT):
            read_json_block(block.data, ["text"])

    def encode() -> None:
        for block in line_blocks(file, 0, file.bytes, max_line_bytes=LINE_LIMIT):
            tokenizer.encode_json(block.data, read_json_block(block.data, ["text"]).spans[:, 0])

    def everything() -> None:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            tokenize(
                [corpus], TokenizerChoice(arguments.tokenizer), os.path.join(folder, "out"), manner=Manner(workers=0)
            )

    encode()  # the memo is filled, as it is for most of a run
    times = []
    for stage in (read, scan, encode, everything):
        runs = []
        for _ in range(3):
            started = time.perf_counter()
            stage()
            runs.append(time.perf_counter() - started)
        times.append(min(runs))
    names = ("reading", "JSON", "tokenizing", "digests, shard files, the dataset, loading the tokenizer")
    return [(name, now - before) for name, now, before in zip(names, times, [0.0, *times[:-1]], strict=True)]


def main() -> int:
    """Measure in turns; print medians, ratios and stages."""
    parser = bench_parser(__doc__, rounds=7)
    parser.add_argument("corpora", nargs="+", metavar="CORPUS")
    parser.add_argument("--tokenizer", required=True, metavar="TOKENIZER.json")
    parser.add_argument("--thin", type=int, default=20, help="`tokenizers` gets every so many-th text (%(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", help="where the datasets are written (the system's temporary folder)")
    parser.add_argument("--no-stages", action="store_true")
    parser.add_argument("--measure", choices=sorted(MEASURES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(MEASURES[arguments.measure](arguments.corpora[0], arguments)))
        return 0

    environment = os.environ | {"RAYON_NUM_THREADS": str(arguments.workers), "TOKENIZERS_PARALLELISM": "true"}
    for corpus in arguments.corpora:
        size = sum(len(text.encode()) for text in corpus_texts(corpus, "text"))
        speeds: dict[str, list[float]] = {name: [] for name in MEASURES}
        starts: dict[str, list[float]] = {name: [] for name in MEASURES}
        for _ in range(arguments.rounds):
            for name in MEASURES:
                options = ["--tokenizer", arguments.tokenizer, "--thin", str(arguments.thin), "--measure", name]
                options += ["--workers", str(arguments.workers)]
                options += ["--folder", arguments.folder] if arguments.folder else []
                command = [sys.executable, __file__, corpus, *options]
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                result = json.loads(done.stdout.splitlines()[-1])
                speeds[name].append(result.get("bytes", size) / 1e6 / result["seconds"])
                starts[name].append(result["start"])
        print(
            f"{corpus}: {size / 1e6:.1f} MB of text in {os.path.getsize(corpus) / 1e6:.1f}, {arguments.rounds} rounds"
        )
        yardstick = statistics.median(speeds["tokenizers"])
        for name, runs in speeds.items():
            speed = statistics.median(runs)
            singles = " ".join(f"{run:.1f}" for run in runs)
            start = statistics.median(starts[name])
            print(
                f"  {name:11}{speed:8.1f} MB/s {speed / yardstick:6.1f}x   start {start:.2f} s   single runs {singles}"
            )
        what = f"tokenize, {os.path.basename(corpus)}, {arguments.workers} workers, files to files"
        ours = statistics.median(speeds["maskgen"])
        peer = f"tokenizers.encode_batch_fast, {arguments.workers} threads, in memory"
        record(arguments.results, [Row(what, ours, "MB/s", yardstick, peer)])
        if not arguments.no_stages:
            for stage, seconds in measure_stages(corpus, arguments):
                print(f"  {seconds:6.2f} s of one core  {size / 1e6 / max(seconds, 1e-9):9.0f} MB/s  {stage}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
