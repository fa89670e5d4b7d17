#!/usr/bin/env python3
"""Speed of masking on one core, beside Hugging Face's DataCollatorForLanguageModeling in the same run.

    python tools/bench/bench_masking.py [--vocabulary vocab.txt] [--rounds 9]

All work on 512-token samples; figures are medians of interleaved rounds, in million tokens a second. The collator gets
lists of ids in batches of 32 and returns PyTorch tensors, with one thread; it masks single pieces, ours whole words and
n-grams. Needs torch and transformers; without them only our figures are printed.
"""

import argparse
import contextlib
import importlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from maskgen import BertSamples, T5Samples, Vocab, create_masked_lm_predictions, mapping
from maskgen.samples import RowMasker
from preprocess import IndexedDataset, IndexedDatasetWriter

LENGTH = 512
BATCH = 32
CLS, SEP, MASK = 101, 102, 103
ROWS = 2048
Work = tuple[int, Callable[[], object]]  # how many tokens, and what to do with them


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", default="tests/golden/bert-base-uncased-vocab.txt", metavar="vocab.txt")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    with open(arguments.vocabulary, encoding="utf-8") as file:
        pieces = file.read().splitlines()
    vocab = Vocab(pieces, cls_id=CLS, sep_id=SEP, mask_id=MASK, pad_id=0, bos_id=1, eos_id=2,
                  sentinel_ids=range(len(pieces) - 200, len(pieces)))  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        ways = dict(our_ways(vocab, folder))
        with contextlib.suppress(ImportError):
            ways = {"transformers collator": collator(arguments.vocabulary), **ways}
        speeds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, (tokens, work) in ways.items():
                start = time.perf_counter()
                work()
                speeds[name].append(tokens / (time.perf_counter() - start) / 1e6)
    yardstick = statistics.median(speeds["transformers collator"]) if "transformers collator" in speeds else None
    for name, values in speeds.items():
        speed = statistics.median(values)
        ratio = f"   {speed / yardstick:7.2f}x the collator" if yardstick else ""
        print(f"{name:<44}{speed:8.2f} Mtok/s{ratio}")


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


def our_ways(vocab: Vocab, folder: str) -> Iterator[tuple[str, Work]]:
    """Each of our ways to mask, by name."""
    whole, fraction = {"max_predictions": 77}, {"max_predictions": 0.15 * 509}
    geometric = {"max_ngrams": 10, "geometric_dist": True}
    yield "native batches, whole cap", masked_rows(vocab, **whole)
    yield "native batches, cap 0.15 x 509", masked_rows(vocab, **fraction)
    yield "native batches, geometric, whole cap", masked_rows(vocab, **whole, **geometric)
    yield "native batches, geometric, cap 0.15 x 509", masked_rows(vocab, **fraction, **geometric)
    yield "native batches, T5's style", masked_rows(vocab, **fraction, **geometric, masking_style="t5")
    yield "native batches, permutation", masked_rows(vocab, **fraction, do_permutation=True)
    dataset = sentences(folder)
    yield "full BERT batches with pairs, from files", bert(dataset, vocab)
    yield "full BERT batches with pairs, int32", bert(dataset, vocab, np.int32)
    yield "full T5 batches, from files", t5(dataset, vocab)
    yield "one call, native", one_by_one(vocab, 200, "native")
    yield "one call, native, table of word starts", one_by_one(vocab, 200, "native", word_starts=vocab.word_starts)
    yield "one call, numpy twin", one_by_one(vocab, 40, "reference")
    yield "one call, numpy twin, cap 0.15 x 509", one_by_one(vocab, 40, "reference", 0.15 * 509)


def masked_rows(vocab: Vocab, **options: Any) -> Work:
    """Batches of 32 rows that are at hand, into arrays that are used again."""
    tokens = text_rows(ROWS)
    masker = RowMasker(vocab, max_seq_length=LENGTH, **options)
    out = masker.allocate(BATCH)

    def work() -> None:
        for start in range(0, ROWS, BATCH):
            masker.batch(tokens[start : start + BATCH], range(start, start + BATCH), out=out)

    return ROWS * LENGTH, work


def sentences(folder: str) -> IndexedDataset:
    """A dataset of 20 sentences a document, of 25 tokens on average."""
    rng = np.random.RandomState(1)
    documents = 4000
    lengths = rng.randint(10, 41, documents * 20)
    with IndexedDatasetWriter(os.path.join(folder, "sentences"), "uint16") as writer:
        writer.add_documents(rng.randint(1000, 28996, lengths.sum()), lengths, np.full(documents, 20))
    return IndexedDataset(os.path.join(folder, "sentences"))


def bert(dataset: IndexedDataset, vocab: Vocab, dtype: Any = np.int64) -> Work:
    """Segments, truncation, masking and padding, straight from the memory maps."""
    rows = mapping.build_mapping(
        dataset.document_indices, dataset.sequence_lengths, num_epochs=3, max_num_samples=None,
        max_seq_length=LENGTH - 3, short_seq_prob=0.1, seed=1, min_num_sent=2,
    )  # fmt: skip
    return batches(BertSamples(dataset, rows, vocab, max_seq_length=LENGTH), dtype)


def t5(dataset: IndexedDataset, vocab: Vocab) -> Work:
    """Spans and sentinels."""
    rows = mapping.build_mapping(
        dataset.document_indices, dataset.sequence_lengths, num_epochs=3, max_num_samples=None,
        max_seq_length=LENGTH - 2, short_seq_prob=0.1, seed=1, min_num_sent=1,
    )  # fmt: skip
    return batches(T5Samples(dataset, rows, vocab, max_seq_length=LENGTH, max_seq_length_dec=256), np.int64)


def batches(samples: BertSamples | T5Samples, dtype: Any) -> Work:
    """Batches of 32 samples in the order of the mapping, which is a random one; counted are tokens without padding."""
    count = min(ROWS, len(samples) // BATCH * BATCH)
    out = samples.allocate(BATCH, {field.name: dtype for field in samples.fields})
    tokens = sum(
        int(samples.batch(range(start, start + BATCH), out=out)["lengths"].sum()) for start in range(0, count, BATCH)
    )

    def work() -> None:
        for start in range(0, count, BATCH):
            samples.batch(np.arange(start, start + BATCH), out=out)

    return tokens, work


def one_by_one(vocab: Vocab, count: int, engine: str, cap: float = 77, **options: Any) -> Work:
    """The public function on one sequence after another, on one generator."""
    rows = text_rows(count).tolist()
    rng = np.random.RandomState(0)
    ids = range(len(vocab))

    def work() -> None:
        for row in rows:
            create_masked_lm_predictions(
                row, ids, vocab.pieces, 0.15, CLS, SEP, MASK, cap, rng, engine=engine, **options
            )

    return count * LENGTH, work


if __name__ == "__main__":
    main()
