"""What a run says about itself: sums of many steps, made into figures and kept as JSON lines (and for TensorBoard).

Measured of each micro-batch --Tally.add--> sums on the device --Tally.figures: added up over ranks--> one record
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch

from maskgen.train.distributed import World
from maskgen.train.errors import TrainError
from preprocess.pipeline.work_folder import write_file

Tensors = dict[str, torch.Tensor]
Record = dict[str, Any]
COUNT, SUM, FIGURE = "count:", "sum:", "figure:"


class Tally:
    """Sums of losses, denominators and figures since the last `figures`; nothing waits for the device until then."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self.weights = dict(weights)
        self._sums: Tensors = {}

    def add(self, counts: Mapping[str, torch.Tensor], sums: Mapping[str, torch.Tensor], more: Tensors) -> None:
        """Add what one micro-batch measured."""
        for kind, values in ((COUNT, counts), (SUM, sums), (FIGURE, more)):
            for name, value in values.items():
                key, value = kind + name, _wide(value.detach())
                self._sums[key] = self._sums[key] + value if key in self._sums else value

    def figures(self, world: World) -> dict[str, float]:
        """The figures of all ranks together; then start anew. Every rank calls it."""
        sums, self._sums = world.sum(self._sums), {}
        totals = {name: value.cpu() for name, value in sums.items()}
        return figures_of(totals, self.weights)


def _wide(value: torch.Tensor) -> torch.Tensor:
    return value.to(torch.float64 if value.is_floating_point() else torch.int64)


def figures_of(sums: Mapping[str, torch.Tensor], weights: Mapping[str, float]) -> dict[str, float]:
    """Losses, accuracies and what else the sums allow: loss = sum of weight x sum / count."""

    def share(part: str, whole: str) -> float:
        return _ratio(float(sums[part]), float(sums[whole]))

    losses = {name: share(SUM + name, COUNT + name) for name in weights}
    figures = {"loss": sum(weight * losses[name] for name, weight in weights.items())}
    if len(weights) > 1:
        figures |= {f"{name}_loss": loss for name, loss in losses.items()}
    for name in weights:
        if FIGURE + f"{name}_correct" in sums:
            figures[f"{name}_accuracy"] = share(FIGURE + f"{name}_correct", COUNT + name)
    if FIGURE + "disc_positive" in sums:
        hits = FIGURE + "disc_true_positive"
        figures["disc_precision"] = share(hits, FIGURE + "disc_predicted_positive")
        figures["disc_recall"] = share(hits, FIGURE + "disc_positive")
        figures["disc_auc"] = area(*(sums[FIGURE + f"disc_histogram_{kind}"] for kind in ("replaced", "original")))
    return figures


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def area(positive: torch.Tensor, negative: torch.Tensor) -> float:
    """The area under the ROC curve, from histograms of the score of both kinds; ties count half. 0.5 without both."""
    positive, negative = positive.double(), negative.double()
    below = negative.cumsum(0) - negative
    pairs = float(positive.sum() * negative.sum())
    return float((positive * (below + negative / 2)).sum()) / pairs if pairs else 0.5


class MetricsLog:
    """metrics.jsonl of a run, and its TensorBoard folder where that is asked for."""

    def __init__(self, folder: str, *, step: int, tensorboard: bool) -> None:
        """Continue after `step`: what a killed run wrote beyond it goes."""
        self._path = os.path.join(folder, "metrics.jsonl")
        self._forget_after(step)
        self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115 - closed by close
        self._board = _board(os.path.join(folder, "tensorboard"), step) if tensorboard else None

    def _forget_after(self, step: int) -> None:
        with suppress(FileNotFoundError):
            with open(self._path, encoding="utf-8") as file:
                lines = file.readlines()
            kept = [line for line in lines if 0 <= _step_of(line) <= step]
            if len(kept) < len(lines):
                write_file(self._path, "".join(kept).encode())

    def write(self, record: Record) -> None:
        """Append a record, at once."""
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in record.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{record['kind']}/{name}", value, record["step"])

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def _step_of(line: str) -> int:
    """The step of a record; -1 of a line that was cut off."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return -1


def _board(folder: str, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise TrainError("--tensorboard needs the package tensorboard; install it, or leave the flag out") from None
    return SummaryWriter(folder, purge_step=step + 1)
