"""ModernBERT's masks: every token for itself, twice as many as BERT's, on packed rows without pairs.

tokens --each with probability rate--> places --80/10/10--> text
"""

from typing import Any

from maskgen.schemes.base import checked_share
from maskgen.schemes.draws import Draws
from maskgen.schemes.uniform import Treatment, UniformScheme, each_alone
from maskgen.vocab import Ids, Table, Vocab


class ModernBert(UniformScheme):
    """Chooses each ordinary token with probability `rate`: 0.3 for training; pass rate=0.15 when you evaluate.

    Use it with packed rows, as ModernBERT does. [CLS] and [SEP] are never chosen.
    """

    name = "modernbert"

    def __init__(
        self,
        vocab: Vocab,
        seq_length: int,
        *,
        rate: float = 0.3,
        random: float = 0.1,
        leave: float = 0.1,
    ) -> None:
        self.leave = checked_share(leave, "leave")
        treatment = Treatment(1 - checked_share(random, "random") - self.leave, random)
        super().__init__(vocab, seq_length, rate=rate, treatment=treatment)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments."""
        return {"rate": self.rate, "random": self.treatment.random, "leave": self.leave}

    def choose(self, tokens: Ids, lengths: Ids, draws: Draws, rate: float) -> tuple[Table, Ids | None]:
        """Each for itself."""
        return each_alone(self.maskable(tokens, lengths), draws, rate), None
