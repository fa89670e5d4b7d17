"""UL2's mixture of denoisers: each row is corrupted by one of several, drawn for it.

row --draw a denoiser--> short spans (R) | a suffix (S) | long or many spans (X) --> text_enc, text_dec, labels
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskgen.samples.arrays import Batch, Field
from maskgen.samples.errors import SampleError
from maskgen.schemes.base import checked_numbers, checked_share
from maskgen.schemes.draws import Draws, uniforms
from maskgen.schemes.span_corruption import checked_mean, decoder_length
from maskgen.schemes.spans import SpanScheme, count_of_spans, random_spans, spread
from maskgen.vocab import Ids, Table, Vocab

TEXT, NOISE, WHICH = 0, 1, 2  # streams
KINDS = ("R", "S", "X")


@dataclass(frozen=True)
class Denoiser:
    """R and X: spans of a mean length and density. S: one span, the last `density` of the row; it has no mean."""

    kind: str
    mean_length: float | None
    density: float


DENOISERS = (
    Denoiser("R", 3.0, 0.15),
    Denoiser("R", 8.0, 0.15),
    Denoiser("S", None, 0.25),
    Denoiser("X", 3.0, 0.5),
    Denoiser("X", 8.0, 0.5),
    Denoiser("X", 64.0, 0.15),
    Denoiser("X", 64.0, 0.5),
)


class Ul2(SpanScheme):
    """Corrupts each row as one of `denoisers` does, drawn with `weights` (evenly by default).

    A denoiser is (kind, mean length of spans, density); S is ("S", None, density): its one span is the end of the row,
    a quarter by default. `mode_tokens` are pieces of the vocabulary that stand before the encoder's text of kinds R, S
    and X, such as ("[NLU]", "[S2S]", "[NLG]"); without them nothing does. A `rate` given for a call is the density of
    every denoiser in it. The array denoiser holds the number of each row's, from 0. Special ids are as in
    span-corruption, and `max_seq_length_dec` is what the neediest denoiser takes.
    """

    name = "ul2"

    def __init__(
        self,
        vocab: Vocab,
        seq_length: int,
        *,
        denoisers: Sequence[tuple[str, float | None, float] | Denoiser] = DENOISERS,
        weights: Sequence[float] | None = None,
        mode_tokens: Sequence[str] | None = None,
        rate: float | None = None,
        max_seq_length_dec: int | None = None,
    ) -> None:
        self.denoisers = tuple(_checked(each) for each in _listed(denoisers, "denoisers", "denoisers"))
        if not self.denoisers:
            raise SampleError("denoisers are none; expected at least one; leave them at the defaults")
        self.fixed = None if rate is None else checked_share(rate, "rate")
        self.weights = _shares(weights, len(self.denoisers))
        self.mode_tokens = None if mode_tokens is None else _listed(mode_tokens, "mode_tokens", "pieces")
        self.extra = 0 if mode_tokens is None else 1
        densities = [each.density if self.fixed is None else self.fixed for each in self.denoisers]
        means = [each.mean_length or float(max(seq_length, 1)) for each in self.denoisers]
        needed = max(map(decoder_length, [seq_length] * len(means), densities, means))
        super().__init__(vocab, seq_length, rate=max(densities), max_seq_length_dec=max_seq_length_dec, needed=needed)
        self.modes = None if self.mode_tokens is None else self._modes(self.mode_tokens)
        self.fields = (*self.fields, Field("denoiser", "number", 1, 0, len(self.denoisers) - 1))

    @property
    def options(self) -> dict[str, Any]:
        """The arguments."""
        return {
            "denoisers": [[each.kind, each.mean_length, each.density] for each in self.denoisers],
            "weights": self.weights,
            "mode_tokens": None if self.mode_tokens is None else list(self.mode_tokens),
            "rate": self.fixed,
            "max_seq_length_dec": self.width_dec,
        }

    def fill(self, tokens: Ids, lengths: Ids, draws: Draws, rate: float | None, out: Batch) -> int:
        """Draw a denoiser a row, noise, write."""
        fixed = self.fixed if rate is None else checked_share(rate, "rate")
        luck = uniforms(draws.words(WHICH, 1)[:, 0])
        which = np.searchsorted(np.cumsum(self.weights)[:-1], luck, side="right")
        among = self.maskable(tokens, lengths)
        counts = among.sum(axis=1)
        mask = np.zeros(among.shape, np.bool_)
        for number, denoiser in enumerate(self.denoisers):
            rows = np.flatnonzero(which == number)
            if len(rows):
                density = denoiser.density if fixed is None else fixed
                own = Draws(draws.seed, draws.epoch, draws.indices[rows])
                mask[rows] = _noise(denoiser, density, counts[rows], tokens.shape[1], own)
        out["denoiser"][...] = which
        prefixes = None if self.modes is None else self.modes[which]
        return self.write(tokens, lengths, spread(mask, among), draws, out, prefixes)

    def _modes(self, pieces: tuple[str, ...]) -> Ids:
        if len(pieces) != len(KINDS):
            raise SampleError(f"mode_tokens are {pieces}; expected three: for R, S and X; correct them")
        for piece in pieces:
            if piece not in self.vocab.pieces:
                raise SampleError(
                    f"mode_tokens: {self.vocab.name} has no piece {piece!r}; expected pieces of the vocabulary; add it "
                    "to the tokenizer, or leave mode_tokens out"
                )
        ids = [self.vocab.pieces.index(piece) for piece in pieces]
        return np.array([ids[KINDS.index(each.kind)] for each in self.denoisers], np.int64)


def _noise(denoiser: Denoiser, density: float, counts: Ids, width: int, draws: Draws) -> Table:
    # One span of alternating text and noise is a suffix.
    mean = np.maximum(counts, 1) if denoiser.mean_length is None else denoiser.mean_length
    noise, spans = count_of_spans(counts, density, mean)
    return random_spans(counts, noise, spans, width, draws, (TEXT, NOISE))


def _checked(denoiser: Any) -> Denoiser:
    try:
        kind, mean, density = (
            (denoiser.kind, denoiser.mean_length, denoiser.density) if isinstance(denoiser, Denoiser) else denoiser
        )
    except (TypeError, ValueError):
        kind, mean, density = None, None, None
    if kind not in KINDS or (mean is None) != (kind == "S"):
        raise SampleError(
            f"a denoiser is {denoiser!r}; expected (kind, mean length, density), kind R or X, or ('S', None, density); "
            "correct it"
        )
    return Denoiser(kind, None if mean is None else checked_mean(mean), checked_share(density, "density"))


def _listed(values: Any, name: str, of: str) -> tuple[Any, ...]:
    if not isinstance(values, (list, tuple)):
        raise SampleError(f"{name} are {values!r}; expected a list of {of}; correct them")
    return tuple(values)


def _shares(weights: Sequence[float] | None, count: int) -> list[float]:
    given = np.ones(count) if weights is None else checked_numbers(weights, "weights", count)
    shares: list[float] = (given / given.sum()).tolist()
    return shares
