"""The order of samples: for each draw of a training run the dataset, its epoch and the index of the sample there.

draw number --tree of the blend--> dataset, its own draw number --length--> epoch, position --permutation--> index

Every draw is a function of its number, the lengths, the weights and the seed: nothing is stored, and any draw can be
asked for first. A permutation of [0, n) is a Feistel network over a rectangle of a x b >= n cells; results outside of
[0, n) go through it again. With a = ceil(sqrt(n)), b = ceil(n / a), all arithmetic modulo 2^64, and
mix of `maskgen/hashing.py`:

    key = mix(mix(mix(mix(seed) ^ 0x6F72646572) ^ epoch) ^ dataset)
    step(t, x, m) = ((mix(key + 0x9E3779B97F4A7C15 * (t * 2^32 + x + 1)) >> 32) * m) >> 32
    l, r = x div b, x mod b;  for t = 0 ... 15:  l = (l + step(t, r, a)) mod a  where t is even,
                                                 r = (r + step(t, l, b)) mod b  where it is odd;  l * b + r

This is a promise: `reference.py` says the same in plain Python, and VERSION changes when it does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from maskgen.batches.tree import BlendTree
from maskgen.hashing import GAMMA, Words, mix, word

VERSION = 1
ROUNDS = 16  # permutations of six things are uniform as far as 100,000 of them show; 8 rounds would do for thousands
DOMAIN = 0x6F72646572  # keeps these words apart from those that samples draw under the same seed
BLOCK = 1 << 14  # draws looked up at once: numpy's overhead disappears, and the first batch waits for 5 ms

Ids = npt.NDArray[np.int64]
HALF = np.uint64(32)


@dataclass(frozen=True)
class Draws:
    """For each of a run of draws: the number of the dataset, the epoch of that dataset, and the index in it."""

    datasets: Ids
    epochs: Ids
    indices: Ids

    def __len__(self) -> int:
        return len(self.indices)

    def part(self, first: int, last: int) -> "Draws":
        """Draws `first` to `last` of these."""
        return Draws(self.datasets[first:last], self.epochs[first:last], self.indices[first:last])


class Order:
    """The endless order in which samples of some datasets are drawn."""

    def __init__(self, lengths: Sequence[int], *, seed: int, shuffle: bool, tree: BlendTree | None = None) -> None:
        self.lengths: Words = np.array(lengths, np.uint64)
        self.seed, self.shuffle, self.tree = seed, shuffle, tree
        roots = [math.isqrt(length - 1) + 1 if length else 1 for length in lengths]
        self._heights: Words = np.array(roots, np.uint64)
        self._widths: Words = np.array(
            [-(-length // root) for length, root in zip(lengths, roots, strict=True)], np.uint64
        )
        self._key: Words = mix(mix(word(seed)) ^ np.uint64(DOMAIN))
        self._block: tuple[int, Draws] | None = None

    def draws(self, first: int, last: int) -> Draws:
        """Draws `first` to `last` of the run."""
        parts = []
        while first < last:
            number, offset = divmod(first, BLOCK)
            block = self._of_block(number)
            taken = min(last - first, BLOCK - offset)
            parts.append(block.part(offset, offset + taken))
            first += taken
        if len(parts) == 1:
            return parts[0]
        none = [np.empty(0, np.int64)]
        return Draws(
            np.concatenate([part.datasets for part in parts] or none),
            np.concatenate([part.epochs for part in parts] or none),
            np.concatenate([part.indices for part in parts] or none),
        )

    def _of_block(self, number: int) -> Draws:
        known = self._block  # one read, so that another thread may replace it at any time
        if known is None or known[0] != number:
            known = self._block = number, self.at(number * BLOCK + np.arange(BLOCK, dtype=np.uint64))
        return known[1]

    def at(self, numbers: Words) -> Draws:
        """The draws with these numbers, in any order."""
        if self.tree is None:
            datasets = np.zeros(len(numbers), np.int64)
        else:
            datasets, numbers = self.tree.locate(numbers)
        epochs, positions = np.divmod(numbers, self.lengths[datasets])
        if self.shuffle:
            keys = mix(mix(self._key ^ epochs) ^ datasets.astype(np.uint64))
            sizes = self.lengths[datasets], self._heights[datasets], self._widths[datasets]
            positions = permuted(positions, keys, *sizes)
        return Draws(datasets, epochs.astype(np.int64), positions.astype(np.int64))

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_block": None}


def permuted(positions: Words, keys: Words, lengths: Words, heights: Words, widths: Words) -> Words:
    """The image of each position under the permutation of its key and length."""
    result = _through_network(positions, keys, heights, widths)
    outside = np.flatnonzero(result >= lengths)
    while len(outside):
        result[outside] = _through_network(result[outside], keys[outside], heights[outside], widths[outside])
        outside = outside[result[outside] >= lengths[outside]]
    return result


def _through_network(positions: Words, keys: Words, heights: Words, widths: Words) -> Words:
    left, right = np.divmod(positions, widths)
    for turn in range(ROUNDS):
        moved, fixed, size = (left, right, heights) if turn % 2 == 0 else (right, left, widths)
        words = fixed + np.uint64((turn << 32) + 1)
        words *= np.uint64(GAMMA)
        words += keys
        steps = mix(words)
        steps >>= HALF
        steps *= size
        steps >>= HALF
        moved += steps
        np.subtract(moved, size, out=moved, where=moved >= size)
    left *= widths
    left += right
    return left
