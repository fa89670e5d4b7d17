"""Which parameters decay, and the optimizers that update them.

module --parameter_groups--> decaying, not decaying (each trainable parameter once) --build_optimizer--> optimizer
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

Group = dict[str, Any]


def parameter_groups(module: nn.Module, weight_decay: float) -> list[Group]:
    """The trainable parameters as optimizer groups: matrices and embeddings decay; biases, norms and vectors do not.

    Each trainable parameter is in one group exactly once, however many names it has.
    """
    raise NotImplementedError


def check_groups(module: nn.Module, groups: Iterable[Mapping[str, Any]]) -> None:
    """Refuse groups that lack a trainable parameter of `module`, have one twice, or have one of something else."""
    raise NotImplementedError


def build_optimizer(
    module: nn.Module,
    name: str = "adamw",
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.98),
    eps: float = 1e-6,
    weight_decay: float = 0.01,
    fused: bool | None = None,
) -> torch.optim.Optimizer:
    """The optimizer "adamw" or "stable-adamw" over ``parameter_groups``; build it after ``world.wrap``."""
    raise NotImplementedError


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Use `lr` in every group from the next step on."""
    raise NotImplementedError


class StableAdamW(torch.optim.Optimizer):
    """AdamW whose step shrinks, tensor by tensor, where gradients outgrow their second moment (arXiv 2304.13013)."""
