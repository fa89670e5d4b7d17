"""Validation: the same samples with the same masks every time, so that its losses can be compared along a run.

fixed batches of this rank, held in memory --slices, without gradients--> sums of all ranks --> figures
"""

import math

import torch
from torch import nn

from maskgen.train.data import Tensors, TrainingData, micro_batches
from maskgen.train.distributed import World
from maskgen.train.metrics import Record, Tally
from maskgen.train.setup import Measuring, autocast
from maskgen.train.sharding import unwrapped


class Evaluation:
    """Measures a module on the validation samples."""

    def __init__(self, data: TrainingData, world: World, micro_batch: int, precision: str) -> None:
        self.seed, self.world, self.precision = data.settings.seed, world, precision
        self.batches: list[Tensors] = data.fixed_batches(world.rank, world.size)
        rows = max((len(batch["text"]) for batch in self.batches), default=0)
        # Ranks may differ by a row; sharded modules need as many calls on each, so the slices differ instead.
        largest = 0 if data.validation is None else math.ceil(data.evaluated(world.size) / world.size)
        calls = 1 if data.settings.objective == "clip" else max(1, math.ceil(largest / micro_batch))
        self.rows = max(1, math.ceil(rows / calls))
        self.calls = calls

    @torch.no_grad()
    def __call__(self, module: nn.Module, step: int) -> Record | None:
        """The figures after a step; None where there is nothing to validate on. Every rank calls it."""
        if not self.batches:
            return None
        inner, device = unwrapped(module), self.world.device
        tally = Tally(measuring(inner).objective)
        generator = torch.Generator(device).manual_seed(self.seed)
        inner.eval()
        for batch in self.batches:
            done = 0
            for micro in micro_batches(batch, self.rows, device):
                with autocast(self.precision, device):
                    measured = inner(micro, generator)
                tally.add(tally.objective.counts(micro), measured)
                done += 1
            for _ in range(self.calls - done):  # so that the others do not wait
                with autocast(self.precision, device):
                    inner(micro, generator)
        inner.train()
        return {"kind": "validation", "step": step, **tally.figures(self.world)}


def measuring(module: nn.Module) -> Measuring:
    """`module`, which is one, wrapped or not."""
    inner = unwrapped(module)
    if not isinstance(inner, Measuring):
        raise TypeError(f"a {type(inner).__name__}; expected a Measuring")
    return inner
