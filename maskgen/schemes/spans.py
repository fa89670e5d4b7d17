"""Noise masks, and what encoder and decoder read of them: the parts of T5-like schemes.

noise [B, L] --split at gaps--> spans --> text with sentinels; (sentinel, span)... for the decoder

Functions on a single row follow T5's text-to-text library by name and result, with the sentinels given as a sequence.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.samples.arrays import Batch, decoder_fields
from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError
from maskgen.schemes.base import Scheme
from maskgen.schemes.draws import Draws, lowest
from maskgen.vocab import Ids, Table, Vocab


def lengths_of_spans(
    length: int, density: float, mean_length: float, extra_of_inputs: int = 1, extra_of_targets: int = 1
) -> tuple[int, int]:
    """How many tokens to take so that their encoder text fits into `length`, and the length of their targets.

    Extras are what a span costs: its sentinel. Both texts end with one end token. At density 0.5 the text is taken
    one token shorter if its targets would be longer than `length`, as T5 does it.
    """

    def lengths(tokens: int) -> tuple[int, int]:
        noise = round(tokens * density)
        spans = round(noise / mean_length)
        return tokens - noise + spans * extra_of_inputs + 1, noise + spans * extra_of_targets + 1

    if lengths(1)[0] > length:
        raise SampleError(f"length is {length}; expected room for one token and its end token; raise it")
    tokens = 1
    while lengths(tokens + 1)[0] <= length:
        tokens += 1
    targets = lengths(tokens)[1]
    if density == 0.5 and targets > length:
        return tokens - 1, targets - 1
    return tokens, targets


def noise_to_sentinels(tokens: npt.ArrayLike, noise: npt.ArrayLike, sentinels: Sequence[int]) -> Ids:
    """Each run of noise as a sentinel: the first, the second, ...; with one sentinel, always that one."""
    ids, noisy = np.asarray(tokens, np.int64), np.asarray(noise, np.bool_)
    first = noisy.copy()
    first[1:] &= ~noisy[:-1]
    spans = int(first.sum())
    if len(sentinels) > 1 and spans > len(sentinels):
        raise SampleError(f"{spans} spans and {len(sentinels)} sentinels; expected as many; give more, or noise less")
    known = np.resize(np.asarray(sentinels, np.int64), spans)
    text = ids.copy()
    text[first] = known
    kept: Ids = text[~noisy | first]
    return kept


def drop_noise(tokens: npt.ArrayLike, noise: npt.ArrayLike) -> Ids:
    """The tokens that are not noise."""
    kept: Ids = np.asarray(tokens, np.int64)[~np.asarray(noise, np.bool_)]
    return kept


def count_of_spans(counts: Ids, density: float, mean_length: Any) -> tuple[Ids, Ids]:
    """Of rows with so many tokens: how many are noise, in how many spans. At least one of each stays, if density > 0.

    noise = round(count x density), from 1 to count - 1; spans = round(noise / mean), from 1 to what either part has.
    Halves are rounded to even. A single token is never noise.
    """
    if density == 0:
        return np.zeros_like(counts), np.zeros_like(counts)
    whole = np.maximum(counts, 2)
    noise = np.clip(np.rint(whole * density).astype(np.int64), 1, whole - 1)
    spans = np.maximum(np.rint(noise / mean_length).astype(np.int64), 1)
    spans = np.minimum(spans, np.minimum(noise, whole - noise))
    used = counts >= 2
    return np.where(used, noise, 0), np.where(used, spans, 0)


def random_spans(
    counts: Ids, noise: Ids, spans: Ids, width: int, draws: Draws, streams: tuple[int, int], offsets: Ids | None = None
) -> Table:
    """Noise masks [B, width] over the first `counts[i]` places: text, noise, text, noise, ...

    Both the text and the noise are cut into `spans[i]` segments of at least one token, every way to cut them alike:
    of the n - 1 places where n tokens can be cut, those with the lowest ranks. `offsets` turn a mask to the right.
    """
    rows, ends_of_text = _segment_ends(counts - noise, spans, width, draws, streams[0])
    _, ends_of_noise = _segment_ends(noise, spans, width, draws, streams[1])
    before = np.roll(ends_of_noise, 1)
    before[np.flatnonzero(np.diff(rows, prepend=-1))] = 0
    turns = np.zeros((len(counts), width + 1), np.int8)
    turns[rows, ends_of_text + before] = 1
    turns[rows, ends_of_text + ends_of_noise] = -1
    mask = np.cumsum(turns[:, :-1], axis=1, dtype=np.int8).astype(np.bool_)
    if offsets is None:
        return mask
    places = np.arange(width)
    source = (places - offsets[:, None]) % np.maximum(counts, 1)[:, None]
    return np.take_along_axis(mask, source, axis=1) & (places < counts[:, None])


def _segment_ends(totals: Ids, spans: Ids, width: int, draws: Draws, stream: int) -> tuple[Ids, Ids]:
    """Where each segment of `totals[i]` tokens ends, row by row: the row of each, and one past its last token."""
    places = np.arange(width)
    ends = lowest(draws.ranks(stream, places < totals[:, None] - 1), np.maximum(spans - 1, 0))
    cut = np.flatnonzero(spans)
    ends[cut, totals[cut] - 1] = True
    rows, last = np.nonzero(ends)
    return rows, last + 1


def spread(mask: Table, among: Table) -> Table:
    """A mask over the places `among`, numbered from 0, as one over all places."""
    numbers = np.maximum(np.cumsum(among, axis=1) - 1, 0)
    return np.take_along_axis(mask, numbers, axis=1) & among


class SpanScheme(Scheme):
    """A scheme whose encoder reads sentinels for spans, and whose decoder predicts (sentinel, span)... and an end."""

    extra = 0  # entries that the encoder's text has beside the row's

    def __init__(
        self, vocab: Vocab, seq_length: int, *, rate: float, max_seq_length_dec: int | None, needed: int
    ) -> None:
        super().__init__(vocab, seq_length, rate=rate)
        self.bos_id, self.eos_id, self.pad_id = vocab.ids("bos", "eos", "pad")
        vocab.require("sentinels")
        self.sentinels: Ids = np.array(vocab.sentinel_ids, np.int64)
        self.width_dec = integer(needed if max_seq_length_dec is None else max_seq_length_dec, "max_seq_length_dec", 1)
        self.fields = decoder_fields(len(vocab) - 1, self.seq_length + self.extra, self.width_dec)

    def write(
        self, tokens: Ids, lengths: Ids, noise: Table, draws: Draws, out: Batch, prefixes: Ids | None = None
    ) -> int:
        """The arrays of `decoder_fields`; `prefixes` are ids before the encoder's texts."""
        first = noise.copy()
        first[:, 1:] &= ~noise[:, :-1]
        number = np.cumsum(first, axis=1) - 1  # of the span, from 0
        spans, noisy = first.sum(axis=1), noise.sum(axis=1)
        self._check_room(spans, noisy, draws)
        kept = (np.arange(tokens.shape[1]) < lengths[:, None]) & (~noise | first)
        shift = 0 if prefixes is None else 1
        text = tokens.copy()
        text[first] = self.sentinels[number[first]]
        encoder = np.full((len(tokens), self.seq_length + self.extra), self.pad_id)
        encoder[_places(kept, shift)] = text[kept]
        if prefixes is not None:
            encoder[:, 0] = prefixes
        # One place is left free before the targets, for the start of the decoder's text.
        targets = np.full((len(tokens), self.width_dec + 1), self.pad_id)
        rank = np.cumsum(noise, axis=1) - 1
        rows, places = np.nonzero(first)
        targets[rows, (rank + number)[rows, places] + 1] = text[rows, places]
        rows, places = np.nonzero(noise)
        targets[rows, (rank + number)[rows, places] + 2] = tokens[rows, places]
        return write_decoded(encoder, kept.sum(axis=1) + shift, targets, spans + noisy, self, out)

    def _check_room(self, spans: Ids, noisy: Ids, draws: Draws) -> None:
        have, needed = len(self.sentinels), spans + noisy + 1
        if spans.max(initial=0) > have:
            row = int(np.argmax(spans > have))
            raise SampleError(
                f"sample {draws.indices[row]} needs {spans[row]} sentinels and {self.vocab.name} has {have}; give the "
                "vocabulary more sentinel_ids, or lower the rate, raise the mean length of spans, or use shorter rows"
            )
        if needed.max(initial=0) > self.width_dec:
            row = int(np.argmax(needed > self.width_dec))
            raise SampleError(
                f"sample {draws.indices[row]} needs {needed[row]} entries for its decoder and max_seq_length_dec is "
                f"{self.width_dec}; raise it, or lower the rate"
            )


