"""The folder of a run: one run at a time works in it, and it knows which step its model is of.

rank 0 --lock on OUTPUT/lock, gone with the process--> alone; exported.json, written last --> the step of model/
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from maskgen.train.checkpoints import Checkpoints
from maskgen.train.distributed import World
from maskgen.train.errors import TrainError
from preprocess.pipeline.work_folder import WorkFolder, write_file

EXPORTED = "exported.json"


@contextmanager
def alone_in(folder: str, world: World) -> Iterator[None]:
    """Keep other runs out of the folder, or raise where one is at work there; an empty folder does not stay."""
    if not world.is_main:
        yield
        return
    work = WorkFolder(folder)
    try:
        with work.lock():
            yield
    finally:
        work.remove_if_empty()


def latest_checkpoint(checkpoints: Checkpoints, world: World) -> str | None:
    """The one to go on from; None for a new run. One whose checkpoints are all damaged is an error, and no new run."""
    latest = checkpoints.latest(world=world)
    if latest is None and world.share(len(checkpoints.paths())):
        raise TrainError(
            f"{checkpoints.folder}: found damaged checkpoints alone, expected a whole one to go on from; put one back, "
            "or move the folder away to start anew"
        )
    return latest


def exported_step(folder: str) -> int | None:
    """The step that the model in the folder is of; None where there is no whole one."""
    try:
        with open(os.path.join(folder, EXPORTED), encoding="utf-8", errors="replace") as file:
            step = json.load(file)["step"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return step if type(step) is int and os.path.isdir(os.path.join(folder, "model")) else None


def note_exported(folder: str, step: int) -> None:
    """Say so, after the last file of the model."""
    write_file(os.path.join(folder, EXPORTED), json.dumps({"step": step}).encode() + b"\n")
