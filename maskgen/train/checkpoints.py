"""Checkpoints: a folder that exists is complete, and a damaged one is never used.

state --torch.save, digests--> .partial-step-00000040-*/ --fsync, rename--> step-00000040/{manifest.json, model.pt, ...}

A run that is killed at any moment leaves the checkpoints that were complete before, and perhaps a ``.partial-`` folder,
which the next one to be saved removes. Of checkpoints for the same step, the older one moves to ``step-N.replaced``
until the newer one is in its place, so that there is one at any time.
"""

import os
import pickle
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from maskgen.train.checkpoint_files import (
    FORMAT,
    check_value,
    flush_folder,
    read_manifest,
    verify,
    write_manifest,
    write_state,
)
from maskgen.train.distributed import World
from maskgen.train.errors import TrainError
from preprocess.errors import os_failure

__all__ = ["Checkpoint", "Checkpoints", "read_manifest"]

NAME = re.compile(r"step-(\d{8,})(\.replaced)?")
KEY = re.compile(r"[a-z][a-z0-9_]*")
PARTIAL, ABANDONED, RANKS = ".partial-", "abandoned-", "ranks"


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
    written to standard error. One run at a time saves into a folder.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        keep: int = 3,
        keep_every: int | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        if keep < 1 or (keep_every is not None and keep_every < 1):
            raise TrainError(f"keep {keep} checkpoints, every {keep_every} steps; expected at least 1; correct it")
        self.folder = os.fspath(folder)
        self.keep, self.keep_every = keep, keep_every
        self._whole: set[str] = set()  # verified by this process
        self._note = note or (lambda line: print(line, file=sys.stderr, flush=True))

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

        Checkpoints of later steps, of a run that was left when an older one was loaded, are renamed ``abandoned-``.
        """
        for key, value in state.items():
            if not KEY.fullmatch(key) or key == RANKS:
                raise TrainError(
                    f"a state with the key {key!r}; expected a word of small letters, but {RANKS!r}; rename it"
                )
            check_value(value, key)
        check_value(rank_state, "rank_state")
        rank_states = world.gather(rank_state)
        error: TrainError | None = None
        if world.is_main:
            try:
                self._save(step, {**state, RANKS: rank_states}, dict(notes or {}), world.size)
            except TrainError as failure:
                error = failure
        if message := world.share(None if error is None else str(error)):
            raise error or TrainError(message)
        return self._path(step)

    def latest(self, *, world: World) -> str | None:
        """The newest checkpoint whose files are what was written, the same on all ranks.

        Damaged ones are passed over, with a note; None where there is no other.
        """
        return world.share(self._latest() if world.is_main else None)  # type: ignore[no-any-return]

    def load(self, path: str | os.PathLike[str], *, world: World, only: Iterable[str] | None = None) -> Checkpoint:
        """Read one, on all ranks, on the CPU; `only` some keys of the state. TrainError where it is damaged."""
        path = os.fspath(path)
        manifest = read_manifest(path)
        saved = {name.removesuffix(".pt") for name in manifest["files"]} - {RANKS}
        names = saved if only is None else set(only)
        if missing := sorted(names - saved):
            raise TrainError(f"{path}: has no {missing[0]}; expected one of {', '.join(sorted(saved))}; name another")
        same = manifest["world_size"] == world.size
        error: TrainError | None = None
        if world.is_main:  # once for all ranks: they read the same files
            try:
                if path not in self._whole:
                    verify(path, manifest, [f"{name}.pt" for name in (*names, RANKS)])
            except TrainError as failure:
                error = failure
        if message := world.share(None if error is None else str(error)):
            raise error or TrainError(message)
        state = {name: _read(path, name) for name in sorted(names)}
        rank_state = _read(path, RANKS)[world.rank] if same else None
        return Checkpoint(path, manifest["step"], manifest["world_size"], manifest["notes"], state, rank_state)

    def paths(self) -> list[str]:
        """The checkpoints of the folder, oldest first, whole or damaged."""
        return [os.path.join(self.folder, name) for _, _, name in self._found()]

    def _path(self, step: int) -> str:
        return os.path.join(self.folder, f"step-{step:08d}")

    def _found(self) -> list[tuple[int, bool, str]]:
        """(step, whether it is in its final place, name), oldest first."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _failed(self.folder, "list the checkpoints", error) from None
        matches = [match for name in names if (match := NAME.fullmatch(name))]
        return sorted((int(match[1]), match[2] is None, match[0]) for match in matches)

    def _latest(self) -> str | None:
        for path in reversed(self.paths()):
            try:
                manifest = read_manifest(path)
                verify(path, manifest, manifest["files"])
            except TrainError as error:
                self._note(f"{error}; it is passed over")
            else:
                self._whole.add(path)
                return path
        return None

    def _save(self, step: int, state: Mapping[str, Any], notes: dict[str, Any], world_size: int) -> None:
        path = self._path(step)
        partial = os.path.join(self.folder, f"{PARTIAL}step-{step:08d}-{os.urandom(4).hex()}")
        try:
            if not os.path.isdir(self.folder):
                os.makedirs(self.folder)
                flush_folder(os.path.dirname(os.path.abspath(self.folder)))
            self._remove_leftovers()
            os.mkdir(partial)
            files = {
                f"{key}.pt": write_state(os.path.join(partial, f"{key}.pt"), value) for key, value in state.items()
            }
            manifest = {"format": FORMAT, "step": step, "world_size": world_size, "notes": notes, "files": files}
            write_manifest(partial, manifest)
            flush_folder(partial)
            self._whole.clear()
            self._set_aside(step, path)
            os.rename(partial, path)
            flush_folder(self.folder)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise _failed(path, "save a checkpoint", error) from None
        self._thin()

    def _remove_leftovers(self) -> None:
        """What runs that were killed while they saved have left."""
        for name in os.listdir(self.folder):
            if name.startswith(PARTIAL):
                shutil.rmtree(os.path.join(self.folder, name), ignore_errors=True)

    def _set_aside(self, step: int, path: str) -> None:
        """Make way for a checkpoint of this step: its namesake, and later ones of a run that was left."""
        for found, final, name in self._found():
            old = os.path.join(self.folder, name)
            if found > step:
                abandoned = os.path.join(self.folder, f"{ABANDONED}{name}")
                shutil.rmtree(abandoned, ignore_errors=True)
                os.rename(old, abandoned)
                self._note(f"{old}: of a run that was left; now {ABANDONED}{name}")
            elif found == step and final:
                shutil.rmtree(f"{path}.replaced", ignore_errors=True)
                os.rename(path, f"{path}.replaced")

    def _thin(self) -> None:
        """Remove what is neither among the newest nor to be kept for good; a failure to do so can wait."""
        found = self._found()
        steps = sorted({number for number, _, _ in found})
        kept = {number for number in steps if self.keep_every and number % self.keep_every == 0}
        kept.update(steps[-self.keep :])
        placed = {number for number, final, _ in found if final}
        for number, final, name in found:
            if number not in kept or (number in placed and not final):
                gone = os.path.join(self.folder, f"{PARTIAL}{name}-{os.urandom(4).hex()}")
                with suppress(OSError):  # renamed first: half of a checkpoint never has a checkpoint's name
                    os.rename(os.path.join(self.folder, name), gone)
                shutil.rmtree(gone, ignore_errors=True)


def _read(path: str, name: str) -> Any:
    file = os.path.join(path, f"{name}.pt")
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise _failed(file, "read it", error) from None
    except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:120]
        raise TrainError(
            f"{file}: found something else than a saved state ({reason}); use another checkpoint"
        ) from None


def _failed(path: str, attempt: str, error: OSError) -> TrainError:
    return TrainError(str(os_failure(path, attempt, error, "check the disk and the network")))
