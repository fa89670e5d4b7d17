"""ELECTRA's masks, for a generator whose samples a discriminator is to find.

tokens --round(rate x length), at most N--> places --85 % [MASK], the rest as they are--> text
"""

from typing import Any

import numpy as np

from maskgen.schemes.base import checked_share
from maskgen.schemes.draws import Draws
from maskgen.schemes.uniform import Treatment, UniformScheme, exactly
from maskgen.vocab import Ids, Table, Vocab


class Electra(UniformScheme):
    """Chooses max(1, min(N, round(rate x length))) ordinary tokens of a row, with N = int((rate + 0.005) x seq_length).

    The length counts special tokens; halves are rounded to even. Of the chosen tokens `mask` are shown as [MASK] and
    the rest as they are: none is replaced. Base and small models use a rate of 0.15, large ones 0.25. A rate of 0
    chooses nothing. Google's code may choose [UNK]; this one leaves out every special id.
    """

    name = "electra"

    def __init__(self, vocab: Vocab, seq_length: int, *, rate: float = 0.15, mask: float = 0.85) -> None:
        treatment = Treatment(checked_share(mask, "mask"), 0.0)
        super().__init__(vocab, seq_length, rate=rate, treatment=treatment)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments."""
        return {"rate": self.rate, "mask": self.treatment.mask}

    def counts(self, lengths: Ids, rate: float) -> Ids:
        """How many tokens are chosen of rows of these lengths, if they have as many."""
        if rate == 0:
            return np.zeros(len(lengths), np.int64)
        most = int((rate + 0.005) * self.seq_length)
        counts: Ids = np.maximum(1, np.minimum(most, np.rint(lengths * rate).astype(np.int64)))
        return counts

    def choose(self, tokens: Ids, lengths: Ids, draws: Draws, rate: float) -> tuple[Table, Ids | None]:
        """That many, every subset alike."""
        return exactly(self.maskable(tokens, lengths), draws, self.counts(lengths, rate)), None
