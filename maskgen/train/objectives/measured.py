"""What a forward pass gives: sums, so that the mean is over all devices and parts of a batch, whatever their sizes.

loss = sum over terms of weight x sum / count, with counts that are known before the forward pass
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class Measured(NamedTuple):
    """Sums of the terms of a loss, with gradients, and sums of what is only looked at, as whole numbers."""

    sums: dict[str, Tensor]
    figures: dict[str, Tensor]

    def loss(self, weights: Mapping[str, float], counts: Mapping[str, Tensor]) -> Tensor:
        """The weighted mean; a term without anything to predict counts 0, and has gradients of 0."""
        terms = [weights[name] * (total / counts[name].clamp(min=1)) for name, total in self.sums.items()]
        return torch.stack(terms).sum()


def in_full(values: Tensor) -> Tensor:
    """Losses are computed in float32 at least, whatever autocast or a model in half precision says."""
    return values if values.dtype == torch.float64 else values.float()


def ratio(part: Tensor, whole: Tensor) -> float:
    """A share to report; NaN where there is nothing to have a share of."""
    count = float(whole)
    return float(part) / count if count else float("nan")
