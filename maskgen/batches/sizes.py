"""How large global batches are: one size, or a ramp, as a function of the samples consumed before."""

import operator
from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from maskgen.batches.errors import BatchError

Steps = list[tuple[int, int]]
MOST_STEPS = 1 << 16


class BatchSizes:
    """Sizes of global batches: a number, or a list of (consumed samples, size from there on) that begins at 0.

    >>> sizes = BatchSizes([(0, 32), (1000, 64)])
    >>> sizes.at(0), sizes.at(999), sizes.at(1000), sizes.largest
    (32, 32, 64, 64)
    """

    def __init__(self, sizes: Any) -> None:
        if isinstance(sizes, BatchSizes):
            self.steps: Steps = sizes.steps
        elif isinstance(sizes, Iterable) and not isinstance(sizes, (str, bytes)):
            self.steps = [_checked_step(step, number) for number, step in enumerate(sizes)]
        else:
            self.steps = [(0, whole_number(sizes, "batch_size", 1))]
        if not self.steps or self.steps[0][0] != 0:
            raise BatchError(
                f"batch_size {sizes!r}: expected steps (consumed samples, size) of which the first begins at 0; add it"
            )
        self._starts = [start for start, _ in self.steps]
        for before, start in pairwise(self._starts):
            if start <= before:
                raise BatchError(
                    f"batch_size has a step at {start} samples after one at {before}; expected them in order; sort them"
                )
        self.largest = max(size for _, size in self.steps)

    def at(self, consumed: int) -> int:
        """The size of the batch that begins after so many samples."""
        return self.steps[bisect_right(self._starts, consumed) - 1][1]

    def __repr__(self) -> str:
        return f"BatchSizes({self.steps[0][1] if len(self.steps) == 1 else self.steps})"


def linear_ramp(start: int, end: int, increment: int, samples: int) -> Steps:
    """Steps from the size `start` to `end`, each larger by `increment`, spread over so many samples.

    The end is reached after `samples`, as with Megatron-LM's ``--rampup-batch-size START INCREMENT SAMPLES``.

    >>> linear_ramp(32, 128, 32, 3000)
    [(0, 32), (1000, 64), (2000, 96), (3000, 128)]
    """
    start, end = whole_number(start, "start", 1), whole_number(end, "end", 1)
    increment, samples = whole_number(increment, "increment", 1), whole_number(samples, "samples", 1)
    count, rest = divmod(end - start, increment)
    if count < 0 or rest or count > min(samples, MOST_STEPS):
        raise BatchError(
            f"a ramp from {start} to {end} by {increment} over {samples} samples; expected a difference that the "
            f"increment divides, in at most one step a sample and {MOST_STEPS} in all; correct it"
        )
    return [(-(-step * samples // max(count, 1)), start + step * increment) for step in range(count + 1)]


def whole_number(value: Any, name: str, least: int) -> int:
    """`value` as a Python integer, from `least` on."""
    try:
        number = -1 if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = -1
    if not least <= number < 2**62:
        raise BatchError(f"{name} is {value!r}; expected a whole number from {least} to 2^62 - 1; correct it")
    return number


def _checked_step(step: Any, number: int) -> tuple[int, int]:
    if not isinstance(step, (tuple, list)) or len(step) != 2:
        raise BatchError(f"batch_size[{number}] is {step!r}; expected (consumed samples, size); correct it")
    return whole_number(step[0], f"batch_size[{number}][0]", 0), whole_number(step[1], f"batch_size[{number}][1]", 1)
