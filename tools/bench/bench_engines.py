"""Speed of the tokenizer engines on one corpus: text in memory, two threads, memo tables cold, start-up apart.

python tools/bench/bench_engines.py CORPUS.jsonl[.zst] --tokenizer bert-base-uncased/tokenizer.json

Runs of all engines are interleaved, each in a process of its own, and medians are compared, since machines are noisy.
Texts go in batches of about 16 MB, as the pipeline hands them over, and each engine returns what it returns (flat
arrays, or lists of objects). `tokie` and `gigatoken` are measured where they can be imported and take the tokenizer.
Peak memory is that of the process less what it had once the texts were loaded.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from corpus_texts import read_texts
from results import Missing, Row, bench_parser, record

BATCH_CHARACTERS = 16_000_000
Encode = Callable[[Sequence[Any]], object]


def start_huggingface(path: str, threads: int) -> Encode:
    """`tokenizers.encode_batch_fast`; its threads are set by the environment of this process."""
    from tokenizers import Tokenizer

    del threads
    tokenizer = Tokenizer.from_file(path)
    return lambda texts: tokenizer.encode_batch_fast(texts, add_special_tokens=False)


def start_native(path: str, threads: int) -> Encode:
    """The native engine through the public function, sample check included."""
    from preprocess.tokenization import load_tokenizer

    tokenizer = load_tokenizer(path, engine="native")
    return lambda texts: tokenizer.encode_batch(texts, threads=threads)


def start_tokie(path: str, threads: int) -> Encode:
    """`tokie.encode_batch_flat`."""
    import tokie

    del threads
    tokenizer: Any = tokie.Tokenizer.from_json(path)
    return lambda texts: tokenizer.encode_batch_flat(texts, add_special_tokens=False)


def start_gigatoken(path: str, threads: int) -> Encode:
    """`gigatoken`, byte-level BPE alone."""
    import gigatoken

    with open(path, encoding="utf-8") as file:
        tokenizer = gigatoken.Tokenizer.from_json(file.read())
    return lambda texts: tokenizer.encode_batch(texts, parallel=threads > 1)


ENGINES: dict[str, Callable[[str, int], Encode]] = {
    "tokenizers": start_huggingface,
    "native": start_native,
    "native-bytes": start_native,
    "tokie": start_tokie,
    "gigatoken": start_gigatoken,
}


def peak_memory() -> float:
    """The most memory that this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(arguments: argparse.Namespace) -> None:
    """One engine, one cold run, in this process: prints a JSON object."""
    # The slow one gets a part of the corpus, spread over all of it.
    texts: list[Any] = read_texts(arguments.corpus, arguments.key, arguments.megabytes)
    if arguments.measure == "tokenizers":
        texts = texts[:: arguments.thin]
    size = sum(len(text.encode()) for text in texts)
    if arguments.measure == "native-bytes":
        texts = [text.encode() for text in texts]
    batches: list[list[Any]] = [[]]
    characters = 0
    for text in texts:
        if characters >= BATCH_CHARACTERS:
            batches.append([])
            characters = 0
        batches[-1].append(text)
        characters += len(text)
    del texts
    before = peak_memory()
    started = time.perf_counter()
    encode = ENGINES[arguments.measure](arguments.tokenizer, arguments.threads)
    ready = time.perf_counter()
    for batch in batches:
        encode(batch)
    finished = time.perf_counter()
    result = {"start": ready - started, "speed": size / 1e6 / (finished - ready), "memory": peak_memory() - before}
    print(json.dumps(result))


def why_not(errors: str) -> str:
    """The line of standard error that says why an engine cannot be measured."""
    lines = errors.strip().splitlines()
    named = [line for line in lines if re.match(r"[\w.]+(Error|Exception)\b", line)]
    return (named or lines or ["no reason given"])[-1].strip()


def main() -> int:
    """Measure all engines in turn, several times, and print medians and ratios."""
    parser = bench_parser(__doc__, rounds=7)
    parser.add_argument("corpus", metavar="CORPUS")
    parser.add_argument("--tokenizer", required=True, metavar="TOKENIZER.json")
    parser.add_argument("--key", default="text")
    parser.add_argument("--megabytes", type=float, default=1e9, help="of text, from the head (default: all)")
    parser.add_argument("--thin", type=int, default=12, help="`tokenizers` gets every so many-th text (%(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--measure", choices=sorted(ENGINES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments)
        return 0

    environment = os.environ | {"RAYON_NUM_THREADS": str(arguments.threads), "TOKENIZERS_PARALLELISM": "true"}
    results: dict[str, list[dict[str, float]]] = {}
    refused: set[str] = set()
    for _ in range(arguments.rounds):
        for name in ENGINES:
            if name in refused:
                continue
            command = [sys.executable, __file__, *sys.argv[1:], "--measure", name]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                refused.add(name)
                reason = why_not(done.stderr)
                print(f"{name}: not measured ({reason[:100]})")
                record(arguments.results, [Missing(name, reason[:150])])
                continue
            results.setdefault(name, []).append(json.loads(done.stdout.splitlines()[-1]))
    medians = {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for name, runs in results.items()
    }
    print(f"{'engine':14}{'start-up':>10}{'speed':>12}{'peak memory':>14}{'ratio':>8}   single runs, MB/s")
    for name, median in medians.items():
        ratio = median["speed"] / medians["tokenizers"]["speed"]
        speeds = " ".join(f"{run['speed']:.1f}" for run in results[name])
        print(
            f"{name:14}{median['start'] * 1e3:7.0f} ms{median['speed']:7.1f} MB/s{median['memory']:11.0f} MB"
            f"{ratio:7.1f}x   {speeds}"
        )
        if name != "tokenizers":
            what = f"{name}, {os.path.basename(arguments.corpus)}"
            peer = medians["tokenizers"]["speed"]
            record(arguments.results, [Row(what, median["speed"], "MB/s", peer, "tokenizers.encode_batch_fast")])
    return 0


if __name__ == "__main__":
    sys.exit(main())
