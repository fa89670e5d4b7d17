"""Learning rates and masking rates as pure functions of where a run is, so that nothing of them has to be saved."""

from collections.abc import Callable
from dataclasses import dataclass

KINDS = ("linear", "cosine", "wsd", "constant")


@dataclass(frozen=True)
class LearningRate:
    """The learning rate of each update: up to `peak` over `warmup` updates, then as `kind` says; checked when made.

    `final` is a share of the peak. `decay` is for "wsd" alone: how many updates it goes down at the end, by default a
    tenth of `steps`.
    """

    kind: str
    peak: float
    steps: int
    warmup: int = 0
    decay: int | None = None
    final: float = 0.0

    def at(self, step: int) -> float:
        """The rate of update number `step`, which begin at 0; `steps` and later: the final rate."""
        raise NotImplementedError


@dataclass(frozen=True)
class Ramp:
    """A masking rate that goes from `first` to `last` in a straight line; both between 0 and 1."""

    first: float
    last: float

    @classmethod
    def parse(cls, text: str) -> "Ramp":
        """``"0.3:0.15"``, or one number for a rate that stays."""
        raise NotImplementedError

    def at(self, share: float) -> float:
        """The rate when this share (0 to 1) of the run is behind."""
        raise NotImplementedError

    def over(self, total: int) -> Callable[[int], float] | float:
        """The `rate` of a BatchSource: a function of consumed samples, of `total`; the number where it stays."""
        raise NotImplementedError
