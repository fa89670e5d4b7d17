"""The uniform family: single tokens or words chosen at random, then shown as [MASK], as other tokens, or as they are.

tokens --which may be chosen--> --choose--> places --decide, replace--> text

Three rules say how many are chosen. The rest is common:

    decide: u = uniform of stream DECIDE at the place (of the first token of a word, for whole words);
            u < mask share: [MASK]; u < mask share + random share: another token; else the token itself
    replace: from stream REPLACE at the place, one of the ordinary ids, evenly or in proportion to their weights

This numpy code is the definition.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.samples.arrays import Batch
from maskgen.samples.errors import SampleError
from maskgen.schemes.base import EncoderScheme, checked_numbers, checked_share, write_masked
from maskgen.schemes.draws import Draws, below, lowest, uniforms
from maskgen.vocab import Ids, Table, Vocab

CHOOSE, COUNT, DECIDE, REPLACE = 0, 1, 2, 3  # streams


@dataclass(frozen=True)
class Treatment:
    """What becomes of chosen tokens: [MASK] for `mask` of them, another token for `random`, nothing for the rest."""

    mask: float
    random: float

    def __post_init__(self) -> None:
        if not (0 <= self.mask <= 1 and 0 <= self.random <= 1 and self.mask + self.random <= 1 + 1e-12):
            raise SampleError(
                f"{self.mask:g} of the chosen tokens are to be masked and {self.random:g} replaced; expected shares "
                "from 0 to 1, of not more than 1 together; correct them"
            )


class Replacements:
    """Where random tokens come from: the ordinary ids of a vocabulary, with weights or without."""

    def __init__(self, vocab: Vocab, weights: npt.NDArray[np.float64] | None = None) -> None:
        self.ids = vocab.ordinary_ids
        self.cumulative: npt.NDArray[np.float64] | None = None
        if not len(self.ids):
            raise SampleError(f"{vocab.name} has no ordinary ids; expected some to mask and to replace with; check it")
        if weights is not None:
            sums = np.cumsum(weights[self.ids])
            self.cumulative = sums / sums[-1]

    def draw(self, words: npt.NDArray[np.uint64]) -> Ids:
        """One id a word."""
        if self.cumulative is None:
            return self.ids[below(words, len(self.ids))]
        return self.ids[np.searchsorted(self.cumulative, uniforms(words), side="right")]


def each_alone(among: Table, draws: Draws, rate: Any) -> Table:
    """Every place for itself with probability `rate`, one number or a column of them."""
    chosen: Table = among & (uniforms(draws.words(CHOOSE, among.shape[1])) < rate)
    return chosen


def exactly(among: Table, draws: Draws, counts: Ids) -> Table:
    """`counts[i]` places of row i, or all where there are fewer, every subset as likely as any other."""
    return lowest(draws.ranks(CHOOSE, among), np.minimum(counts, among.sum(axis=1)))


def rounded_at_random(among: Table, draws: Draws, rate: float) -> Ids:
    """The share of places that `rate` is, rounded up with the probability that is its fraction."""
    luck = uniforms(draws.words(COUNT, 1))[:, 0]
    counts: Ids = (rate * among.sum(axis=1) + luck).astype(np.int64)
    return counts


def shown(
    tokens: Ids,
    chosen: Table,
    draws: Draws,
    treatment: Treatment,
    replacements: Replacements,
    mask_id: int,
    leaders: Ids | None = None,
) -> Ids:
    """The text that is shown in place of `tokens`. `leaders` are the places whose decision a place shares."""
    text = tokens.copy()
    rows, places = np.nonzero(chosen)
    deciding = places if leaders is None else leaders[rows, places]
    luck = uniforms(draws.words_at(DECIDE, rows, deciding))
    masked = luck < treatment.mask
    text[rows[masked], places[masked]] = mask_id
    other = ~masked & (luck < treatment.mask + treatment.random)
    rows, places = rows[other], places[other]
    text[rows, places] = replacements.draw(draws.words_at(REPLACE, rows, places))
    return text


def word_leaders(among: Table, tokens: Ids, starts: Table) -> Ids:
    """For each place `among` the place of its word's first token; a word is never continued across other places."""
    begins = word_begins(among, tokens, starts)
    return np.maximum.accumulate(np.where(begins, np.arange(among.shape[1]), 0), axis=1)


def word_begins(among: Table, tokens: Ids, starts: Table) -> Table:
    """The places where a word begins: a token that starts one, or that follows nothing it could continue."""
    before = np.zeros_like(among)
    before[:, 1:] = among[:, :-1]
    return among & (starts[tokens] | ~before)


class UniformScheme(EncoderScheme):
    """A scheme of the family: its subclass says which places are chosen, and draws further arrays where it has some."""

    def __init__(
        self,
        vocab: Vocab,
        seq_length: int,
        *,
        rate: float,
        treatment: Treatment,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(vocab, seq_length, rate=rate)
        self.treatment = treatment
        self.replacements = Replacements(vocab, weights)

    @abstractmethod
    def choose(self, tokens: Ids, lengths: Ids, draws: Draws, rate: float) -> tuple[Table, Ids | None]:
        """The places to predict, and the leaders of words where decisions are shared."""

    def fill(self, tokens: Ids, lengths: Ids, draws: Draws, rate: float | None, out: Batch) -> int:
        """Choose, show, write."""
        share = self.rate if rate is None else checked_share(rate, "rate")
        chosen, leaders = self.choose(tokens, lengths, draws, share)
        text = shown(tokens, chosen, draws, self.treatment, self.replacements, self.mask_id, leaders)
        return write_masked(tokens, text, chosen, lengths, self.pad_id, out)


def checked_counts(counts: Any, vocab: Vocab) -> npt.NDArray[np.float64]:
    """How often each id occurs, or other weights of replacements: one number from 0 on for each id."""
    weights = checked_numbers(counts, "replacement_counts", len(vocab))
    if not weights[vocab.ordinary_ids].sum() > 0:
        raise SampleError(
            "replacement_counts are 0 for every ordinary id; expected some above 0; count the tokens of the dataset "
            "with numpy.bincount"
        )
    return weights
