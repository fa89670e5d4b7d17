"""What a report is asked for: datasets with weights, the samples of each, how much to look at."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

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
    found = [_parse(text) for text in texts]
    bare = [each.prefix for each in found if each.weight is None]
    if bare and len(bare) < len(found):
        raise ReportError(f"{bare[0]} has no weight, and others have; expected PREFIX=WEIGHT for all, or none")
    return found


def _parse(text: str) -> Dataset:
    prefix, equals, weight = text.rpartition("=")
    try:
        number = float(weight) if equals and prefix else None
    except ValueError:  # a name with = in it
        number = None
    if number is None:
        return Dataset(text)
    if not 0 < number < math.inf:
        raise ReportError(f"{text}; expected a weight above 0; correct it")
    return Dataset(prefix, number)
