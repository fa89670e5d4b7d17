"""What a masking is, checked once: the options that every engine reads.

The distribution of n-gram lengths is computed here, by numpy, and handed to both engines: its last bits depend on the
order in which numpy adds.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

STYLES = ("bert", "t5")
MOST_NGRAMS = 1 << 16
IDS = (-(1 << 31), (1 << 31) - 1)
INTEGERS = {"cls_id": IDS, "sep_id": IDS, "mask_id": IDS, "max_ngrams": (1, MOST_NGRAMS)}


@lru_cache(maxsize=64)
def ngram_cumulative(max_ngrams: int, favor_longer: bool) -> npt.NDArray[np.float64]:
    """The cumulative distribution of the length of an n-gram, p(n) proportional to 1/n, as ``choice`` computes it."""
    probabilities: npt.NDArray[np.float64] = 1.0 / np.arange(1, max_ngrams + 1)
    probabilities /= probabilities.sum(keepdims=True)
    if favor_longer:
        probabilities = probabilities[::-1]
    probabilities = probabilities / probabilities.sum(keepdims=True)
    cumulative: npt.NDArray[np.float64] = probabilities.cumsum()
    cumulative /= cumulative[-1]
    cumulative.flags.writeable = False
    return cumulative


@dataclass(frozen=True)
class MaskingSettings:
    """Megatron-LM's options of ``create_masked_lm_predictions``, without what differs from call to call."""

    masked_lm_prob: float
    cls_id: int
    sep_id: int
    mask_id: int
    max_ngrams: int = 3
    do_whole_word_mask: bool = True
    favor_longer_ngram: bool = False
    do_permutation: bool = False
    geometric_dist: bool = False
    masking_style: str = "bert"

    def __post_init__(self) -> None:
        # Numbers of numpy become Python's: a share in 32 bits is another budget in each place that multiplies by it.
        share = as_number(self.masked_lm_prob)
        if not 0 <= share <= 1:
            raise ValueError(f"masked_lm_prob is {self.masked_lm_prob!r}; expected a share from 0 to 1")
        object.__setattr__(self, "masked_lm_prob", share)
        for name, least, most in (
            ("cls_id", *IDS),
            ("sep_id", *IDS),
            ("mask_id", *IDS),
            ("max_ngrams", 1, MOST_NGRAMS),
        ):
            value = getattr(self, name)
            number = index(value) if hasattr(value, "__index__") else None
            if number is None or not least <= number <= most:
                raise ValueError(f"{name} is {value!r}; expected an integer from {least} to {most}")
            object.__setattr__(self, name, number)
        if self.masking_style not in STYLES:
            raise ValueError(f"masking_style is {self.masking_style!r}; expected one of {', '.join(STYLES)}")

    @property
    def cumulative(self) -> npt.NDArray[np.float64]:
        """The cumulative distribution of the length of an n-gram."""
        return ngram_cumulative(self.max_ngrams, self.favor_longer_ngram)


def as_number(value: Any) -> float:
    """`value` as a Python float; NaN where it is no number. A text is none, though float() would read it."""
    if isinstance(value, (str, bytes)):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def budget_of(length: int, masked_lm_prob: float, max_predictions: float) -> float:
    """How many of so many tokens to mask: a share of them, at least one, at most `max_predictions` (not floored)."""
    if math.isnan(as_number(max_predictions)):
        raise ValueError(f"max_predictions_per_seq is {max_predictions!r}; expected a number")
    return min(max_predictions, max(1, round(length * masked_lm_prob)))
