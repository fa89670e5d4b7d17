"""BART's denoising: the encoder reads a text with sentences permuted and spans infilled, the decoder all of it.

row --body between its special ids--> noise (bart_noise.py) --> text_enc; the row --> text_dec, labels
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from maskgen.samples.arrays import Batch, decoder_fields
from maskgen.samples.errors import SampleError
from maskgen.schemes import bart_noise
from maskgen.schemes.bart_noise import BatchDraws, Noise, RowDraws
from maskgen.schemes.base import Scheme, checked_ids, checked_share
from maskgen.schemes.draws import Draws
from maskgen.schemes.uniform import Replacements
from maskgen.vocab import Ids, Vocab

MARKERS = ("##", "Ġ", "▁")
STOPS = (".", "!", "?")


class Bart(Scheme):
    """Noise in this order: sentence permutation, text infilling, insertion, rotation. The decoder predicts the row.

    Infilling takes ceil(rate x words) words in spans of Poisson(`poisson_lambda`) words (None: single words);
    `replace_length` 1 shows one token for a span, 0 none, -1 one for each token of it: [MASK], or for a share of
    `random` any other. A span of length 0 is an inserted token; `insert` adds ceil(insert x length) more. Insertions
    for which the row has no room are left out, and `truncated` is 1 then. `rotate` is the probability that a text
    begins elsewhere, `permute_sentences` the share of sentences that change places; sentences end with
    `sentence_end_ids` (by default the pieces ". ! ?"). Special ids before and after the text stay where they are;
    those inside move with their sentence and are never masked. The decoder starts with the end token, as BART does,
    and predicts every entry of the row.
    """

    name = "bart"

    def __init__(
        self,
        vocab: Vocab,
        seq_length: int,
        *,
        rate: float = 0.3,
        poisson_lambda: float | None = 3.0,
        replace_length: int = 1,
        random: float = 0.1,
        insert: float = 0.0,
        rotate: float = 0.0,
        permute_sentences: float = 1.0,
        sentence_end_ids: Sequence[int] | None = None,
    ) -> None:
        super().__init__(vocab, seq_length, rate=rate)
        mask_id, self.eos_id, self.pad_id = vocab.ids("mask", "eos", "pad")
        if poisson_lambda is not None and not 0.01 <= poisson_lambda <= 500:
            raise SampleError(f"poisson_lambda is {poisson_lambda!r}; expected 0.01 to 500, or None; correct it")
        if replace_length not in (-1, 0, 1):
            raise SampleError(f"replace_length is {replace_length!r}; expected -1, 0 or 1; correct it")
        self.poisson_lambda = None if poisson_lambda is None else float(poisson_lambda)
        self.ends = _sentence_ends(vocab, sentence_end_ids, permute_sentences)
        ends_sentence = np.zeros(len(vocab), np.bool_)
        ends_sentence[self.ends] = True
        self.noise = Noise(
            lengths=None if self.poisson_lambda is None else bart_noise.poisson(self.poisson_lambda),
            replace_length=int(replace_length),
            random=checked_share(random, "random"),
            insert=checked_share(insert, "insert"),
            rotate=checked_share(rotate, "rotate"),
            permute=checked_share(permute_sentences, "permute_sentences"),
            mask_id=mask_id,
            replacements=Replacements(vocab),
            ends_sentence=ends_sentence,
        )
        self.fields = decoder_fields(len(vocab) - 1, self.seq_length, self.seq_length)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments."""
        return {
            "rate": self.rate, "poisson_lambda": self.poisson_lambda, "replace_length": self.noise.replace_length,
            "random": self.noise.random, "insert": self.noise.insert, "rotate": self.noise.rotate,
            "permute_sentences": self.noise.permute, "sentence_end_ids": self.ends.tolist(),
        }  # fmt: skip

    def fill(self, tokens: Ids, lengths: Ids, draws: Draws, rate: float | None, out: Batch) -> int:
        """The encoder's texts row by row, the decoder's at once."""
        share = self.rate if rate is None else checked_share(rate, "rate")
        common = BatchDraws(draws, self.seq_length)
        out["text_enc"][...] = self.pad_id
        for row, length in enumerate(lengths.tolist()):
            text, truncated = self._noised(tokens[row, :length], share, RowDraws(common, row))
            out["text_enc"][row, : len(text)] = text
            out["lengths"][row] = len(text)
            out["truncated"][row] = truncated
        out["padding_mask"][...] = np.arange(self.seq_length) < out["lengths"][:, None]
        used = np.arange(self.seq_length) < lengths[:, None]
        starts = np.full((len(tokens), 1), self.eos_id)
        out["text_dec"][...] = np.where(used, np.concatenate((starts, tokens[:, :-1]), axis=1), self.pad_id)
        out["labels"][...] = np.where(used, tokens, -1)
        out["loss_mask"][...] = used
        out["lengths_dec"][...] = out["masked_counts"][...] = lengths
        places = np.flatnonzero(used)
        out["masked_positions"][: len(places)] = places
        out["masked_labels"][: len(places)] = tokens.ravel()[places]
        return len(places)

    def _noised(self, row: Ids, rate: float, draws: RowDraws) -> tuple[Ids, bool]:
        places = np.flatnonzero(self.ordinary[row])
        if not len(places):
            return row, False
        first, end = int(places[0]), int(places[-1]) + 1
        body = bart_noise.permute_sentences(row[first:end], self.noise, draws)
        ordinary = self.ordinary[body]
        begins = ordinary & (self.vocab.word_starts[body] | ~np.concatenate(([False], ordinary[:-1])))
        lengths = bart_noise.span_lengths(int(begins.sum()), rate, self.noise, draws)
        spans = lengths[lengths > 0]
        text = bart_noise.infill(body, begins, ordinary, spans, self.noise, draws)
        wanted = len(lengths) - len(spans) + math.ceil(self.noise.insert * len(text))
        room = self.seq_length - (len(row) - len(body)) - len(text)
        text = bart_noise.insert(text, min(wanted, room), self.noise, draws)
        text = bart_noise.rotate(text, self.noise, draws)
        return np.concatenate((row[:first], text, row[end:])), wanted > room


def _sentence_ends(vocab: Vocab, ids: Sequence[int] | None, permute: float) -> Ids:
    if ids is not None:
        return checked_ids(ids, "sentence_end_ids", vocab)
    spellings = {f"{marker}{stop}" for marker in ("", *MARKERS) for stop in STOPS}
    found = np.array([id_ for id_, piece in enumerate(vocab.pieces) if piece in spellings], np.int64)
    if not len(found) and permute:
        raise SampleError(
            f"{vocab.name} has no piece that ends a sentence ({' '.join(STOPS)}); expected some to permute sentences; "
            "pass sentence_end_ids, or permute_sentences=0"
        )
    return found
