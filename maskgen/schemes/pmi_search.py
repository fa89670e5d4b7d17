"""Finds the n-grams of a dataset whose words belong together: those with a high pointwise mutual information.

dataset --pass n: count n-grams whose parts are frequent--> counts --PMI, ranked for each n--> the best, with their ids

The measure is that of PMI-Masking (Levine et al., 2020): log p(w1...wn) less the largest sum of log p over the ways to
cut w1...wn into two or more parts; so an n-gram scores only if no cut explains it. p is the share of an n-gram among
the runs of as many words. N-grams do not go over the ends of sequences, nor over special ids.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.hashing import Words
from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError
from maskgen.schemes.ngrams import LONGEST, SHORTEST
from maskgen.schemes.words import WordRuns, lookup
from maskgen.vocab import Ids, Vocab
from preprocess import IndexedDataset

DIGITS = 9  # of scores; equal ones are told apart by their hashes
CHUNK = 1 << 22  # tokens looked at together: 40 bytes each while they are counted
Reals = npt.NDArray[np.float64]


class Level:
    """The frequent n-grams of one size, by hash: counts, and the log-probability of their best explanation."""

    def __init__(self, size: int) -> None:
        self.size, self.windows = size, 0
        self.hashes: Words = np.zeros(0, np.uint64)
        self.counts: Ids = np.zeros(0, np.int64)
        # The hashes of the first k and of the last size - k words, for each k: what it may be cut into.
        self.cuts: Words = np.zeros((0, 2 * (size - 1)), np.uint64)
        self.best: Reals = np.zeros(0)
        self.pmi: Reals = np.zeros(0)

    def add(self, hashes: Words, cuts: Words) -> None:
        """Count these, too."""
        own, first, counts = np.unique(hashes, return_index=True, return_counts=True)
        every, index, inverse = np.unique(
            np.concatenate((self.hashes, own)), return_index=True, return_inverse=True
        )  # fmt: skip
        totals = np.zeros(len(every), np.int64)
        np.add.at(totals, inverse.ravel(), np.concatenate((self.counts, counts)))
        self.cuts = np.concatenate((self.cuts, cuts[first]))[index]
        self.hashes, self.counts = every, totals

    def close(self, min_count: int, smaller: "list[Level]") -> None:
        """Keep the frequent ones, and score them by the levels below."""
        kept = self.counts >= min_count
        self.hashes, self.counts, self.cuts = self.hashes[kept], self.counts[kept], self.cuts[kept]
        log_share = np.log(self.counts / max(self.windows, 1))
        explained = np.full(len(self.hashes), -np.inf)
        for k in range(1, self.size):
            left, right = smaller[k - 1], smaller[self.size - k - 1]
            one, other = lookup(self.cuts[:, 2 * k - 2], left.hashes), lookup(self.cuts[:, 2 * k - 1], right.hashes)
            explained = np.maximum(explained, left.best[one] + right.best[other])
        self.pmi = np.round(log_share - explained, DIGITS)  # logarithms have other last bits on other machines
        self.best = np.maximum(log_share, explained)


def find_ngrams(
    dataset: IndexedDataset,
    vocab: Vocab,
    *,
    size: int = 800_000,
    min_count: int = 10,
    longest: int = LONGEST,
    min_pmi: float = 0.0,
) -> tuple[list[list[int]], dict[str, Any]]:
    """The n-grams with the highest PMI, `size` of them in equal parts of 2 to `longest` words, and facts about them.

    Only those that occur `min_count` times and score more than `min_pmi` are looked at. They come sorted by number of
    words, then by falling PMI.
    """
    longest, min_count = integer(longest, "longest", SHORTEST), integer(min_count, "min_count", 1)
    size = integer(size, "size", 1)
    if longest > LONGEST:
        raise SampleError(f"longest is {longest}; expected {SHORTEST} to {LONGEST} words; correct it")
    levels: list[Level] = []
    for words in range(1, longest + 1):
        level = Level(words)
        for _, runs in _chunks(dataset, vocab):
            _count(level, levels, runs)
        level.close(min_count, levels)
        levels.append(level)
    part = -(-size // (longest - 1))
    wanted = {}
    for level in levels[1:]:
        order = np.lexsort((level.hashes, -level.pmi))
        best = order[level.pmi[order] > min_pmi][:part]
        wanted[level.size] = level, best
    return _read(dataset, vocab, wanted)


def _chunks(dataset: IndexedDataset, vocab: Vocab) -> Iterator[tuple[Ids, WordRuns]]:
    """The dataset's words, some million tokens at a time, sequences being rows."""
    ordinary = np.zeros(len(vocab), np.bool_)
    ordinary[vocab.ordinary_ids] = True
    ends = np.cumsum(dataset.sequence_lengths, dtype=np.int64)
    first = 0
    while first < len(dataset):
        done = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + CHUNK, side="right")))
        tokens: Ids = np.concatenate(dataset[first:last], dtype=np.int64)
        if tokens.size:
            if not 0 <= int(tokens.min()) <= int(tokens.max()) < len(vocab):
                raise SampleError(
                    f"{dataset.prefix}: ids from {tokens.min()} to {tokens.max()}; expected ids below {len(vocab)}, "
                    f"the vocabulary of {vocab.name}; use the tokenizer that this dataset was made with"
                )
            among = ordinary[tokens]
            before = np.concatenate(([False], among[:-1]))
            starts = np.concatenate(([done], ends[first : last - 1])) - done
            yield tokens, WordRuns.of(tokens, among, among & (vocab.word_starts[tokens] | ~before), starts)
        first = last


