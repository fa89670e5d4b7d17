"""Tokens of finished shards that lie in the growing dataset alone, and their way back.

shard's .bin --appended--> PREFIX.bin.partial = assembled.KEY.bin in the work folder (two names of one file); then the
                           shard's own file goes away: the tokens are on the disk, and in memory, only once
after an interruption: assembled.KEY.bin --restore--> the shards' own files again, for whatever the next run does

The partial dataset loses its own name when a run fails; the name in the work folder goes with that folder. Where a
shard's tokens begin follows from the receipts before it, since shards are appended in the order of the plan.
"""

import os
from contextlib import suppress

from preprocess.errors import MaskgenError, os_failure
from preprocess.pipeline.plan import Plan
from preprocess.pipeline.shard_files import Receipt, read_receipt
from preprocess.pipeline.work_folder import WorkFolder, write_chunks

CHUNK = 1 << 20


def assembled_path(work: WorkFolder, key: int) -> str:
    """The name in the work folder of a dataset's tokens."""
    return work.file(f"assembled.{key}.bin")


def share_file(partial: str, work: WorkFolder, key: int) -> bool:
    """Give a partial dataset its second name; False where the file system cannot (the work folder is on another)."""
    try:
        os.link(partial, assembled_path(work, key))
    except OSError:
        return False
    return True


def restore(work: WorkFolder, plan: Plan, *, alone: bool) -> None:
    """Write the files that the receipts of an interrupted run name and that only the dataset has.

    What this run itself assembles goes into a new file, so that a finished dataset is never written to. `alone` says
    that no other process may need the old one.
    """
    paths = [assembled_path(work, key) for key in range(len(plan.options.json_keys))]
    paths = [path if os.path.exists(path) else "" for path in paths]
    if not any(paths):
        return
    offsets = [0] * len(paths)
    for number in range(len(plan.shards)):
        try:
            receipt = read_receipt(work, number, plan.digest)
        except MaskgenError:
            break  # so are all behind it: what was appended has a receipt, unless somebody took it away
        for key, path in enumerate(paths):
            if path:
                offsets[key] += _restore_file(work, receipt, key, path, offsets[key])
    if alone:
        for path in filter(None, paths):
            with suppress(FileNotFoundError):
                os.unlink(path)


def _restore_file(work: WorkFolder, receipt: Receipt, key: int, source: str, offset: int) -> int:
    facts = receipt.files[f"{key}.bin"]
    own = work.file(facts.name)
    try:
        if not os.path.exists(own) and os.path.getsize(source) >= offset + facts.bytes:
            with open(source, "rb", buffering=0) as file:
                places = range(offset, offset + facts.bytes, CHUNK)
                ends = offset + facts.bytes
                write_chunks(own, (os.pread(file.fileno(), min(CHUNK, ends - place), place) for place in places))
    except OSError as error:
        raise os_failure(source, "read it", error, "check the disk") from None
    return facts.bytes
