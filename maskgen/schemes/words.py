"""Words of rows, and hashes of runs of them: how n-grams are found in text without a look at every one of them.

tokens --among, begins--> words --contributions of tokens--> hash a word --> hash of 1, 2, 3, ... words from each on

Arithmetic is modulo 2^64, with mix and GAMMA of hashing.py:

    hash of a word = sum of mix(token + GAMMA * (its place in the word + 1))
    hash of words w0 w1 ... = sum of mix(hash of wk + GAMMA * (k + 1))
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.hashing import GAMMA, Words, mix
from maskgen.vocab import Ids, Table


@dataclass(frozen=True)
class WordRuns:
    """Words of flattened text: from where to where, their hashes, and whether the next word follows without a gap."""

    starts: Ids
    ends: Ids
    hashes: Words
    followed: Table

    @classmethod
    def of(cls, tokens: Ids, among: Table, begins: Table, row_starts: Ids) -> "WordRuns":
        """The words of flat arrays; no word and no run of words goes over the start of a row."""
        fresh = begins.copy()
        fresh[row_starts[row_starts < len(fresh)]] = True
        fresh &= among
        edges = np.append(np.flatnonzero(fresh | ~among), len(tokens))
        starts = np.flatnonzero(fresh)
        ends = edges[np.searchsorted(edges, starts, side="right")]
        places = np.arange(len(tokens))
        offsets = places - np.maximum.accumulate(np.where(fresh, places, 0))
        parts = mix(tokens.astype(np.uint64) + (offsets + 1).astype(np.uint64) * np.uint64(GAMMA))
        sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(parts, dtype=np.uint64)))
        row = np.searchsorted(row_starts, starts, side="right")
        followed = np.zeros(len(starts), np.bool_)
        followed[:-1] = (ends[:-1] == starts[1:]) & (row[:-1] == row[1:])
        return cls(starts, ends, sums[ends] - sums[starts], followed)

    def runs(self, most: int) -> list[tuple[Words, Table]]:
        """For each number of words from 1 to `most`: the hash of so many from each word on, and whether they exist."""
        count = len(self.starts)
        hashes, exist = np.zeros(count, np.uint64), np.ones(count, np.bool_)
        found = []
        for size in range(1, most + 1):
            shift = size - 1
            last = np.zeros(count, np.uint64)
            last[: max(count - shift, 0)] = self.hashes[shift:]
            hashes = hashes + mix(last + np.array([GAMMA * size % 2**64], np.uint64))
            if shift:
                before = np.zeros(count, np.bool_)
                before[: max(count - shift + 1, 0)] = self.followed[shift - 1 :]
                exist = exist & before
            found.append((hashes, exist))
        return found


def lookup(hashes: Words, known: Words) -> npt.NDArray[Any]:
    """The index of each hash in the sorted array `known`, or -1."""
    if not len(known):
        return np.full(len(hashes), -1)
    places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    return np.where(known[places] == hashes, places, -1)
