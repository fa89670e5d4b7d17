"""Runs of the command, measured from outside: time, processor time, largest process, room on the disk.

corpus --repeated, or cut into short documents--> inputs of several sizes --maskgen tokenize--> Run
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from corpus_texts import corpus_texts

SHORT = 200  # characters of a short document
EVERY = 0.02  # seconds between two looks at the disk


@dataclass(frozen=True)
class Corpus:
    """An input, and what of it decides the costs."""

    path: str
    name: str
    text: int  # bytes of its texts, without JSON around them
    documents: int


@dataclass(frozen=True)
class Run:
    """One run; bytes and seconds."""

    seconds: float
    cpu: float
    memory: float  # peak of the largest process
    disk: float  # peak of the work folder and of unfinished datasets, files with two names once
    bin: float = 0.0
    idx: float = 0.0
    json: float = 0.0


def corpora(source: str, folder: str, megabytes: float, sizes: Sequence[tuple[str, int]]) -> list[Corpus]:
    """The head of `source`, as it is or in short documents, so many times."""
    parts = {"as it is": os.path.join(folder, "whole.jsonl"), "short": os.path.join(folder, "short.jsonl")}
    documents, size = dict.fromkeys(parts, 0), 0
    with open(parts["as it is"], "w", encoding="utf-8") as whole, open(parts["short"], "w", encoding="utf-8") as short:
        for text in corpus_texts(source, "text"):
            whole.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            size += len(text.encode())
            documents["as it is"] += 1
            for begin in range(0, max(len(text), 1), SHORT):
                short.write(json.dumps({"text": text[begin : begin + SHORT]}, ensure_ascii=False) + "\n")
                documents["short"] += 1
            if size >= megabytes * 1e6:
                break
    made = []
    for shape, copies in sizes:
        path = os.path.join(folder, f"{shape.replace(' ', '-')}-{copies}.jsonl")
        with open(path, "wb") as out:
            for _ in range(copies):
                with open(parts[shape], "rb") as part:
                    shutil.copyfileobj(part, out, 1 << 20)
        made.append(Corpus(path, f"{shape}, {copies}x", size * copies, documents[shape] * copies))
    return made


def tokenized(corpus: Corpus, tokenizer: str, prefix: str, *options: str) -> Run:
    """One whole run of `maskgen tokenize`."""
    command = ["tokenize", corpus.path, "--tokenizer", tokenizer, "--output-prefix", prefix, "--quiet", *options]
    run = measured(command, os.path.dirname(prefix))
    sizes = {kind: size_of(f"{prefix}_text_document.{kind}") for kind in ("bin", "idx", "json")}
    return Run(run.seconds, run.cpu, run.memory, run.disk, **sizes)


def measured(command: Sequence[str], folder: str) -> Run:
    """A command of maskgen in a process of its own; its workers count with it."""
    most, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.wait(EVERY):
            most[0] = max(most[0], unfinished_bytes(folder))

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "maskgen.cli", *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)  # its children's time and largest memory are in it
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    stop.set()
    watcher.join()
    if process.returncode:
        sys.exit(f"maskgen {' '.join(command)}: found exit code {process.returncode}, expected 0")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024.0, most[0])


def unfinished_bytes(folder: str) -> int:
    """Room of the files below a folder that go away or get another name; those with two names once."""
    found: dict[tuple[int, int], int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            if ".maskgen-work" in parent or name.endswith(".partial"):
                try:
                    status = os.stat(os.path.join(parent, name))
                except FileNotFoundError:
                    continue
                found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def size_of(path: str) -> int:
    """Bytes of a file, 0 where there is none (as after a part of the work)."""
    return os.path.getsize(path) if os.path.exists(path) else 0
