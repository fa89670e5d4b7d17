"""Masked diffusion: a row is masked at a noise level of its own, and its loss weighed by it.

index --draw t--> p(t) --each token alone--> text; weights = the factor of the row's cross-entropies

The loss of both kinds is sum(weights x cross-entropy of masked tokens) / (rows x seq_length).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.samples.arrays import Batch, Field
from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError
from maskgen.schemes.base import EncoderScheme, checked_share, write_masked
from maskgen.schemes.draws import Draws, below, uniforms
from maskgen.schemes.uniform import each_alone
from maskgen.vocab import Ids, Vocab

TIME, TURN = 4, 5  # streams
KINDS = ("llada", "mdlm")
MOST_STRATA = 1 << 32  # what `below` can tell apart
Reals = npt.NDArray[np.float64]


def noise(kind: str, eps: float) -> tuple[float, float, float]:
    """(least, slope, scale): at time t the probability of a mask is p = slope t + least, the weight scale / p.

    The weight is -alpha'(t) / (1 - alpha(t)) of alpha = 1 - p for mdlm, where it is 1 / t, and 1 / p for llada.
    """
    return (eps, 1 - eps, 1.0) if kind == "llada" else (0.0, 1 - eps, 1 - eps)


class MaskedDiffusion(EncoderScheme):
    """Masks each ordinary token of a row with probability p; masked tokens are always shown as [MASK].

    kind "llada": t uniform in [0, 1), p = (1 - eps) t + eps, weight 1 / p.
    kind "mdlm": log-linear noise: t uniform in [eps_t, 1), p = (1 - eps) t, weight (1 - eps) / p = 1 / t; antithetic:
    among `strata` samples in a row (by index) every 1/strata of the times occurs once, which one turns with the epoch.
    So the batches whose losses vary less are those of consecutive indices; a sample never depends on its batch.

    A `rate` given for a call is p itself, for every row: a fixed noise level, for evaluation. A row with p = 0 has
    nothing to predict, and the weight 0.
    """

    name = "masked-diffusion"

    def __init__(
        self,
        vocab: Vocab,
        seq_length: int,
        *,
        kind: str = "llada",
        eps: float = 1e-3,
        eps_t: float = 1e-3,
        strata: int | None = None,
        rate: float | None = None,
    ) -> None:
        if kind not in KINDS:
            raise SampleError(f"kind is {kind!r}; expected one of {', '.join(KINDS)}; correct its name")
        super().__init__(vocab, seq_length, rate=1.0)
        self.kind, self.fixed = kind, None if rate is None else checked_share(rate, "rate")
        self.eps, self.eps_t = checked_share(eps, "eps", 0.5), checked_share(eps_t, "eps_t", 0.5)
        self.strata = integer((1 if kind == "llada" else 64) if strata is None else strata, "strata", 1)
        if self.strata > MOST_STRATA:
            raise SampleError(f"strata is {strata}; expected 1 to {MOST_STRATA}; correct it")
        self.fields = (*self.fields, *(Field(name, "number", 1, 0, None, real=True) for name in ("t", "weights")))

    @property
    def options(self) -> dict[str, Any]:
        """The arguments."""
        return {
            "kind": self.kind, "eps": self.eps, "eps_t": self.eps_t, "strata": self.strata, "rate": self.fixed
        }  # fmt: skip

    def times(self, draws: Draws) -> Reals:
        """One time a sample."""
        luck = uniforms(draws.words(TIME, 1))[:, 0]
        if self.strata > 1:
            group, place = np.divmod(draws.indices, self.strata)
            turn = below(Draws(draws.seed, draws.epoch, group).words(TURN, 1)[:, 0], self.strata)
            luck = ((place + turn) % self.strata + luck) / self.strata
        return luck if self.kind == "llada" else (1 - self.eps_t) * luck + self.eps_t

    def levels(self, draws: Draws, rate: float | None) -> tuple[Reals, Reals, Reals]:
        """Of each sample the time, the probability of a mask, and the weight."""
        fixed = self.fixed if rate is None else checked_share(rate, "rate")
        least, slope, scale = noise(self.kind, self.eps)
        if fixed is None:
            times = self.times(draws)
            shares = slope * times + least
        else:
            shares = np.full(len(draws.indices), fixed)
            times = (shares - least) / slope
        weights = np.divide(scale, shares, out=np.zeros_like(shares), where=shares > 0)
        return times, shares, weights

    def fill(self, tokens: Ids, lengths: Ids, draws: Draws, rate: float | None, out: Batch) -> int:
        """Draw the times, mask, write."""
        out["t"][...], shares, out["weights"][...] = self.levels(draws, rate)
        chosen = each_alone(self.maskable(tokens, lengths), draws, shares[:, None])
        return write_masked(tokens, np.where(chosen, self.mask_id, tokens), chosen, lengths, self.pad_id, out)
