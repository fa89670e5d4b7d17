"""What BART does to a text: sentences in another order, spans infilled, tokens inserted, the whole turned.

body of a row --permute--> --infill--> --insert--> --rotate--> the encoder's text

One function a step, on one row; each says which streams of the row's draws it uses.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.hashing import Words
from maskgen.schemes.draws import PLACE, Draws, below, uniforms
from maskgen.schemes.uniform import Replacements
from maskgen.vocab import Ids, Table

PERMUTED, ORDER, LENGTH, SPAN, SHOWN, REPLACED, PLACED, INSERTED, INSERTED_ID, TURNED, OFFSET = range(11)  # streams
SMALLEST_SHARE = 1e-7  # Poisson's lengths end before the first, past its mean, that is less likely


class BatchDraws:
    """The draws of a batch; the first words of a stream are made for all rows when one asks for them."""

    def __init__(self, draws: Draws, width: int) -> None:
        self.draws, self.width = draws, width
        self._known: dict[int, Words] = {}

    def words(self, row: int, stream: int, numbers: npt.NDArray[Any]) -> Words:
        """Words of a row's stream, by number."""
        if len(numbers) > self.width:
            return self.draws.words_at(stream, np.full(len(numbers), row), numbers)
        if stream not in self._known:  # a call a batch: 3 us a row, where one a row takes 10
            self._known[stream] = self.draws.words(stream, self.width)
        words: Words = self._known[stream][row][numbers]
        return words


@dataclass(frozen=True)
class RowDraws:
    """The draws of one row of a batch. Numbers are below the width, or all numbers from 0 on."""

    batch: BatchDraws
    row: int

    def words(self, stream: int, numbers: npt.NDArray[Any]) -> Words:
        """Words of a stream, by number."""
        return self.batch.words(self.row, stream, numbers)

    def uniform(self, stream: int) -> float:
        """Word 0 of a stream, as a uniform number."""
        return float(uniforms(self.words(stream, np.zeros(1, np.int64)))[0])

    def shuffled(self, stream: int, places: Ids) -> Ids:
        """The places in the order of their ranks."""
        ranks = (self.words(stream, places) & ~PLACE) | places.astype(np.uint64)
        return (np.sort(ranks) & PLACE).astype(np.int64)


@dataclass(frozen=True)
class Noise:
    """Settings of the steps, and the ids that they need."""

    lengths: npt.NDArray[np.float64] | None  # cumulative shares of the lengths 0, 1, ...; None: single words
    replace_length: int
    random: float
    insert: float
    rotate: float
    permute: float
    mask_id: int
    replacements: Replacements
    ends_sentence: Table


def poisson(mean: float) -> npt.NDArray[np.float64]:
    """Cumulative shares of the lengths 0, 1, 2, ..."""
    shares = []
    share, length = math.exp(-mean), 0
    while share >= SMALLEST_SHARE or length < mean:
        shares.append(share)
        length += 1
        share *= mean / length
    sums = np.cumsum(shares)
    cumulative: npt.NDArray[np.float64] = sums / sums[-1]
    return cumulative


def permute_sentences(body: Ids, noise: Noise, draws: RowDraws) -> Ids:
    """ceil(permute x sentences) of the sentences, drawn, change places at random (streams PERMUTED, ORDER).

    A sentence ends after the last of neighbouring tokens that end sentences, or with the text.
    """
    stops = noise.ends_sentence[body]
    stops[:-1] &= ~stops[1:]
    stops[-1] = True
    ends = np.flatnonzero(stops) + 1
    count = math.ceil(len(ends) * noise.permute)
    if count < 2:
        return body
    moved = draws.shuffled(PERMUTED, np.arange(len(ends)))[:count]
    order = np.arange(len(ends))
    order[moved] = moved[draws.shuffled(ORDER, np.arange(count))]
    starts = np.concatenate(([0], ends[:-1]))
    return np.concatenate([body[starts[i] : ends[i]] for i in order.tolist()])


def span_lengths(words: int, rate: float, noise: Noise, draws: RowDraws) -> Ids:
    """Lengths in words that add up to ceil(rate x words), the last one cut (stream LENGTH); zeros are insertions."""
    budget = math.ceil(rate * words)
    if noise.lengths is None or budget == 0:
        return np.ones(budget, np.int64)
    count = budget
    while True:
        luck = uniforms(draws.words(LENGTH, np.arange(count)))
        lengths = np.searchsorted(noise.lengths[:-1], luck, side="right")
        sums = np.cumsum(lengths)
        if sums[-1] >= budget:
            last = int(np.argmax(sums >= budget))
            lengths[last] -= sums[last] - budget
            return lengths[: last + 1]
        count *= 2


def infill(body: Ids, begins: Table, ordinary: Table, lengths: Ids, noise: Noise, draws: RowDraws) -> Ids:
    """Spans of these lengths from words drawn without replacement (stream SPAN), replaced (SHOWN, REPLACED).

    A span ends early before a special id and at the end of the text. Where spans overlap, one that starts inside of
    another is part of it.
    """
    starts = np.flatnonzero(begins)
    heads = draws.shuffled(SPAN, starts)[: len(lengths)]
    lengths = lengths[: len(heads)]
    breaks = np.concatenate((np.flatnonzero(~ordinary), [len(body)]))
    limits = np.concatenate((starts, [len(body)]))
    ends = limits[np.minimum(np.searchsorted(starts, heads) + lengths, len(starts))]
    ends = np.minimum(ends, breaks[np.searchsorted(breaks, heads)])
    count = len(body) + 1
    opened, closed = np.bincount(heads + 1, minlength=count), np.bincount(ends, minlength=count)
    inside = np.cumsum(opened - closed)[:-1] > 0  # of a span, not its head
    head = np.zeros(len(body), np.bool_)
    head[heads] = True
    noisy = head | inside
    if noise.replace_length == 0:
        return body[~noisy]
    shown = np.flatnonzero(noisy if noise.replace_length < 0 else head & ~inside)
    text = body.copy()
    text[shown] = _shown(shown, noise, draws, SHOWN, REPLACED)
    return text if noise.replace_length < 0 else text[~inside]


def insert(text: Ids, count: int, noise: Noise, draws: RowDraws) -> Ids:
    """`count` tokens more, at places of the result drawn without replacement (PLACED, INSERTED, INSERTED_ID)."""
    if count == 0:
        return text
    result = np.empty(len(text) + count, np.int64)
    places = np.sort(draws.shuffled(PLACED, np.arange(len(result)))[:count])
    old = np.ones(len(result), np.bool_)
    old[places] = False
    result[old] = text
    result[places] = _shown(places, noise, draws, INSERTED, INSERTED_ID)
    return result


def rotate(text: Ids, noise: Noise, draws: RowDraws) -> Ids:
    """With probability `rotate` the text begins at a place drawn for it (TURNED, OFFSET), then goes round."""
    if len(text) < 2 or noise.rotate == 0 or not draws.uniform(TURNED) < noise.rotate:
        return text
    offset = int(below(draws.words(OFFSET, np.zeros(1, np.int64)), len(text))[0])
    return np.concatenate((text[offset:], text[:offset]))


def _shown(places: Ids, noise: Noise, draws: RowDraws, which: int, what: int) -> Ids:
    """[MASK], or with probability `random` another token, for each place."""
    if noise.random == 0:
        return np.full(len(places), noise.mask_id)
    other = uniforms(draws.words(which, places)) < noise.random
    return np.where(other, noise.replacements.draw(draws.words(what, places)), noise.mask_id)
