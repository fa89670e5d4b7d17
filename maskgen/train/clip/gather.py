"""Rows of all ranks on every rank, with gradients that go back to where the rows came from.

rows of this rank --all ranks say how many--> Ranks --padded, all_gather, padding off--> rows of all ranks in order
backward: the gradients of all ranks for these rows, added up
"""

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch import distributed as dist
from torch.nn.functional import pad

from maskgen.train.distributed import World


class Ranks(NamedTuple):
    """How many rows each rank has, the length of the longest text of all, and which rank this is."""

    sizes: list[int]
    longest: int
    rank: int

    @property
    def total(self) -> int:
        """Rows of all ranks."""
        return sum(self.sizes)

    @property
    def first(self) -> int:
        """Where the rows of this rank begin among all."""
        return sum(self.sizes[: self.rank])


def several() -> bool:
    """Whether this process is one of several ranks."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def ranks_of(rows: int, length: int, device: torch.device) -> Ranks:
    """Who has how many rows; all ranks have to be here."""
    if not several():
        return Ranks([rows], length, 0)
    own = torch.tensor([rows, length], device=device)
    found = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(found, own)
    pairs = torch.stack(found).tolist()
    return Ranks([pair[0] for pair in pairs], max(pair[1] for pair in pairs), dist.get_rank())


def gather(rows: Tensor, ranks: Ranks) -> Tensor:
    """The rows of all ranks, [total, ...], of those of this rank; differentiable where they are."""
    if len(ranks.sizes) == 1:
        return rows
    most = max(ranks.sizes)
    padded = pad(rows, (0, 0) * (rows.dim() - 1) + (0, most - len(rows))).contiguous()
    stacked = cast(Tensor, _AllGather.apply(padded))  # type: ignore[no-untyped-call]
    return torch.cat([stacked[rank, :size] for rank, size in enumerate(ranks.sizes)])


class _AllGather(torch.autograd.Function):
    """[...] of each rank to [ranks, ...] on all of them.

    Every rank computes a part of the loss of these rows, so that their gradient is the sum over ranks: a slice of this
    rank's alone would leave out what the rows are to the others.
    """

    @staticmethod
    def forward(_context: Any, own: Tensor) -> Tensor:
        found = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(found, own)
        return torch.stack(found)

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total[dist.get_rank()]


def mean_over_ranks(value: Tensor) -> Tensor:
    """`value`, which this rank differentiates, with the number that is the mean over ranks."""
    if not several():
        return value
    mean = value.detach().clone()
    dist.all_reduce(mean)
    return value + (mean / dist.get_world_size() - value.detach())


def sum_over_ranks(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each of them added up over all ranks."""
    if not several():
        return values
    device = next(iter(values.values())).device
    return World(rank=dist.get_rank(), size=dist.get_world_size(), device=device).sum(values)
