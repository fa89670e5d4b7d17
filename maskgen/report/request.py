"""What a report is asked for: datasets with weights, the samples of each, how much to look at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from maskgen.batches.weights import parse_weighted
from maskgen.report.looking import Look
from maskgen.samples.opening import SampleChoice
from preprocess.errors import MaskgenError


class ReportError(MaskgenError, ValueError):
    """A report that cannot be made as it was asked for."""


@dataclass(frozen=True)
class Dataset:
    """A dataset and its share of a blend; None: in proportion to its samples."""

    prefix: str
    weight: float | None = None


@dataclass(frozen=True)
class Request:
    """Everything that a report depends on besides the files."""

    datasets: Sequence[Dataset]
    tokenizer: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    choice: Callable[[str], SampleChoice] | None = None  # of a prefix; None: no samples
    look: Look = field(default_factory=Look)
    draws: int | None = None  # of a blend; its number of samples
    threads: int = 1
    history: str | None = None  # a file of maskgen predict --history
    title: str = ""
    date: str = ""  # shown as it is; nothing else in a report tells the time


def parse_datasets(texts: Sequence[str]) -> list[Dataset]:
    """``PREFIX`` or ``PREFIX=WEIGHT`` each, and weights for all of them or for none."""
    return [Dataset(prefix, weight) for prefix, weight in parse_weighted(texts, ReportError)]