def write_decoded(encoder: Ids, lengths: Ids, targets: Ids, counts: Ids, scheme: SpanScheme, out: Batch) -> int:
    """The arrays of `decoder_fields`; row i of `targets` holds `counts[i]` ids from its second place on."""
    rows = np.arange(len(targets))
    labels = targets[:, 1:].copy()
    labels[rows, counts] = scheme.eos_id
    used = np.arange(labels.shape[1]) <= counts[:, None]
    targets[:, 0] = scheme.bos_id
    out["text_enc"][...] = encoder
    out["padding_mask"][...] = np.arange(encoder.shape[1]) < lengths[:, None]
    out["text_dec"][...] = targets[:, :-1]
    out["labels"][...] = np.where(used, labels, -1)
    out["loss_mask"][...] = used
    out["truncated"][...] = 0
    out["lengths"][...] = lengths
    out["lengths_dec"][...] = counts + 1
    places = np.flatnonzero(used)
    out["masked_positions"][: len(places)] = places
    out["masked_labels"][: len(places)] = labels.ravel()[places]
    out["masked_counts"][...] = counts + 1
    return len(places)


def _places(kept: Table, shift: int) -> tuple[Ids, Ids]:
    """Where the kept entries go: rows and columns, closed up, `shift` columns to the right."""
    columns = np.cumsum(kept, axis=1) - 1 + shift
    return np.nonzero(kept)[0], columns[kept]
