"""How fast corpora are read: blocks of lines against reading alone, documents, decompression.

    python tools/bench/bench_readers.py FILE.txt [--rounds 5]

Rates are of the text, from the page cache, on one core; medians of interleaved runs.
"""

import gzip
import importlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from results import Missing, Row, bench_parser, reason_of, record

from preprocess.corpora.corpus_file import CorpusFile
from preprocess.corpora.inputs import find_inputs
from preprocess.corpora.line_blocks import line_blocks
from preprocess.corpora.plain_text import read_text

LONGEST = 64 << 20


def reading_alone(file: CorpusFile) -> None:
    """The yardstick: the same system calls into the same kind of buffer."""
    room = bytearray(1 << 20)
    position = 0
    descriptor = os.open(file.path, os.O_RDONLY)
    while count := os.preadv(descriptor, [room], position):
        position += count
    os.close(descriptor)


def blocks(file: CorpusFile) -> None:
    """Blocks of lines, counted."""
    for _ in line_blocks(file, 0, file.bytes, max_line_bytes=LONGEST):
        pass


def documents(kind: str) -> Callable[[CorpusFile], None]:
    """Documents of plain text, validated."""

    def read(file: CorpusFile) -> None:
        for _ in read_text(file, 0, file.bytes, documents=kind, max_line_bytes=LONGEST):
            pass

    return read


def compressed(folder: str, content: bytes, results: str | None) -> list[tuple[str, CorpusFile]]:
    """The same text in gzip, and in zstd where it can be."""
    contents = [("gzip", gzip.compress(content, 6))]
    try:
        zstandard: Any = importlib.import_module("zstandard")
        contents.append(("zstd", zstandard.compress(content, 3)))
    except ImportError as error:
        print(f"zstd: not measured ({reason_of(error)})")
        record(results, [Missing("zstandard", reason_of(error))])
    files = []
    for name, data in contents:
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.write(data)
        files.append((name, find_inputs([path], format="text").files[0]))
    return files


def main() -> None:
    """Measure and print."""
    parser = bench_parser(__doc__, rounds=5)
    parser.add_argument("file")
    arguments = parser.parse_args()
    (plain,) = find_inputs([arguments.file], format="text").files
    with open(plain.path, "rb") as opened:
        head = opened.read(100 << 20)
    with tempfile.TemporaryDirectory() as folder:
        runs: list[tuple[str, Callable[[CorpusFile], None], CorpusFile, int]] = [
            ("reading alone", reading_alone, plain, plain.bytes),
            ("line_blocks", blocks, plain, plain.bytes),
            ("read_text, line", documents("line"), plain, plain.bytes),
            ("read_text, block", documents("block"), plain, plain.bytes),
        ]
        runs += [
            (f"line_blocks, {name}", blocks, file, len(head))
            for name, file in compressed(folder, head, arguments.results)
        ]
        times: dict[str, list[float]] = {name: [] for name, *_ in runs}
        for _ in range(arguments.rounds):
            for name, run, file, _ in runs:
                begin = time.perf_counter()
                run(file)
                times[name].append(time.perf_counter() - begin)
    for name, _, _, size in runs:
        print(f"{name:20} {size / statistics.median(times[name]) / 1e9:6.2f} GB/s")
    alone = plain.bytes / statistics.median(times["reading alone"]) / 1e9
    speeds = [(name, size / statistics.median(times[name]) / 1e9) for name, _, _, size in runs[1:]]
    record(arguments.results, [Row(name, speed, "GB/s", alone, "reading alone") for name, speed in speeds])


if __name__ == "__main__":
    main()
