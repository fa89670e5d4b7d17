"""Counts that add up: what a shard saw, and what all of them saw together."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

EXACT = 1 << 16  # lengths below this are counted one by one
STEPS = 1 << 10  # above it, in steps of a thousandth
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


class LengthHistogram:
    """How many documents have how many tokens, in constant memory: percentiles of shards together stay possible.

    Lengths are exact below 65,536 tokens; above, the smallest length of a step of about 0.1 %.
    """

    def __init__(self, counts: dict[int, int] | None = None) -> None:
        self._exact = np.zeros(EXACT, np.int64)
        self._coarse: dict[int, int] = {}
        self.merge(counts or {})

    def add(self, lengths: npt.NDArray[np.integer[Any]]) -> None:
        """Count these lengths."""
        short = lengths[lengths < EXACT]
        if len(short):
            counted = np.bincount(short)
            self._exact[: len(counted)] += counted
        if len(short) < len(lengths):
            for length in lengths[lengths >= EXACT].tolist():
                self._add_long(length, 1)

    def merge(self, counts: dict[int, int]) -> None:
        """Take in what another one's `counts` gave."""
        lengths = np.fromiter(counts.keys(), np.int64, len(counts))
        short = lengths < EXACT
        self._exact[lengths[short]] += np.fromiter(counts.values(), np.int64, len(counts))[short]
        for length in lengths[~short].tolist():
            self._add_long(length, counts[length])

    def _add_long(self, length: int, count: int) -> None:
        step = 1 << (length.bit_length() - STEPS.bit_length())
        self._coarse[length // step * step] = self._coarse.get(length // step * step, 0) + count

    def counts(self) -> dict[int, int]:
        """Every length that occurred, ascending, and how often."""
        lengths = np.flatnonzero(self._exact)
        exact = zip(lengths.tolist(), self._exact[lengths].tolist(), strict=True)
        return {**dict(exact), **dict(sorted(self._coarse.items()))}

    def percentiles(self) -> dict[str, int]:
        """The smallest length that so many per cent of the documents do not exceed."""
        counts = self.counts()
        if not counts:
            return {}
        lengths = list(counts)
        reached = np.cumsum(list(counts.values()))
        places = np.searchsorted(reached, [-(-reached[-1] * percent // 100) for percent in PERCENTILES])
        found = {f"p{percent}": lengths[place] for percent, place in zip(PERCENTILES, places, strict=True)}
        return {"min": lengths[0], **found, "max": lengths[-1]}


def add_counts(all_counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Sums by name, in the order of the names."""
    total: dict[str, int] = {}
    for counts in all_counts:
        for name, count in counts.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))
