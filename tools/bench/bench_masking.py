#!/usr/bin/env python3
"""Speed of masking on one core, beside Hugging Face's DataCollatorForLanguageModeling in the same run.

    python tools/bench/bench_masking.py [--vocabulary vocab.txt] [--rounds 9]

All work on 512-token samples; figures are medians of interleaved rounds, in million tokens a second. The collator gets
lists of ids in batches of 32 and returns PyTorch tensors, with one thread; it masks single pieces, ours whole words and
n-grams. Needs torch and transformers; without them only our figures are printed.
"""

import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from yardstick import (
    BATCH,
    CLS,
    LENGTH,
    MASK,
    SEP,
    Work,
    compare,
    parser_of,
    sentences,
    text_rows,
    vocabulary_of,
)

from maskgen import BertSamples, T5Samples, Vocab, create_masked_lm_predictions, mapping
from maskgen.samples import RowMasker
from preprocess import IndexedDataset

ROWS = 2048


def main() -> None:
    """Measure and print."""
    arguments = parser_of(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ways = dict(our_ways(vocabulary_of(arguments.vocabulary), folder))
        compare(ways, arguments.vocabulary, arguments.rounds, arguments.results)


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
