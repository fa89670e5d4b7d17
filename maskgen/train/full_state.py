"""Weights and optimizer states as whole tensors on the CPU, whatever the ranks and however they share them.

module, optimizer --on every rank--> dicts by parameter name (on rank 0) --on any number of ranks--> module, optimizer
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

Tensors = dict[str, torch.Tensor]


def model_state(module: nn.Module, *, keep: bool = True) -> Tensors:
    """Parameters and buffers by name, whole, on the CPU; tied ones once. Call it on all ranks; {} unless `keep`.

    Names are those of the plain module, without the prefixes of DDP and torch.compile. Tensors may be views of the
    weights: save or copy them before the next step.
    """
    raise NotImplementedError


def load_model_state(module: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Copy what ``model_state`` gave into `module`: plain, DDP or FSDP2, before or after ``world.wrap``."""
    raise NotImplementedError


def optimizer_state(module: nn.Module, optimizer: torch.optim.Optimizer, *, keep: bool = True) -> dict[str, Any]:
    """The moments by parameter name, whole, on the CPU. Call it on all ranks; {} unless `keep`.

    Learning rates, betas and the like are not part of it: they come from the settings.
    """
    raise NotImplementedError


def load_optimizer_state(module: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Restore what ``optimizer_state`` gave."""
    raise NotImplementedError


def generator_states(generators: Mapping[str, torch.Generator]) -> dict[str, Any]:
    """The states of these generators and of PyTorch's own (CPU and present CUDA device, which dropout uses)."""
    raise NotImplementedError


def load_generator_states(generators: Mapping[str, torch.Generator], states: Mapping[str, Any] | None) -> bool:
    """Restore them; False, with nothing changed, where there are none or they are of other devices or names."""
    raise NotImplementedError


def derived_seed(seed: int, *parts: int | str) -> int:
    """A seed that depends on all of these, such as (seed, "dropout", rank, step); for ranks that have no state."""
    raise NotImplementedError
