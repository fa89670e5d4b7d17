"""Shards as Ray Core tasks, on the cluster that RAY_ADDRESS names or on this machine alone.

    job --names of the work folder and the engine, a number--> task: run_shard --seconds, message--> on_finished

Only names travel: the plan, the inputs and the shards' files lie where every node can reach them under the same path.
(Not Ray Data: its blocks would put the tokens into the object store, and in no lasting order.)
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from preprocess.errors import MaskgenError
from preprocess.pipeline.executors import Job, Place, ShardFailedError
from preprocess.pipeline.shard import Progress

ADDRESS = "RAY_ADDRESS"
USAGE = "RAY_USAGE_STATS_ENABLED"
OBJECT_STORE_BYTES = 80 << 20  # of an instance of our own: about the least there is, since nothing is put into it
LAST_WORDS = 500  # characters of what Ray says about a worker that was lost


class RayExecutor:
    """One task a shard, as many at once as there are workers."""

    def __init__(self, workers: int) -> None:
        try:
            import ray
        except ImportError:
            raise MaskgenError(
                "--executor ray: found no package ray, expected it; pip install 'maskgen[ray]', or use --executor local"
            ) from None
        self._ray: Any = ray
        self.ready_at: float | None = None
        self._workers = workers
        self._started = not ray.is_initialized()
        if self._started:
            start(ray, workers)

    def run(
        self,
        place: Place,
        jobs: Iterator[Job],
        on_progress: Callable[[Progress], None],  # noqa: ARG002 - tasks tell nothing before their end
        on_finished: Callable[[int], None],
    ) -> None:
        """See Executor."""
        # A shard that fails would fail again, and a node that is lost is better told than hidden.
        task = self._ray.remote(num_cpus=1, max_retries=0)(run_task)
        running: dict[Any, Job] = {}
        failures: dict[int, str] = {}
        try:
            while True:
                while not failures and len(running) < self._workers and (job := next(jobs, None)) is not None:
                    running[task.remote(place.work.path, place.engine, job.number, job.limit)] = job
                # Those before a failure are brought to their end, since one of them may fail too.
                if not running or (failures and min(failures) < min(job.number for job in running.values())):
                    break
                done, _ = self._ray.wait(list(running), num_returns=1)
                for reference in done:
                    job = running.pop(reference)
                    failure = self._outcome(reference, job.number)
                    if failure is None:
                        on_finished(job.number)
                    else:
                        failures[job.number] = failure
        finally:
            for reference in running:
                with suppress(Exception):  # what is wrong with the cluster has been said
                    self._ray.cancel(reference, force=True)
        if failures:
            raise ShardFailedError(min(failures), failures[min(failures)])

    def close(self) -> None:
        """See Executor."""
        if self._started:
            self._ray.shutdown()

    def _outcome(self, reference: Any, number: int) -> str | None:
        """Wait for a task, and say what went wrong, if anything."""
        try:
            seconds, message = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError:
            raise  # an error that nobody expected: with its traceback
        except self._ray.exceptions.RayError as error:
            return (
                f"a Ray worker was lost while it worked on shard {number}: {in_short(error)}; "
                "run the same command again to continue"
            )
        self.ready_at = self.ready_at or time.monotonic() - seconds
        failure: str | None = message
        return failure


def start(ray: Any, workers: int) -> None:
    """Join the cluster that the environment names, or start an instance of our own."""
    address = os.environ.get(ADDRESS) or "local"
    settings: dict[str, Any] = {"address": address, "log_to_driver": False, "configure_logging": False}
    if address == "local":
        settings |= {"num_cpus": workers, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    try:
        with quiet(usage=address != "local"):
            ray.init(**settings)
    except Exception as error:  # each way of not reaching a cluster has its own type
        found = f"no cluster ({in_short(error)})"
        raise MaskgenError(f"--executor ray: found {found}, expected one at {address}; check {ADDRESS}") from error


def in_short(error: Exception) -> str:
    """What Ray says, in one line of limited length."""
    words = " ".join(str(error).split())
    return words if len(words) <= LAST_WORDS else words[:LAST_WORDS] + " ..."


@contextmanager
def quiet(*, usage: bool) -> Iterator[None]:
    """Without Ray's remarks on how it starts; an instance that is started now sends its usage to nobody."""
    logger = logging.getLogger("ray")
    level, variable = logger.level, os.environ.get(USAGE)
    logger.setLevel(logging.ERROR)
    if not usage:
        os.environ[USAGE] = "0"
    try:
        yield
    finally:
        logger.setLevel(level)
        if not usage:
            os.environ.pop(USAGE)
            if variable is not None:
                os.environ[USAGE] = variable


_loaded: dict[tuple[str, str, int], Any] = {}  # one entry: what the last task of this process has used


def run_task(folder: str, engine: str, number: int, limit: int | None) -> tuple[float, str | None]:
    """One shard, in a process of Ray's: its seconds, and the message of an expected error."""
    from preprocess.pipeline.shard import run_shard
    from preprocess.pipeline.work_folder import WorkFolder
    from preprocess.pipeline.worker import load_place

    began = time.monotonic()
    try:
        work = WorkFolder(folder)
        key = (folder, engine, os.stat(work.plan_path).st_mtime_ns)
        if key not in _loaded:
            _loaded.clear()
            _loaded[key] = load_place(work, engine)
        plan, tokenizer = _loaded[key]
        began = time.monotonic()
        run_shard(plan, number, work, tokenizer, limit=limit)
    except (MaskgenError, OSError) as error:
        return time.monotonic() - began, str(error)
    return time.monotonic() - began, None
