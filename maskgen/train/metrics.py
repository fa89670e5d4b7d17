"""What a run says about itself: sums of many steps, made into figures and kept as JSON lines (and for TensorBoard).

Measured of each micro-batch --Tally.add--> sums on the device --Tally.figures: added up over ranks--> one record
"""

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from maskgen.train.distributed import World
from maskgen.train.errors import TrainError
from maskgen.train.objectives import Measured, Objective
from preprocess.errors import os_failure
from preprocess.pipeline.work_folder import write_file

Tensors = dict[str, torch.Tensor]
Record = dict[str, Any]
COUNT, SUM, FIGURE = "count:", "sum:", "figure:"


class Tally:
    """Sums of losses, their denominators, and figures, of all micro-batches since they were last asked for."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self._sums: Tensors = {}

    def add(self, counts: Tensors, measured: Measured) -> None:
        """Add what one micro-batch measured; nothing waits for the device."""
        for kind, values in ((COUNT, counts), (SUM, measured.sums), (FIGURE, measured.figures)):
            for name, value in values.items():
                key, value = kind + name, _wide(value.detach())
                self._sums[key] = self._sums[key] + value if key in self._sums else value

    def figures(self, world: World) -> dict[str, float | None]:
        """Losses and shares over all ranks; then start anew. Every rank calls it."""
        sums, self._sums = world.sum(self._sums), {}
        counts, totals, figures = (_part(sums, kind) for kind in (COUNT, SUM, FIGURE))
        weights = self.objective.weights
        losses = {name: float(totals[name]) / max(1.0, float(counts[name])) for name in weights}
        shown: dict[str, float | None] = {"loss": sum(weights[name] * loss for name, loss in losses.items())}
        if len(losses) > 1:
            shown |= {f"{name}_loss": loss for name, loss in losses.items()}
        shares = self.objective.summary(figures, counts)
        return shown | {name: None if math.isnan(share) else share for name, share in shares.items()}


def _wide(value: torch.Tensor) -> torch.Tensor:
    return value.to(torch.float64 if value.is_floating_point() else torch.int64)


def _part(sums: Tensors, kind: str) -> Tensors:
    return {name.removeprefix(kind): value.cpu() for name, value in sums.items() if name.startswith(kind)}


class Clock:
    """How long steps take, how long they wait for data, and how much they do."""

    def __init__(self) -> None:
        self._start_interval()

    def _start_interval(self) -> None:
        self.began, self.waited, self.idle = time.perf_counter(), 0.0, 0.0
        self.steps, self.tokens, self.places, self.flops = 0, 0, 0, 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around what waits for data."""
        began = time.perf_counter()
        yield
        self.waited += time.perf_counter() - began

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Around what is no training."""
        began = time.perf_counter()
        yield
        self.idle += time.perf_counter() - began

    def count(self, batch: Tensors, flops: float) -> None:
        """One step is done."""
        self.steps, self.flops = self.steps + 1, self.flops + flops
        self.tokens, self.places = self.tokens + int(batch["lengths"].sum()), self.places + batch["text"].numel()

    def interval(self, world: World) -> dict[str, float]:
        """Figures since the last call, of all ranks."""
        waited = torch.zeros(world.size, dtype=torch.float64)
        waited[world.rank] = self.waited  # the others wait for the last one
        counted = world.sum(
            {"tokens": torch.tensor(self.tokens), "places": torch.tensor(self.places), "waited": waited}
        )
        tokens, places = float(counted["tokens"]), float(counted["places"])
        seconds = max(time.perf_counter() - self.began - self.idle, 1e-9)
        figures = {
            "tokens_per_second": tokens / seconds,
            "seconds_per_step": seconds / max(1, self.steps),
            "data_wait": float(counted["waited"].max()) / seconds,
            "packing_efficiency": tokens / max(places, 1.0),
            "flops_per_second": self.flops / seconds,
        }
        self._start_interval()
        return figures


class MetricsLog:
    """metrics.jsonl of a run, and its TensorBoard folder where that is asked for."""

    def __init__(self, folder: str, *, step: int, tensorboard: bool) -> None:
        """Continue after `step`: what a killed run wrote beyond it goes."""
        self._path = os.path.join(folder, "metrics.jsonl")
        self._forget_after(step)
        self._board = _board(os.path.join(folder, "tensorboard"), step) if tensorboard else None
        self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115 - closed by close

    def _forget_after(self, step: int) -> None:
        with suppress(FileNotFoundError):
            with open(self._path, encoding="utf-8", errors="replace") as file:  # a power cut leaves anything
                lines = file.readlines()
            kept = [line for line in lines if line.endswith("\n") and 0 <= _step_of(line) <= step]
            if len(kept) < len(lines):
                write_file(self._path, "".join(kept).encode())

    def write(self, record: Record) -> None:
        """Append a record, at once."""
        try:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        except OSError as error:
            raise TrainError(str(os_failure(self._path, "write a record", error, "check the disk"))) from None
        if self._board is not None:
            for name, value in record.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{record['kind']}/{name}", value, record["step"])

    def close(self) -> None:
        """Close the files."""
        with suppress(OSError):  # of a record that could not be written, which was said then
            self._file.close()
        if self._board is not None:
            self._board.close()


def _step_of(line: str) -> int:
    """The step of a record; -1 of a line that was cut off."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return -1


def _board(folder: str, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise TrainError("--tensorboard needs the package tensorboard; install it, or leave the flag out") from None
    return SummaryWriter(folder, purge_step=step + 1)