def _count(level: Level, smaller: list[Level], words: WordRuns) -> None:
    runs = words.runs(level.size)
    hashes, exist = runs[-1]
    level.windows += int(exist.sum())
    starts = np.flatnonzero(exist)
    if level.size > 1:  # both its beginning and its end must be frequent, so most n-grams are never counted
        known = smaller[-1].hashes
        frequent = lookup(runs[-2][0], known) >= 0
        starts = starts[frequent[starts] & frequent[starts + 1]]
    cuts = [
        runs[each][0][starts + at] for k in range(1, level.size) for each, at in ((k - 1, 0), (level.size - k - 1, k))
    ]
    level.add(hashes[starts], np.stack(cuts, axis=1) if cuts else np.zeros((len(starts), 0), np.uint64))


def _read(
    dataset: IndexedDataset, vocab: Vocab, wanted: dict[int, tuple[Level, Ids]]
) -> tuple[list[list[int]], dict[str, Any]]:
    """The ids of the chosen n-grams, from where they first occur."""
    found: dict[int, dict[int, list[int]]] = {size: {} for size in wanted}
    for tokens, words in _chunks(dataset, vocab):
        runs = words.runs(max(wanted))
        for size, (level, best) in wanted.items():
            hashes, exist = runs[size - 1]
            starts = np.flatnonzero(exist)
            sought = np.zeros(len(level.hashes) + 1, np.bool_)
            sought[best] = True
            sought[list(found[size])] = False
            numbers = lookup(hashes[starts], level.hashes)
            numbers, first = np.unique(np.where(sought[numbers], numbers, -1), return_index=True)
            for number, at in zip(numbers.tolist(), starts[first].tolist(), strict=True):
                if number >= 0:
                    found[size][number] = tokens[words.starts[at] : words.ends[at + size - 1]].tolist()
    ngrams, pmi, counts = [], [], []
    for size, (level, best) in wanted.items():
        for number in best.tolist():
            ngrams.append(found[size][number])
            pmi.append(round(float(level.pmi[number]), 6))
            counts.append(int(level.counts[number]))
    return ngrams, {"counts": counts, "pmi": pmi}
