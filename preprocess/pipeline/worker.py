"""A worker process of the local executor: reads jobs from standard input, answers on standard output, a JSON line each.

    {"work": FOLDER, "engine": NAME}    -> {"ready": true}
    {"shard": N, "limit": null}         -> {"shard": N, "bytes": ..., "documents": ..., "tokens": ...} now and then,
                                           at last {"shard": N, "done": true}
                                           or {"shard": N, "error": MESSAGE, "expected": true}
The end of standard input is the end of the worker, even in the middle of a shard: it is how a parent that was killed
lets its workers know.
"""

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from typing import Any, TextIO

from preprocess.errors import MaskgenError
from preprocess.pipeline.plan import Plan
from preprocess.pipeline.shard import Progress, run_shard
from preprocess.pipeline.work_folder import WorkFolder
from preprocess.tokenization import Tokenizer

REPORT_EVERY = 0.2  # seconds


def main() -> None:
    """Serve one parent until it closes our standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    answers = _take_standard_output()
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    place = requests.get()
    work = WorkFolder(place["work"])
    try:
        plan, tokenizer = load_place(work, place["engine"])
    except (MaskgenError, OSError) as error:
        job = requests.get()
        _say(answers, {"shard": job["shard"], "error": str(error), "expected": True})
        return
    _say(answers, {"ready": True})
    while True:
        job = requests.get()
        try:
            serve(answers, plan, tokenizer, work, job)
        except (MaskgenError, OSError) as error:
            _say(answers, {"shard": job["shard"], "error": str(error), "expected": True})
        except Exception:
            _say(answers, {"shard": job["shard"], "error": traceback.format_exc(), "expected": False})


def load_place(work: WorkFolder, engine: str) -> tuple[Plan, Tokenizer]:
    """The plan in a work folder, and the tokenizer that it names."""
    plan = work.load_plan()
    if plan is None:
        raise MaskgenError(f"{work.plan_path}: found no plan, expected one; run the same command again")
    tokenizer = plan.tokenizer.load(engine, plan.options)
    if tokenizer.digest != plan.tokenizer_facts["sha256"]:
        raise MaskgenError(
            f"{tokenizer.path}: found another tokenizer than the plan was made with, expected the same all along; "
            "put it back and run the same command again"
        )
    return plan, tokenizer


def serve(answers: TextIO, plan: Plan, tokenizer: Tokenizer, work: WorkFolder, job: dict[str, Any]) -> None:
    """Run one shard and tell how it goes."""
    last = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= REPORT_EVERY:
            last = time.monotonic()
            _say(
                answers,
                {
                    "shard": progress.number,
                    "bytes": progress.bytes,
                    "documents": progress.documents,
                    "tokens": progress.tokens,
                },
            )

    run_shard(plan, job["shard"], work, tokenizer, limit=job["limit"], report=report)
    _say(answers, {"shard": job["shard"], "done": True})


def _take_standard_output() -> TextIO:
    """Standard output for answers alone: what a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    return answers


def _listen(requests: "queue.SimpleQueue[dict[str, Any]]") -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(0)


def _say(answers: TextIO, facts: dict[str, Any]) -> None:
    try:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()
    except BrokenPipeError:  # the parent is gone
        os._exit(0)
