"""Random numbers that are a function of where they are used: no generator, no state, no order.

(seed, epoch, index) --mix--> key of a sample; (key, stream, number) --mix--> a 64-bit word --> uniform, integer, order

This is the promise that samples of all schemes but Megatron-LM's rest on. All arithmetic is modulo 2^64, mix is
that of `maskgen/hashing.py`:

    key(seed, epoch, index) = mix(mix(mix(seed) ^ epoch) ^ index)
    word(key, stream, number) = mix(key + 0x9E3779B97F4A7C15 * (stream * 2^32 + number + 1))

mix is the finaliser of SplitMix64, so the words of one stream are SplitMix64's. From a word w are made

    a uniform double in [0, 1):  (w >> 11) * 2^-53
    an integer in [0, n):        ((w >> 32) * n) >> 32, for n <= 2^32; no value's share differs from 1/n by 2^-32
    a rank of place p:           (w & ~(2^20 - 1)) | p: unequal numbers in a random order, of at most 2^20 places
"""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.hashing import GAMMA, Words, mix, word
from maskgen.vocab import Ids, Table

PLACE_BITS = 20
MOST_PLACES = 1 << PLACE_BITS
PLACE = np.uint64(MOST_PLACES - 1)
NEVER = np.uint64(2**64 - 1)  # the rank of a place that is not to be chosen: above every rank of a place below the last


class Draws:
    """What the samples at `indices` draw in an epoch: one key a sample, any number of streams."""

    def __init__(self, seed: int, epoch: int, indices: Ids) -> None:
        self.seed, self.epoch, self.indices = seed, epoch, indices
        self.keys = mix(mix(mix(word(seed)) ^ word(epoch)) ^ indices.astype(np.uint64))

    def words(self, stream: int, count: int) -> Words:
        """Words 0 to count - 1 of a stream: a row a sample."""
        return mix(self.keys[:, None] + _offsets(stream, count))

    def words_at(self, stream: int, samples: npt.NDArray[Any], numbers: npt.NDArray[Any]) -> Words:
        """Word `numbers[i]` of sample `samples[i]`, for each i."""
        places = numbers.astype(np.uint64) + np.uint64((stream << 32) + 1)
        places *= np.uint64(GAMMA)
        places += self.keys[samples]
        return mix(places)

    def ranks(self, stream: int, among: Table) -> Words:
        """The ranks of the places `among` [samples, places], and NEVER elsewhere."""
        count = among.shape[1]
        words = self.words(stream, count)
        words &= ~PLACE
        words |= np.arange(count, dtype=np.uint64)
        return np.where(among, words, NEVER)


def uniforms(words: Words) -> npt.NDArray[np.float64]:
    """Doubles in [0, 1)."""
    doubles: npt.NDArray[np.float64] = np.multiply(words >> np.uint64(11), 2.0**-53, dtype=np.float64)
    return doubles


def below(words: Words, bounds: Any) -> Ids:
    """Integers in [0, bounds)."""
    product = (words >> np.uint64(32)) * np.asarray(bounds, np.uint64)
    return (product >> np.uint64(32)).astype(np.int64)


def lowest(ranks: Words, counts: Ids) -> Table:
    """The places of the `counts[i]` lowest ranks of row i: so many places chosen without replacement."""
    if ranks.shape[1] == 0:
        return np.zeros(ranks.shape, np.bool_)
    last = np.take_along_axis(np.sort(ranks, axis=1), np.maximum(counts, 1)[:, None] - 1, axis=1)
    return (ranks <= last) & (counts > 0)[:, None]


def in_order(ranks: Words, count: int) -> list[int]:
    """The places of the `count` lowest ranks of one row, lowest first."""
    places: list[int] = (np.sort(ranks)[:count] & PLACE).tolist()
    return places


@lru_cache(maxsize=64)
def _offsets(stream: int, count: int) -> Words:
    numbers = np.arange(count, dtype=np.uint64) + np.uint64((stream << 32) + 1)
    offsets = numbers * np.uint64(GAMMA)
    offsets.flags.writeable = False
    return offsets
