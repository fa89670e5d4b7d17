"""Checkpoints: a folder that exists is complete, and a damaged one is never used.

state --torch.save, digests--> .step-00000040.partial-*/ --fsync, rename--> step-00000040/{manifest.json, model.pt, ...}
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from maskgen.train.distributed import World


@dataclass(frozen=True)
class Checkpoint:
    """What ``load`` found: `state` as saved, this rank's own state or None where the number of ranks changed."""

    path: str
    step: int
    world_size: int
    notes: dict[str, Any]
    state: dict[str, Any]
    rank_state: Any


class Checkpoints:
    """The checkpoints in `folder`: the newest `keep` stay, and those of every `keep_every`-th step.

    `note` is called with a line for the user, such as that a damaged checkpoint was passed over; by default it is
    written to standard error.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        keep: int = 3,
        keep_every: int | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        raise NotImplementedError

    def save(
        self,
        step: int,
        state: Mapping[str, Any],
        *,
        world: World,
        rank_state: Any = None,
        notes: Mapping[str, Any] | None = None,
    ) -> str:
        """Write a checkpoint and thin the others out; the path, on every rank. Call it on all ranks.

        `state` is rank 0's, one file a key (``{"model": ..., "optimizer": ...}``: tensors, numbers, strings, lists
        and dicts of them); `rank_state` each rank's own; `notes` JSON for the manifest, readable without the rest.
        """
        raise NotImplementedError

    def latest(self, *, world: World) -> str | None:
        """The newest checkpoint whose files are what was written, the same on all ranks; damaged ones with a note."""
        raise NotImplementedError

    def load(self, path: str | os.PathLike[str], *, world: World, only: Iterable[str] | None = None) -> Checkpoint:
        """Read one, on all ranks, on the CPU; `only` some keys of the state. TrainError where it is damaged."""
        raise NotImplementedError


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest of a checkpoint: {"format", "step", "world_size", "notes", "files"}, checked; cheap."""
    raise NotImplementedError
