"""Where shards run. Every executor runs the same run_shard, so they differ in nothing but place.

An executor takes jobs one by one as places become free, tells of their progress, and raises ShardFailed for the first
shard, in the order of the plan, that fails: those before it are brought to their end first, so that the error does not
depend on which worker was faster.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from preprocess.errors import MaskgenError
from preprocess.pipeline.plan import Plan
from preprocess.pipeline.shard import Progress
from preprocess.pipeline.work_folder import WorkFolder
from preprocess.tokenization import Tokenizer


@dataclass(frozen=True)
class Job:
    """A shard to run, or only its first documents."""

    number: int
    limit: int | None = None


@dataclass(frozen=True)
class Place:
    """What a worker must know beside its jobs; a worker elsewhere loads plan and tokenizer from the work folder."""

    work: WorkFolder
    engine: str
    plan: Plan
    tokenizer: Tokenizer


class ShardFailedError(MaskgenError):
    """A shard that cannot be done, for a reason that the user can mend."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(number, message)
        self.number = number
        self.message = message

    def __str__(self) -> str:
        return self.message


class Executor(Protocol):
    """Runs jobs until there are no more."""

    ready_at: float | None  # time.monotonic() when the first worker had loaded everything

    def run(
        self,
        place: Place,
        jobs: Iterator[Job],
        on_progress: Callable[[Progress], None],
        on_finished: Callable[[int], None],
    ) -> None:
        """Run every job that `jobs` gives; `on_finished` is called for each shard that has its receipt."""

    def close(self) -> None:
        """End whatever was started; called however the run ended."""
