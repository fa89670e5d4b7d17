"""Which part of the work is ours: said by hand, or read from the environment of a Slurm job array.

environment --> share (i, n): the shards i, i + n, i + 2n ...      --> tasks.json in the work folder: how they count
shards without a receipt, tasks.json --> which tasks to run again, in the numbers that their user knows
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress

from preprocess.errors import MaskgenError
from preprocess.pipeline.work_folder import ResumeError, WorkFolder, dump, write_file

TASKS = "tasks.json"


def share_of_work(
    spoken: str | None, executor: str, finish: bool, environment: Mapping[str, str] = os.environ
) -> tuple[int, int] | None:
    """(i, n) for the shards i, i + n, i + 2n ...; None for all of them and the datasets."""
    if spoken is not None:
        if finish:
            raise MaskgenError("--shard: found --finish beside it, expected one of them; finish in a run of its own")
        return parse_share(spoken)
    if executor != "slurm" or finish:
        return None
    return slurm_share(environment)


def parse_share(text: str) -> tuple[int, int]:
    """From ``3/16``."""
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise MaskgenError(f"--shard: found {text!r}, expected I/N with I from 0 to N - 1, such as 0/16; correct it")
    return int(index), int(count)


def slurm_share(environment: Mapping[str, str]) -> tuple[int, int]:
    """Of a task of a job array, whatever numbers the array has: --array=0-15, 1-16, 10-100:10."""
    first, step, count, task = _array(environment)
    return (task - first) // step, count


def remember_share(
    work: WorkFolder, executor: str, share: tuple[int, int], environment: Mapping[str, str] = os.environ
) -> None:
    """Keep how the tasks are counted, for `missing_words`; each task of an array writes the same."""
    facts = {"count": share[1]}
    if executor == "slurm":
        with suppress(MaskgenError):
            first, step, count, task = _array(environment)
            if share == ((task - first) // step, count):  # else it was said by hand
                facts |= {"first": first, "step": step}
    write_file(work.file(TASKS), dump(facts))


def missing_words(work: WorkFolder, shards: int, missing: Sequence[int]) -> str:
    """The error for --finish while shards are missing, with the tasks that did not make them."""
    found = f"{work.path}: found {len(missing)} of {shards} shards missing ({listed(missing)}), expected none"
    try:
        with open(work.file(TASKS), "rb") as file:
            facts = json.loads(file.read())
        tasks = sorted({number % facts["count"] for number in missing})
    except (OSError, ValueError, KeyError, TypeError):
        return f"{found}; run the tasks first, or the command without --finish"
    if "first" in facts:
        numbers = [facts["first"] + task * facts["step"] for task in tasks]
        return f"{found}; submit the array again, or of it the tasks {listed(numbers)}: what is done is kept"
    parts = [f"{task}/{facts['count']}" for task in tasks]
    return f"{found}; run again --shard {listed(parts)}"


def refuse_other_work(work: WorkFolder) -> None:
    """Raise when there is unfinished work to be thrown away: one task of several must not do that."""
    if os.path.exists(work.plan_path):
        raise ResumeError(
            f"{work.path}: found unfinished work that was made otherwise, expected none, since tasks that run at once "
            "cannot throw it away; remove that folder and submit them again"
        )


def listed(things: Sequence[object]) -> str:
    """The first of them, in words."""
    return ", ".join(map(str, things[:10])) + (f" and {len(things) - 10} more" if len(things) > 10 else "")


def _array(environment: Mapping[str, str]) -> tuple[int, int, int, int]:
    """First number, step and count of a Slurm job array, and this task's number."""
    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX")
    missing = [name for name in names if not environment.get(name, "").isdecimal()]
    if missing:
        raise MaskgenError(
            f"--executor slurm: found no number in {', '.join(missing)}, expected the environment of a job array; "
            "submit it with sbatch --array=0-15, or say the part with --shard 0/16, and run --finish when all are done"
        )
    task, count, first, last = (int(environment[name]) for name in names)
    step = max(1, (last - first) // (count - 1)) if count > 1 else 1
    if not first <= task <= last or (task - first) % step or last != first + (count - 1) * step:
        raise MaskgenError(
            f"--executor slurm: found the array task {task} of {count} from {first} to {last}, expected evenly spaced "
            "numbers; submit all of the array (what is done is kept), or say the part with --shard"
        )
    return first, step, count, task
