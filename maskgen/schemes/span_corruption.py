"""T5's span corruption: random spans become sentinels, and the decoder predicts the spans.

row --how much noise, in how many spans--> cuts --> noise mask --> text_enc, text_dec, labels
"""

from typing import Any

import numpy as np

from maskgen.samples.arrays import Batch
from maskgen.samples.errors import SampleError
from maskgen.schemes.base import checked_share
from maskgen.schemes.draws import Draws, below
from maskgen.schemes.spans import SpanScheme, count_of_spans, random_spans, spread
from maskgen.vocab import Ids, Vocab

TEXT, NOISE, ROLL = 0, 1, 2  # streams


class SpanCorruption(SpanScheme):
    """Noises `rate` of a row's ordinary tokens, in spans of `mean_length` on average.

    Text and noise alternate, text first and noise last; with `random_roll` the mask of a row is turned by a uniform
    offset, so that rows may begin with noise or end without it. Special ids are no part of the count; a span that
    jumps over one is closed there and goes on with a new sentinel. Sentinels are those of the vocabulary, in its
    order (T5's descend from the last id). The decoder predicts (sentinel, span)... and the end.

    `max_seq_length_dec` is what the neediest row takes, if it is not given: one of ordinary tokens takes less.
    """

    name = "span-corruption"

    def __init__(
        self,
        vocab: Vocab,
        seq_length: int,
        *,
        rate: float = 0.15,
        mean_length: float = 3.0,
        random_roll: bool = False,
        max_seq_length_dec: int | None = None,
    ) -> None:
        self.mean_length, self.random_roll = checked_mean(mean_length), bool(random_roll)
        # A turned mask may begin and end with the two halves of one span.
        needed = decoder_length(seq_length, checked_share(rate, "rate"), self.mean_length) + self.random_roll
        super().__init__(vocab, seq_length, rate=rate, max_seq_length_dec=max_seq_length_dec, needed=needed)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments."""
        return {
            "rate": self.rate,
            "mean_length": self.mean_length,
            "random_roll": self.random_roll,
            "max_seq_length_dec": self.width_dec,
        }

    def fill(self, tokens: Ids, lengths: Ids, draws: Draws, rate: float | None, out: Batch) -> int:
        """Count, cut, write."""
        among = self.maskable(tokens, lengths)
        counts = among.sum(axis=1)
        share = self.rate if rate is None else checked_share(rate, "rate")
        noise, spans = count_of_spans(counts, share, self.mean_length)
        offsets = below(draws.words(ROLL, 1)[:, 0], counts) if self.random_roll else None
        mask = random_spans(counts, noise, spans, tokens.shape[1], draws, (TEXT, NOISE), offsets)
        return self.write(tokens, lengths, spread(mask, among), draws, out)


def checked_mean(value: Any) -> float:
    """A mean length of spans, from 1 on."""
    mean = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
    if not 1 <= mean < float("inf"):
        raise SampleError(f"mean_length is {value!r}; expected a number from 1 on; correct it")
    return mean


def decoder_length(seq_length: int, rate: float, mean_length: float) -> int:
    """The entries of the decoder that the neediest row takes: noise, a sentinel a span, the end.

    A special id inside a span cuts it in two, at one sentinel more; the neediest row has one at each such place.
    """
    special = np.arange(seq_length + 1)
    noise, spans = count_of_spans(seq_length - special, rate, mean_length)
    return int(np.max(noise + spans + np.minimum(special, noise - spans))) + 1
