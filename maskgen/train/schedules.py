"""Learning rates and masking rates as pure functions of where a run is, so that nothing of them has to be saved."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from maskgen.train.errors import TrainError

KINDS = ("linear", "cosine", "wsd", "constant")


@dataclass(frozen=True)
class LearningRate:
    """The learning rate of each update: up to `peak` over `warmup` updates, then as `kind` says; checked when made.

    Update number `warmup` (they begin at 0) is the first after the warmup, number `steps` would be the first with the
    final rate; a share x of the way between:

    - "linear": a straight line.
    - "cosine": half a cosine, 1/2 (1 + cos(pi x)).
    - "wsd" (warmup, stable, decay): the peak until `decay` updates before the end, then 1 - sqrt(x) over those. A run
      that is made longer goes on from a checkpoint before its decay as if it had been so from the start.
    - "constant": the peak, for ever.

    `final` is a share of the peak. `decay` is for "wsd" alone, by default a tenth of `steps`.

    >>> rate = LearningRate("linear", 1.0, steps=10, warmup=2)
    >>> [rate.at(step) for step in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """

    kind: str
    peak: float
    steps: int
    warmup: int = 0
    decay: int | None = None
    final: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise TrainError(f"learning-rate schedule {self.kind!r}; expected one of {', '.join(KINDS)}; name one")
        if not (0 < self.peak < math.inf):
            raise TrainError(f"peak learning rate {self.peak!r}; expected a number above 0, such as 1e-4; correct it")
        if self.steps < 1:
            raise TrainError(f"a schedule over {self.steps} steps; expected at least 1; correct it")
        if self.decay is not None and self.kind != "wsd":
            raise TrainError(f"decay {self.decay} with the schedule {self.kind!r}; it belongs to 'wsd'; leave it out")
        if self.final and self.kind == "constant":
            raise TrainError(f"final {self.final} with the schedule 'constant', which ends at its peak; leave it out")
        if not 0 <= self.final <= 1:
            raise TrainError(
                f"final learning rate {self.final!r} of the peak; expected a share from 0 to 1; correct it"
            )
        if self.warmup < 0 or self._decay < 0 or self.warmup + self._decay > self.steps:
            decay = f" and {self._decay} of decay" if self._decay else ""
            raise TrainError(
                f"{self.warmup} steps of warmup{decay}; expected them to fit into the {self.steps} steps of the run; "
                "shorten them"
            )

    @property
    def _decay(self) -> int:
        if self.kind != "wsd":
            return 0
        # A run of a few steps that is all warmup has no room for the default.
        return min(math.ceil(self.steps / 10), self.steps - self.warmup) if self.decay is None else self.decay

    def at(self, step: int) -> float:
        """The rate of update number `step`, which begin at 0; the final rate for `steps` and later."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        if self.kind == "constant":
            return self.peak
        start = self.steps - self._decay if self.kind == "wsd" else self.warmup
        if step < start:
            return self.peak
        if step >= self.steps:
            return self.peak * self.final
        x = (step - start) / (self.steps - start)
        left = {"linear": 1 - x, "cosine": (1 + math.cos(math.pi * x)) / 2, "wsd": 1 - math.sqrt(x)}[self.kind]
        return self.peak * (self.final + (1 - self.final) * left)


@dataclass(frozen=True)
class Ramp:
    """A masking rate that goes from `first` to `last` in a straight line; both above 0, at most 1.

    >>> Ramp.parse("0.5:0.25").at(0.5)
    0.375
    """

    first: float
    last: float

    def __post_init__(self) -> None:
        for rate in (self.first, self.last):
            if not 0 < rate <= 1:
                raise TrainError(f"masking rate {rate!r}; expected a number above 0 and at most 1; correct it")

    @classmethod
    def parse(cls, text: str) -> "Ramp":
        """``"0.3:0.15"``, or one number for a rate that stays."""
        first, colon, last = text.partition(":")
        try:
            return cls(float(first), float(last if colon else first))
        except ValueError:
            raise TrainError(f"masking rate {text!r}; expected FIRST:LAST or one number, such as 0.3:0.15") from None

    def at(self, share: float) -> float:
        """The rate when this share (0 to 1) of the run is behind."""
        share = min(max(share, 0.0), 1.0)
        return self.first * (1 - share) + self.last * share

    def over(self, total: int) -> Callable[[int], float] | float:
        """The `rate` of a BatchSource: a function of consumed samples, of `total`; the number where it stays."""
        if self.first == self.last:
            return self.first
        if total < 1:
            raise TrainError(f"a ramp of the masking rate over {total} samples; expected at least 1; correct it")
        return lambda consumed: self.at(consumed / total)
