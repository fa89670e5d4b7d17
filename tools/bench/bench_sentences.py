#!/usr/bin/env python3
"""Speed of the default sentence splitter on one core: the native rules, their slices as Python strings, and their twin.

    python tools/bench/bench_sentences.py CORPUS.jsonl[.zst] [--megabytes 40]

The yardstick is splitting the same texts at line ends with str.splitlines, which does next to nothing; the twin in
Python (preprocess/sentence_rules.py) gets a twentieth of the text. Medians of interleaved runs.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

from corpus_texts import read_texts

from preprocess.sentence_rules import sentence_starts
from preprocess.sentences import sentence_starts_in_bytes, split_by_rules

RUNS = 5
THIN = 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", metavar="CORPUS")
    parser.add_argument("--key", default="text")
    parser.add_argument("--megabytes", type=float, default=40)
    arguments = parser.parse_args()
    texts = read_texts(arguments.corpus, arguments.key, arguments.megabytes)
    contents = [text.encode() for text in texts]
    few = texts[::THIN]
    size, few_size = sum(map(len, contents)) / 1e6, sum(len(text.encode()) for text in few) / 1e6
    ways: dict[str, tuple[float, Callable[[], None]]] = {
        "str.splitlines": (size, lambda: each(str.splitlines, texts)),
        "rules, starts in bytes": (size, lambda: each(sentence_starts_in_bytes, contents)),
        "rules, list of strings": (size, lambda: each(split_by_rules, texts)),
        "twin in Python": (few_size, lambda: each(sentence_starts, few)),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(RUNS):
        for name, (megabytes, work) in ways.items():
            start = time.perf_counter()
            work()
            speeds[name].append(megabytes / (time.perf_counter() - start))
    slowest = sorted(speeds["twin in Python"])[RUNS // 2]
    print(f"{size:.0f} MB in {len(texts):,} texts, one core")
    for name, values in speeds.items():
        median = sorted(values)[RUNS // 2]
        print(f"{name:<24}{median:8.1f} MB/s   {median / slowest:6.1f}x the twin")


def each(function: Callable[[Any], object], items: Sequence[Any]) -> None:
    """Call `function` on every item and forget what it returns."""
    for item in items:
        function(item)


if __name__ == "__main__":
    main()
