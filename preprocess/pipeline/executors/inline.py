"""Shards one after the other in this process: for small corpora, which are done before a worker has started."""

from collections.abc import Callable, Iterator

from preprocess.errors import MaskgenError
from preprocess.pipeline.executors import Job, Place, ShardFailedError
from preprocess.pipeline.shard import Progress, run_shard


class InlineExecutor:
    """No workers at all."""

    ready_at: float | None = None

    def run(
        self,
        place: Place,
        jobs: Iterator[Job],
        on_progress: Callable[[Progress], None],
        on_finished: Callable[[int], None],
    ) -> None:
        """See Executor."""
        for job in jobs:
            try:
                run_shard(place.plan, job.number, place.work, place.tokenizer, limit=job.limit, report=on_progress)
            except (MaskgenError, OSError) as error:
                raise ShardFailedError(job.number, str(error)) from error
            on_finished(job.number)

    def close(self) -> None:
        """See Executor."""
