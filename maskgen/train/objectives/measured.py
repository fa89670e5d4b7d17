"""What a forward pass gives: sums, so that the mean is over all devices and parts of a batch, whatever their sizes.

loss = sum over terms of weight x sum / count, with counts that are known before the forward pass
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn


class Measured(NamedTuple):
    """Sums of the terms of a loss, with gradients, and sums of what is only looked at, as whole numbers."""

    sums: dict[str, Tensor]
    figures: dict[str, Tensor]

    def loss(self, weights: Mapping[str, float], counts: Mapping[str, Tensor]) -> Tensor:
        """The weighted mean; a term without anything to predict counts 0, and has gradients of 0."""
        terms = [weights[name] * (total / counts[name].clamp(min=1)) for name, total in self.sums.items()]
        return torch.stack(terms).sum()


class Objective(Protocol):
    """A module that the loop can train: MLM, Electra, MaskedDiffusion, or one of your own."""

    @property
    def weights(self) -> Mapping[str, float]:
        """What each term counts in the loss."""

    def counts(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """What the sums of `measure` are divided by; no forward pass is needed."""

    def measure(self, batch: Mapping[str, Any]) -> Measured:
        """Sums of the terms of a ready batch, and figures."""

    def summary(self, figures: Mapping[str, Tensor], counts: Mapping[str, Tensor]) -> dict[str, float]:
        """What to report, of figures and counts that were added up."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """As every module has them."""


def in_full(values: Tensor) -> Tensor:
    """Losses are computed in float32 at least, whatever autocast or a model in half precision says."""
    return values if values.dtype == torch.float64 else values.float()


def ratio(part: Tensor, whole: Tensor) -> float:
    """A share to report; NaN where there is nothing to have a share of."""
    count = float(whole)
    return float(part) / count if count else float("nan")
