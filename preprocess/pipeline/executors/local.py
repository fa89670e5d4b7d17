"""Worker processes on this machine.

    jobs --a line to the standard input of a worker--> worker.py --lines on its standard output--> progress, receipts

Each worker has one job running and one waiting, so that none waits for this process. A worker that ends before it was
told to ends the run, with what is known of why.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import IO, Any

from preprocess.pipeline.executors import Job, Place, ShardFailedError
from preprocess.pipeline.shard import Progress

LAST_WORDS = 2000  # characters of what a dead worker wrote to standard error
# Nothing here multiplies matrices, but numpy's BLAS starts a thread for each core, and each of them looks for work for
# a while before it sleeps: 0.05 s of a core for each worker, while all of them load what they need.
NO_BLAS_THREADS = {"OPENBLAS_NUM_THREADS": "1"}


class LocalExecutor:
    """Starts its workers at once: they import what they need while this process makes the plan."""

    def __init__(self, workers: int) -> None:
        self.ready_at: float | None = None
        self._workers: list[_Worker] = []
        try:
            for _ in range(workers):
                self._workers.append(_Worker())
        except BaseException:
            self.close()
            raise

    def run(
        self,
        place: Place,
        jobs: Iterator[Job],
        on_progress: Callable[[Progress], None],
        on_finished: Callable[[int], None],
    ) -> None:
        """See Executor."""
        failures: dict[int, str] = {}
        with selectors.DefaultSelector() as selector:
            for worker in self._workers:
                worker.say({"work": place.work.path, "engine": place.engine})
                selector.register(worker.answers, selectors.EVENT_READ, worker)
            for _ in range(2):
                for worker in self._workers:
                    self._give(worker, jobs)
            while any(worker.jobs for worker in self._workers):
                for key, _ in selector.select():
                    worker = key.data
                    for answer in worker.read():
                        if "ready" in answer:
                            self.ready_at = self.ready_at or time.monotonic()
                            continue
                        self._take(worker, answer, failures, on_progress, on_finished)
                        if not failures and len(worker.jobs) < 2:
                            self._give(worker, jobs)
                if failures and not self._still_before(min(failures)):
                    break
        if failures:
            first = min(failures)
            raise ShardFailedError(first, failures[first])

    def close(self) -> None:
        """See Executor."""
        for worker in self._workers:
            worker.close()
        self._workers.clear()

    @staticmethod
    def _give(worker: "_Worker", jobs: Iterator[Job]) -> None:
        job = next(jobs, None)
        if job is not None:
            worker.jobs.append(job.number)
            worker.say({"shard": job.number, "limit": job.limit})

    @staticmethod
    def _take(
        worker: "_Worker",
        answer: dict[str, Any],
        failures: dict[int, str],
        on_progress: Callable[[Progress], None],
        on_finished: Callable[[int], None],
    ) -> None:
        number = answer["shard"]
        if "error" in answer:
            if not answer["expected"]:
                raise RuntimeError(f"a worker met an error that nobody expected, in shard {number}:\n{answer['error']}")
            worker.jobs.remove(number)
            failures[number] = answer["error"]
        elif "done" in answer:
            worker.jobs.remove(number)
            on_finished(number)
        else:
            on_progress(
                Progress(**{"number": number, **{key: answer[key] for key in ("bytes", "documents", "tokens")}})
            )

    def _still_before(self, number: int) -> bool:
        """Whether a shard before `number` is being worked on."""
        return any(job < number for worker in self._workers for job in worker.jobs)


class _Worker:
    """One process, and the jobs that it has not finished."""

    def __init__(self) -> None:
        self.jobs: deque[int] = deque()
        self._partial = b""
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        # With the import path of this process: it must run the same code, and nothing of the current folder.
        start = f"import sys; sys.path[:] = {sys.path!r}; from preprocess.pipeline.worker import main; main()"
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            env=os.environ | NO_BLAS_THREADS,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("a worker without pipes")
        self._requests, self.answers = self._process.stdin, self._process.stdout

    def say(self, facts: dict[str, Any]) -> None:
        try:
            self._requests.write(json.dumps(facts).encode() + b"\n")
        except BrokenPipeError:
            raise self._death() from None

    def read(self) -> list[dict[str, Any]]:
        """The answers that have come; called when there is something to read."""
        data = os.read(self.answers.fileno(), 1 << 16)
        if not data:
            raise self._death()
        *lines, self._partial = (self._partial + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """End it: at once, since whatever it was doing will be done again."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for file in (self._requests, self.answers, self._errors):
            file.close()

    def _death(self) -> ShardFailedError:
        code = self._process.wait()
        number = self.jobs[0] if self.jobs else -1
        doing = f"while it worked on shard {number}" if self.jobs else "while it had nothing to do"
        self._errors.seek(0)
        words = " ".join(self._errors.read()[-LAST_WORDS:].decode(errors="replace").split())
        said = f", saying: {words}" if words else ""
        hint = ""
        if code < 0:
            name = signal.Signals(-code).name
            how = f"was ended by {name}"
            if name == "SIGKILL":
                hint = "; if nobody did that, the system was probably out of memory: use fewer --workers"
        else:
            how = f"ended with code {code}"
        return ShardFailedError(
            number,
            f"worker process {self._process.pid} {how} {doing}{said}{hint}; run the same command again to continue",
        )
