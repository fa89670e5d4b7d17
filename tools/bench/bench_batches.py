#!/usr/bin/env python3
"""Speed of whole batches on one core, beside Hugging Face's DataCollatorForLanguageModeling in the same run.

    python tools/bench/bench_batches.py [--rounds 9]
    python tools/bench/bench_batches.py --start-up [--tokens 1e9]

Global batches of 32 samples of 512 tokens go through a BatchSource: shuffled, from the memory maps, masked, padded,
into arrays that are used again. Figures are medians of interleaved rounds, in million tokens a second, without padding.
The collator gets rows that are in memory already, and shuffles nothing. Needs torch and transformers; without them only
our figures are printed.

With --start-up: the time from imports to the first batch of a rank, in a process of its own, on a dataset of so many
tokens with a cached mapping, both made in a temporary folder (2 bytes a token).
"""

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from results import Row, record
from yardstick import BATCH, LENGTH, Work, compare, parser_of, sentences, vocabulary_of

from maskgen import BertSamples, T5Samples, Vocab, mapping
from maskgen.batches import BatchSource, Blend
from preprocess import IndexedDataset, IndexedDatasetWriter

STEPS = 64
MAPPING: dict[str, Any] = {"num_epochs": 1, "short_seq_prob": 0.1, "seed": 1}


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__)
    parser.add_argument("--start-up", action="store_true", help="measure the time to the first batch instead")
    parser.add_argument("--tokens", type=float, default=1e9, help="tokens of the dataset of --start-up")
    parser.add_argument("--first-batch", metavar="PREFIX", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.first_batch:
        first_batch(arguments.first_batch, vocabulary_of(arguments.vocabulary))
        return
    with tempfile.TemporaryDirectory() as folder:
        if arguments.start_up:
            start_up(folder, int(arguments.tokens), arguments.rounds, arguments.results)
        else:
            ways = dict(our_ways(vocabulary_of(arguments.vocabulary), folder))
            compare(ways, arguments.vocabulary, arguments.rounds, arguments.results)


def our_ways(vocab: Vocab, folder: str) -> Iterator[tuple[str, Work]]:
    """Each kind of samples, by name."""
    dataset = sentences(folder)
    bert, t5 = bert_samples(dataset, vocab), t5_samples(dataset, vocab)
    yield "bert, pairs of sentences", batches(BatchSource(bert, batch_size=BATCH))
    yield "bert, int32", batches(BatchSource(bert, batch_size=BATCH), np.int32)
    yield "bert, a blend of 3 datasets", batches(BatchSource(blend(folder, vocab, 3), batch_size=BATCH))
    yield "bert, the rows of rank 1 of 2", batches(BatchSource(bert, batch_size=2 * BATCH, rank=1, world_size=2))
    yield "t5", batches(BatchSource(t5, batch_size=BATCH))
    if importlib.util.find_spec("maskgen.schemes") and importlib.util.find_spec("maskgen.rows"):
        yield from scheme_ways(dataset, vocab)


def scheme_ways(dataset: IndexedDataset, vocab: Vocab) -> Iterator[tuple[str, Work]]:
    """Each scheme over chunks of 512 tokens, and two of them over packed documents."""
    rows: Any = importlib.import_module("maskgen.rows")
    schemes: Any = importlib.import_module("maskgen.schemes")
    ngrams: Any = importlib.import_module("maskgen.schemes.ngrams")
    starts = vocab.ordinary_ids[vocab.word_starts[vocab.ordinary_ids]]
    pairs = np.random.RandomState(2).choice(starts, (100_000, 2))
    options = {"pmi": {"ngrams": ngrams.NGrams(np.unique(pairs, axis=0).tolist(), vocab)}}
    ids = (vocab.cls_id, vocab.sep_id)
    chunks = rows.Chunks(dataset, LENGTH, row_special=ids)
    packed = rows.PackedDocuments(dataset, LENGTH, add_special=ids)
    for name in schemes.SCHEMES:
        samples = schemes.SchemeSamples(chunks, vocab, name, **options.get(name, {}))
        yield name, batches(BatchSource(samples, batch_size=BATCH))
    for name in ("roberta", "modernbert"):
        samples = schemes.SchemeSamples(packed, vocab, name, documents=True)
        yield f"{name}, packed documents", batches(BatchSource(samples, batch_size=BATCH))


def bert_samples(dataset: IndexedDataset, vocab: Vocab) -> BertSamples:
    """Pairs, from a cached mapping."""
    rows = mapping.cached_mapping(dataset, max_seq_length=LENGTH - 3, min_num_sent=2, **MAPPING)
    return BertSamples(dataset, rows, vocab, max_seq_length=LENGTH)


def t5_samples(dataset: IndexedDataset, vocab: Vocab) -> T5Samples:
    """Spans and sentinels."""
    rows = mapping.cached_mapping(dataset, max_seq_length=LENGTH - 2, min_num_sent=1, **MAPPING)
    return T5Samples(dataset, rows, vocab, max_seq_length=LENGTH, max_seq_length_dec=256)


def blend(folder: str, vocab: Vocab, count: int) -> Blend:
    """Datasets of their own, with the weights 1, 2, 3, ..."""
    parts = [bert_samples(sentences(folder, 1000, 10 + number), vocab) for number in range(count)]
    return Blend(parts, range(1, count + 1))


def batches(source: BatchSource, dtype: Any = np.int64) -> Work:
    """The first batches of a source, again and again."""
    out = source.allocate({field.name: dtype for field in source.fields if not getattr(field, "real", False)})
    size = source.sizes.largest
    starts = range(0, STEPS * size, size)
    tokens = sum(used(source.batch_at(start, out=out)) for start in starts)

    def work() -> None:
        for start in starts:
            source.batch_at(start, out=out)

    return tokens, work


def used(batch: Any) -> int:
    """Tokens of a batch without padding: of the encoder's side, where there are two."""
    name = "lengths" if "lengths" in batch else "lengths_enc"
    return int(batch[name].sum())


def start_up(folder: str, tokens: int, rounds: int, results: str | None) -> None:
    """Make the dataset and its mapping, then start processes."""
    prefix = os.path.join(folder, "large")
    rng = np.random.RandomState(0)
    part = 100_000
    with IndexedDatasetWriter(prefix, "uint16") as writer:
        left = tokens
        while left > 0:
            lengths = rng.randint(10, 41, part * 20)
            ids = rng.randint(1000, 28996, lengths.sum())
            writer.add_documents(ids, lengths, np.full(part, 20))
            left -= len(ids)
    dataset = IndexedDataset(prefix)
    rows = mapping.cached_mapping(dataset, max_seq_length=LENGTH - 3, min_num_sent=2, **MAPPING)
    print(f"{len(dataset.tokens):,} tokens, {len(dataset):,} sentences, {len(rows):,} samples")
    os.sync()  # or the disk would be busy while ranks start
    command = [sys.executable, __file__, "--first-batch", prefix]
    found = []
    for _ in range(rounds):
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found.append([float(value) for value in output.split()])
    for name, values in zip(("first batch", "first batch and state"), zip(*found, strict=True), strict=True):
        print(f"{name:<24}{statistics.median(values):6.3f} s after imports (largest {max(values):.3f})")
        what = f"{name} of a rank, {tokens / 1e6:,.0f} million tokens"
        record(results, [Row(what, statistics.median(values), "s", against="after imports", less_is_better=True)])


def first_batch(prefix: str, vocab: Vocab) -> None:
    """What a rank does when it starts; prints the seconds until the first batch, and until its state is known."""
    start = time.perf_counter()
    source = BatchSource(bert_samples(IndexedDataset(prefix), vocab), batch_size=256, rank=3, world_size=8, threads=2)
    next(source)
    first = time.perf_counter() - start
    source.state_dict()
    print(first, time.perf_counter() - start)


if __name__ == "__main__":
    main()
