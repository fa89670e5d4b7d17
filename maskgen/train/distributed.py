"""The ranks of a run: who they are, what they add up, how a model is spread over them, and how they end together.

torchrun's environment --World.start--> world --wrap--> DDP or FSDP2 module
a failing rank --its reason, through the store--> every other rank ends with it
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import nn

Tensors = dict[str, torch.Tensor]
MODES = ("ddp", "fsdp")
PRECISIONS = ("fp32", "bf16")


class World:
    """The ranks of this run and this one's device: ``with World.start() as world: ...``; alone without torchrun.

    Leaving the ``with`` block closes the world. When an exception leaves it on one rank, every other rank ends too:
    with a TrainError that says which rank failed and why, at its next or present collective.
    """

    rank: int
    size: int
    local_rank: int
    device: torch.device

    @classmethod
    def start(
        cls, device: str = "auto", *, timeout: timedelta = timedelta(minutes=30), init_method: str = "env://"
    ) -> "World":
        """Join the other ranks that torchrun's environment names (RANK, WORLD_SIZE, LOCAL_RANK...), or be alone."""
        raise NotImplementedError

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, the one that prints and writes."""
        raise NotImplementedError

    def sum(self, values: Tensors) -> Tensors:
        """Each tensor added up over all ranks, in one collective: floats as float64, whole numbers as int64.

        Every rank passes the same names and shapes. Device tensors stay on the device; nothing waits for it.
        """
        raise NotImplementedError

    def any(self, flag: bool) -> bool:
        """Whether it is true on any rank; on the CPU, so that the device is not waited for."""
        raise NotImplementedError

    def share(self, value: Any) -> Any:
        """Rank 0's value (small, picklable) on every rank."""
        raise NotImplementedError

    def gather(self, value: Any) -> list[Any] | None:
        """The values (small, picklable) of all ranks in order on rank 0, None on the others."""
        raise NotImplementedError

    def barrier(self) -> None:
        """Wait until every rank is here."""
        raise NotImplementedError

    def wrap(self, module: nn.Module, mode: str = "ddp", precision: str = "fp32") -> nn.Module:
        """`module` on this rank's device, with rank 0's weights, as DDP or FSDP2; alone: as it is, on the device.

        The losses have to come out of its ``forward``. `precision` "bf16" is for "fsdp": parameters are gathered and
        multiplied in bf16, gradients are added up and weights kept in fp32. With "ddp" it changes nothing: use autocast.
        """
        raise NotImplementedError

    @contextmanager
    def sync_gradients(self, module: nn.Module, on: bool) -> Iterator[None]:
        """Around forward *and* backward of one micro-batch: whether gradients are averaged over ranks after it."""
        raise NotImplementedError
        yield

    def clip_gradients(self, parameters: Iterable[nn.Parameter], largest: float | None) -> torch.Tensor:
        """The norm of all gradients over all ranks, a plain scalar on the device; scaled down to `largest` if given."""
        raise NotImplementedError

    def close(self) -> None:
        """Leave the other ranks."""

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside DDP; any other as it is."""
    raise NotImplementedError
