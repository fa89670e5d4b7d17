#!/usr/bin/env python3
"""Speed of the default sentence splitter on one core: the native rules, their slices as Python strings, and their twin.

    python tools/bench/bench_sentences.py CORPUS.jsonl[.zst] [--megabytes 40]

The yardstick is splitting the same texts at line ends with str.splitlines, which does next to nothing; the twin in
Python (preprocess/sentence_rules.py) and NLTK's Punkt (untrained, where NLTK is installed) get a twentieth of the text.
Medians of interleaved runs.
"""

import importlib
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from corpus_texts import read_texts
from results import Missing, Row, bench_parser, reason_of, record

from preprocess.sentence_rules import sentence_starts
from preprocess.sentences import sentence_starts_in_bytes, split_by_rules

THIN = 20
PUNKT = "NLTK's Punkt"


def main() -> None:
    """Measure and print."""
    parser = bench_parser(__doc__, rounds=5)
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
    try:
        ways[PUNKT] = few_size, punkt(few)
    except ImportError as error:
        print(f"{PUNKT}: not measured ({reason_of(error)})")
        record(arguments.results, [Missing(PUNKT, reason_of(error))])
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, (megabytes, work) in ways.items():
            start = time.perf_counter()
            work()
            speeds[name].append(megabytes / (time.perf_counter() - start))
    medians = {name: sorted(values)[len(values) // 2] for name, values in speeds.items()}
    slowest = medians["twin in Python"]
    print(f"{size:.0f} MB in {len(texts):,} texts, one core")
    for name, median in medians.items():
        print(f"{name:<24}{median:8.1f} MB/s   {median / slowest:6.1f}x the twin")
    rows = []
    for name in ("rules, starts in bytes", "rules, list of strings"):
        what = f"{name}, {os.path.basename(arguments.corpus)}"
        rows.append(Row(what, medians[name], "MB/s", medians["str.splitlines"], "str.splitlines"))
        if PUNKT in medians:
            rows.append(Row(what, medians[name], "MB/s", medians[PUNKT], PUNKT))
    record(arguments.results, rows)


def punkt(texts: Sequence[str]) -> Callable[[], None]:
    """NLTK's splitter, with the parameters it has before any training."""
    splitter: Any = importlib.import_module("nltk.tokenize.punkt").PunktSentenceTokenizer()
    return lambda: each(lambda text: list(splitter.span_tokenize(text)), texts)


def each(function: Callable[[Any], object], items: Sequence[Any]) -> None:
    """Call `function` on every item and forget what it returns."""
    for item in items:
        function(item)


if __name__ == "__main__":
    main()
