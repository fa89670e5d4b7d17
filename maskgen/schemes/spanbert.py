"""SpanBERT's masks: runs of whole words, treated as one, and the boundaries from which they are to be predicted.

tokens --random anchors, geometric lengths--> runs --80/10/10 a run--> text; span_left, span_right, span_offset
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.samples.arrays import Batch, Field
from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError
from maskgen.schemes.base import EncoderScheme, checked_share, write_masked
from maskgen.schemes.draws import MOST_PLACES, PLACE, Draws, uniforms
from maskgen.schemes.uniform import Replacements, Treatment, shown, word_begins
from maskgen.vocab import Ids, Table, Vocab

ANCHOR, LENGTH = 0, 1  # streams; uniform.py has those of decisions and replacements


class SpanBert(EncoderScheme):
    """Masks ceil(rate x n) of a row's n ordinary tokens, in runs of words.

    Ordinary places are gone through in random order. At one that is not masked yet, a run begins with the word that
    the place is in, and takes as many words as were drawn for it: l with probability in proportion to
    p (1 - p)^(l - 1), from 1 to `max_words`; 3.8 on average by default. It ends early before a special id and where
    the share is reached, be that within a word. Runs that touch are one. The tokens of a run are all shown as [MASK],
    all as other tokens, or all as they are.

    For the span-boundary objective, each masked token (packed, in the order of masked_positions) has the places, in
    the flattened batch, of the unmasked tokens before and after its run, span_left and span_right (the run's own end
    where the row begins or ends with it), and span_offset, its place in the run from 1.
    """

    name = "spanbert"

    def __init__(
        self,
        vocab: Vocab,
        seq_length: int,
        *,
        rate: float = 0.15,
        geometric: float = 0.2,
        max_words: int = 10,
        random: float = 0.1,
        leave: float = 0.1,
    ) -> None:
        super().__init__(vocab, seq_length, rate=rate)
        self.geometric, self.max_words = checked_share(geometric, "geometric"), integer(max_words, "max_words", 1)
        if self.max_words >= MOST_PLACES:
            raise SampleError(f"max_words is {max_words}; expected less than {MOST_PLACES}; correct it")
        if not 0 < self.geometric < 1:
            raise SampleError(f"geometric is {geometric!r}; expected a number between 0 and 1; correct it")
        self.leave = checked_share(leave, "leave")
        self.treatment = Treatment(1 - checked_share(random, "random") - self.leave, random)
        self.replacements = Replacements(vocab)
        # Products and sums one after the other: a power in an array has other last bits on other machines.
        factors = np.full(self.max_words, 1 - self.geometric)
        factors[0] = self.geometric
        sums = np.cumsum(np.cumprod(factors))
        self.cumulative = (sums / sums[-1])[:-1]
        width = self.seq_length
        self.fields = (
            *self.fields,
            Field("span_left", "packed", width, 0, None),
            Field("span_right", "packed", width, 0, None),
            Field("span_offset", "packed", width, 1, width),
        )

    @property
    def options(self) -> dict[str, Any]:
        """The arguments."""
        return {
            "rate": self.rate, "geometric": self.geometric, "max_words": self.max_words,
            "random": self.treatment.random, "leave": self.leave,
        }  # fmt: skip

    def fill(self, tokens: Ids, lengths: Ids, draws: Draws, rate: float | None, out: Batch) -> int:
        """Choose runs, show, write."""
        share = self.rate if rate is None else checked_share(rate, "rate")
        chosen = self.choose(tokens, lengths, draws, share)
        first, last = run_bounds(chosen)
        text = shown(tokens, chosen, draws, self.treatment, self.replacements, self.mask_id, first)
        rows, places = np.nonzero(chosen)
        count, base = len(rows), rows * tokens.shape[1]
        out["span_left"][:count] = base + np.maximum(first[rows, places] - 1, 0)
        out["span_right"][:count] = base + np.minimum(last[rows, places] + 1, lengths[rows] - 1)
        out["span_offset"][:count] = places - first[rows, places] + 1
        return write_masked(tokens, text, chosen, lengths, self.pad_id, out)

    def choose(self, tokens: Ids, lengths: Ids, draws: Draws, rate: float, drawn: list[int] | None = None) -> Table:
        """The masked places. The lengths of runs that were drawn for them, in words, are added to `drawn`."""
        among = self.maskable(tokens, lengths)
        ordinary = among.sum(axis=1)
        counts = np.ceil(rate * ordinary).astype(np.int64)
        order = (np.sort(draws.ranks(ANCHOR, among), axis=1) & PLACE).astype(np.int64)
        luck = uniforms(draws.words(LENGTH, tokens.shape[1]))
        words = np.searchsorted(self.cumulative, luck, side="right") + 1
        begins = word_begins(among, tokens, self.vocab.word_starts)
        chosen = np.zeros(among.shape, np.bool_)
        for row in range(len(tokens)):
            if counts[row]:
                places = order[row, : ordinary[row]]
                chosen[row] = _runs(among[row], begins[row], places, words[row], int(counts[row]), drawn)
        return chosen


def _runs(
    among: Table, begins: Table, order: Ids, words: Ids, count: int, drawn: list[int] | None
) -> npt.NDArray[np.bool_]:
    width = len(among)
    starts = np.flatnonzero(begins)
    ends = [*np.flatnonzero(~among & np.concatenate(([False], among[:-1]))).tolist(), width]
    # For each place the number of its word, and where the stretch without special ids ends that it is in.
    number = (np.cumsum(begins) - 1).tolist()
    limits = np.append(starts, width).tolist()
    stretch = np.array(ends)[np.searchsorted(ends, starts, side="right")].tolist()
    masked = bytearray(width)
    for anchor, length in zip(order.tolist(), words[order].tolist(), strict=True):
        if masked[anchor]:
            continue
        if drawn is not None:
            drawn.append(length)
        word = number[anchor]
        stop = min(limits[min(word + length, len(starts))], stretch[word])
        for place in range(limits[word], stop):
            if not masked[place]:
                masked[place] = 1
                count -= 1
                if count == 0:
                    return np.frombuffer(masked, np.bool_)
    return np.frombuffer(masked, np.bool_)


def run_bounds(chosen: Table) -> tuple[Ids, Ids]:
    """For each chosen place the first and the last place of its run."""
    width = chosen.shape[1]
    places = np.arange(width)
    edge = np.zeros((len(chosen), 1), np.bool_)
    begins = chosen & ~np.concatenate((edge, chosen[:, :-1]), axis=1)
    ends = chosen & ~np.concatenate((chosen[:, 1:], edge), axis=1)
    first = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, places, width)[:, ::-1], axis=1)[:, ::-1]
    return first, last
