"""RoBERTa's dynamic masking, as fairseq does it: another mask of every row in every epoch, and no pairs.

tokens --rate x tokens, rounded at random--> places --80/10/10--> text
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.identity import array_digest
from maskgen.schemes.base import checked_share
from maskgen.schemes.draws import Draws
from maskgen.schemes.uniform import (
    Treatment,
    UniformScheme,
    checked_counts,
    exactly,
    rounded_at_random,
    word_begins,
    word_leaders,
)
from maskgen.vocab import Ids, Table, Vocab


class Roberta(UniformScheme):
    """Chooses int(rate x n + u) of a row's n ordinary tokens, u uniform, every subset alike.

    With `whole_words` n counts words; the tokens of a word are chosen together, and shown alike: all as [MASK], all
    as other tokens, or all as they are. `replacement_counts`, one number an id, makes frequent tokens frequent
    replacements, in proportion. fairseq counts and may choose the start and end of the text, too; this one does not.
    """

    name = "roberta"

    def __init__(
        self,
        vocab: Vocab,
        seq_length: int,
        *,
        rate: float = 0.15,
        random: float = 0.1,
        leave: float = 0.1,
        whole_words: bool = False,
        replacement_counts: npt.ArrayLike | None = None,
    ) -> None:
        self.leave = checked_share(leave, "leave")
        treatment = Treatment(1 - checked_share(random, "random") - self.leave, random)
        self.whole_words = bool(whole_words)
        self.counts = None if replacement_counts is None else checked_counts(replacement_counts, vocab)
        super().__init__(vocab, seq_length, rate=rate, treatment=treatment, weights=self.counts)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments; counts as their digest."""
        return {
            "rate": self.rate,
            "random": self.treatment.random,
            "leave": self.leave,
            "whole_words": self.whole_words,
            "replacement_counts": None if self.counts is None else array_digest(self.counts),
        }

    def choose(self, tokens: Ids, lengths: Ids, draws: Draws, rate: float) -> tuple[Table, Ids | None]:
        """Tokens, or the tokens of words."""
        among = self.maskable(tokens, lengths)
        if not self.whole_words:
            return exactly(among, draws, rounded_at_random(among, draws, rate)), None
        begins = word_begins(among, tokens, self.vocab.word_starts)
        heads = exactly(begins, draws, rounded_at_random(begins, draws, rate))
        leaders = word_leaders(among, tokens, self.vocab.word_starts)
        return among & np.take_along_axis(heads, leaders, axis=1), leaders
