"""Bad records, kept for people to look at: one JSON line each, with the place, the reason and the bytes.

shard --lines counted from the start of its piece--> NUMBER.quarantine --lines counted in the file--> one file
"""

import json
import os
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from preprocess.corpora.errors import Problem
from preprocess.errors import os_failure
from preprocess.pipeline.plan import Plan
from preprocess.pipeline.work_folder import WorkFolder, dump

if TYPE_CHECKING:
    from preprocess.pipeline.shard_files import Receipt


def quarantine_line(file: str, piece: int, problem: Problem) -> bytes:
    """A bad record as a shard keeps it: with the piece from whose start its line counts."""
    facts: dict[str, Any] = {
        "piece": piece,
        "path": file,
        "line": problem.line + 1,
        "offset": problem.offset,
        "reason": problem.reason,
        "found": problem.found,
        "bytes": problem.size,
    }
    try:
        facts["raw"] = problem.raw.decode()
    except UnicodeDecodeError:
        facts["raw_base64"] = b64encode(problem.raw).decode()
    return dump(facts) + b"\n"


def write_quarantine(path: str, plan: Plan, work: WorkFolder, receipts: "Sequence[Receipt]") -> str | None:
    """All bad records of a run, in the order of the corpus; None when there are none."""
    own = f"{path}.partial"
    kept = 0
    try:
        with open(own, "wb") as out:
            for line in _lines(plan, work, receipts):
                out.write(line)
                kept += 1
            out.flush()
            os.fsync(out.fileno())
        if kept:
            os.replace(own, path)
            return path
        for left in (own, path):  # an older run under the same name may have had some
            with suppress(FileNotFoundError):
                os.unlink(left)
    except OSError as error:
        raise os_failure(path, "write it", error, "check the folder") from None
    return None


def _lines(plan: Plan, work: WorkFolder, receipts: "Sequence[Receipt]") -> Iterator[bytes]:
    lines_before = [0] * len(plan.files)
    for receipt in receipts:
        starts = []
        for piece, counts in zip(plan.shards[receipt.number], receipt.pieces, strict=True):
            starts.append(lines_before[piece.file])
            lines_before[piece.file] += counts.lines
        if "quarantine" not in receipt.files:  # made while bad records were errors, so it met none
            continue
        with open(work.file(receipt.files["quarantine"].name), "rb") as file:
            for line in file:
                facts = json.loads(line)
                facts["line"] += starts[facts.pop("piece")]
                yield dump(facts) + b"\n"
