"""What the benches of masking share: the yardstick, a dataset to work on, and medians of interleaved rounds."""

import argparse
import importlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from results import Missing, Row, bench_parser, reason_of, record

from maskgen import Vocab
from preprocess import IndexedDataset, IndexedDatasetWriter

LENGTH = 512
BATCH = 32
CLS, SEP, MASK = 101, 102, 103
COLLATOR = "transformers collator"
Work = tuple[int, Callable[[], object]]  # how many tokens, and what to do with them


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """The arguments that these benches share."""
    parser = bench_parser(description, rounds=9)
    parser.add_argument("--vocabulary", default="tests/golden/bert-base-uncased-vocab.txt", metavar="vocab.txt")
    return parser


def vocabulary_of(path: str) -> Vocab:
    """BERT's vocabulary, with its last 200 pieces as sentinels."""
    with open(path, encoding="utf-8") as file:
        pieces = file.read().splitlines()
    return Vocab(pieces, cls_id=CLS, sep_id=SEP, mask_id=MASK, pad_id=0, bos_id=1, eos_id=2,
                 sentinel_ids=range(len(pieces) - 200, len(pieces)))  # fmt: skip


def compare(ways: dict[str, Work], vocabulary: str, rounds: int, results: str | None = None) -> None:
    """Print the speed of each way, in interleaved rounds with the yardstick where it is installed."""
    try:
        ways = {COLLATOR: collator(vocabulary), **ways}
    except ImportError as error:
        print(f"{COLLATOR}: not measured ({reason_of(error)})")
        record(results, [Missing(COLLATOR, reason_of(error))])
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (tokens, work) in ways.items():
            start = time.perf_counter()
            work()
            speeds[name].append(tokens / (time.perf_counter() - start) / 1e6)
    yardstick = statistics.median(speeds[COLLATOR]) if COLLATOR in speeds else None
    for name, values in speeds.items():
        speed = statistics.median(values)
        ratio = f"   {speed / yardstick:7.2f}x the collator" if yardstick else ""
        print(f"{name:<44}{speed:8.2f} Mtok/s{ratio}")
        if name != COLLATOR:
            record(results, [Row(name, speed, "Mtok/s", yardstick, COLLATOR if yardstick else "")])


def text_rows(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows of [CLS], random pieces, [SEP]."""
    tokens = np.random.RandomState(0).randint(1000, 28996, (count, LENGTH))
    tokens[:, 0], tokens[:, -1] = CLS, SEP
    return tokens


def collator(vocabulary: str) -> Work:
    """The yardstick: batches of 32 lists of ids."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    torch: Any = importlib.import_module("torch")
    transformers: Any = importlib.import_module("transformers")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(os.path.abspath(vocabulary), os.path.join(folder, "vocab.txt"))
        tokenizer = transformers.BertTokenizerFast.from_pretrained(folder)
    collate = transformers.DataCollatorForLanguageModeling(tokenizer, return_tensors="pt")
    batches = [[{"input_ids": row} for row in text_rows(BATCH * (start + 1))[-BATCH:].tolist()] for start in range(4)]

    def work() -> None:
        for batch in batches:
            collate(batch)

    return len(batches) * BATCH * LENGTH, work


def sentences(folder: str, documents: int = 4000, seed: int = 1) -> IndexedDataset:
    """A dataset of 20 sentences a document, of 25 tokens on average."""
    rng = np.random.RandomState(seed)
    lengths = rng.randint(10, 41, documents * 20)
    prefix = os.path.join(folder, f"sentences-{seed}")
    with IndexedDatasetWriter(prefix, "uint16") as writer:
        writer.add_documents(rng.randint(1000, 28996, lengths.sum()), lengths, np.full(documents, 20))
    return IndexedDataset(prefix)
