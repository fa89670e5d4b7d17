"""The definition of every mapping, in plain Python: slow, obvious, and equal to csrc/ to the bit.

Rows are lists of Python integers; arguments have been checked. The generators are those of C++: ``std::mt19937``, whose
words numpy's legacy generator gives as well, and ``std::mt19937_64``, written out below.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from math import floor, inf

import numpy as np

LONG_SENTENCE = 512  # a longer one keeps its whole document out
Row = list[int]


def build_mapping(
    documents: list[int],
    sizes: list[int],
    *,
    num_epochs: int,
    max_num_samples: int,
    max_seq_length: int,
    short_seq_prob: float,
    seed: int,
    min_num_sent: int,
) -> list[Row]:
    """Rows (first sentence, one past the last, target length)."""
    targets = target_lengths(max_seq_length, short_seq_prob, seed)

    def epoch() -> Iterator[Row]:
        for begin, end in pairwise(documents):
            if end - begin < min_num_sent or (end - begin > 1 and max(sizes[begin:end]) > LONG_SENTENCE):
                continue
            first, length, target = begin, 0, next(targets)
            for sentence in range(begin, end):
                length += sizes[sentence]
                count, remaining = sentence + 1 - first, end - sentence - 1
                if (length >= target and remaining > 1 and count >= min_num_sent) or remaining == 0:
                    yield [first, sentence + 1, target]
                    first, length, target = sentence + 1, 0, next(targets)

    return shuffled(repeated(epoch, num_epochs, max_num_samples), seed)


def build_blocks_mapping(
    documents: list[int],
    sizes: list[int],
    title_sizes: list[int],
    *,
    num_epochs: int,
    max_num_samples: int,
    max_seq_length: int,
    seed: int,
    use_one_sent_blocks: bool,
) -> list[Row]:
    """Rows (first sentence, one past the last, document, block)."""
    fewest = 1 if use_one_sent_blocks else 2

    def epoch() -> Iterator[Row]:
        block = 0
        for document, (begin, end) in enumerate(pairwise(documents)):
            if end - begin < fewest or max(sizes[begin:end]) > LONG_SENTENCE:
                continue
            first, length, target = begin, 0, max_seq_length - title_sizes[document]
            for sentence in range(begin, end):
                length += sizes[sentence]
                count, remaining = sentence + 1 - first, end - sentence - 1
                if (length >= target and remaining >= fewest and count >= fewest) or remaining == 0:
                    yield [first, sentence + 1, document, block]
                    first, length, block = sentence + 1, 0, block + 1

    return shuffled(repeated(epoch, num_epochs, max_num_samples), seed)


def build_sample_idx(
    sizes: list[int],
    document_idx: list[int],
    *,
    seq_length: int,
    num_epochs: int,
    tokens_per_epoch: int,
    drop_last_partial_sequence: bool,
    add_extra_token_to_sequence: int,
) -> list[Row]:
    """Rows (position in `document_idx`, offset)."""
    tokens = max(num_epochs * tokens_per_epoch - add_extra_token_to_sequence, 0)
    samples = tokens // seq_length if drop_last_partial_sequence else -(-tokens // seq_length)
    position, offset = 0, 0
    rows = [[position, offset]]
    for _ in range(samples):
        needed = seq_length + add_extra_token_to_sequence
        while (there := sizes[document_idx[position]] - offset) < needed and position + 1 < len(document_idx):
            needed -= there
            position, offset = position + 1, 0
        offset += min(needed, there) - add_extra_token_to_sequence
        rows.append([position, offset])
    return rows


def build_blending_indices(weights: list[float], size: int) -> tuple[list[int], list[int]]:
    """For each step the dataset that is furthest behind, the first of them among equals, and its sample."""
    drawn = [0] * len(weights)
    datasets, samples = [], []
    for step in range(size):
        behind = [weight * float(max(step, 1)) - float(count) for weight, count in zip(weights, drawn, strict=True)]
        dataset = behind.index(max(behind))
        datasets.append(dataset)
        samples.append(drawn[dataset])
        drawn[dataset] += 1
    return datasets, samples


def build_exhaustive_blending_indices(sizes: list[int]) -> tuple[list[int], list[int]]:
    """The same, with sizes as weights, until every dataset is used up."""
    total = sum(sizes)
    drawn = [0] * len(sizes)
    datasets, samples = [], []
    for step in range(total):
        behind = [
            size / total * float(max(step, 1)) - float(count) if count < size else -inf
            for size, count in zip(sizes, drawn, strict=True)
        ]
        dataset = behind.index(max(behind))
        datasets.append(dataset)
        samples.append(drawn[dataset])
        drawn[dataset] += 1
    return datasets, samples


def repeated(epoch: Callable[[], Iterator[Row]], num_epochs: int, max_num_samples: int) -> list[Row]:
    """The rows of as many epochs as are allowed. The limit on samples is looked at only where an epoch begins."""
    rows: list[Row] = []
    for _ in range(num_epochs):
        if len(rows) >= max_num_samples:
            break
        added = list(epoch())
        if not added:
            break  # and so would be every epoch after it
        rows += added
    return rows


def shuffled(rows: list[Row], seed: int) -> list[Row]:
    """From the last row to the second, each changes places with a row drawn from those up to itself."""
    words = words64(seed + 1)
    for last in range(len(rows) - 1, 0, -1):
        other = next(words) % (last + 1)
        rows[last], rows[other] = rows[other], rows[last]
    return rows


def target_lengths(max_seq_length: int, short_seq_prob: float, seed: int) -> Iterator[int]:
    """Target lengths without end: a short one about once in 1 / `short_seq_prob` words, none drawn when that is 0."""
    random = np.random.RandomState(seed)
    ratio = 0 if short_seq_prob == 0 else short_ratio(short_seq_prob)
    while True:
        if ratio == 0:
            yield max_seq_length
        else:
            word = int(random.randint(0, 1 << 32, dtype=np.uint32))  # a word of std::mt19937, untouched
            yield 2 + word % (max_seq_length - 1) if word % ratio == 0 else max_seq_length


def short_ratio(short_seq_prob: float) -> int:
    """1 / `short_seq_prob`, rounded with halves away from zero, as C++ rounds."""
    exact = 1.0 / short_seq_prob if short_seq_prob > 1e-300 else 1e300  # beyond any word in either case
    return floor(Fraction(exact) + Fraction(1, 2))


def words64(seed: int) -> Iterator[int]:
    """``std::mt19937_64``, as the C++ standard defines it."""
    mask = (1 << 64) - 1
    state = [seed & mask]
    for i in range(1, 312):
        state.append((6364136223846793005 * (state[-1] ^ (state[-1] >> 62)) + i) & mask)
    while True:
        for i in range(312):
            joined = (state[i] & 0xFFFFFFFF80000000) | (state[(i + 1) % 312] & 0x7FFFFFFF)
            state[i] = state[(i + 156) % 312] ^ (joined >> 1) ^ (0xB5026F5AA96619E9 if joined & 1 else 0)
            word = state[i]
            word ^= (word >> 29) & 0x5555555555555555
            word ^= (word << 17) & 0x71D67FFFEDA60000
            word ^= (word << 37) & 0xFFF7EEE000000000
            yield word ^ (word >> 43)
