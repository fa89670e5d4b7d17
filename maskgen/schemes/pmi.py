"""PMI masking: n-grams of words that belong together are masked together, so that none gives the others away.

words --longest n-gram from each on--> units --in random order, up to the share--> places --80/10/10--> text
"""

import os
import reprlib
from typing import Any

import numpy as np

from maskgen.identity import array_digest
from maskgen.samples.arrays import Batch
from maskgen.samples.errors import SampleError
from maskgen.schemes.base import EncoderScheme, checked_share, write_masked
from maskgen.schemes.draws import Draws, in_order
from maskgen.schemes.ngrams import NGrams
from maskgen.schemes.uniform import Replacements, Treatment, shown, word_begins
from maskgen.schemes.words import WordRuns
from maskgen.vocab import Ids, Table, Vocab

UNIT = 0  # stream; uniform.py has those of decisions and replacements


class Pmi(EncoderScheme):
    """Masks round(rate x n) of a row's n ordinary tokens (at least one, halves to even), in whole units.

    A unit is an n-gram of `ngrams` (a file of ``maskgen pmi``, or NGrams), or else a word: the longest n-gram from the
    first word on, then from the first word after it. Units are gone through in random order; one that is larger than
    what is left is passed over, so a row may fall short where its words are long. Each masked token is shown as
    [MASK], as another or as it is for itself, as in BERT. Special ids are in no unit.
    """

    name = "pmi"

    def __init__(
        self,
        vocab: Vocab,
        seq_length: int,
        *,
        ngrams: str | os.PathLike[str] | NGrams | None = None,
        rate: float = 0.15,
        random: float = 0.1,
        leave: float = 0.1,
    ) -> None:
        super().__init__(vocab, seq_length, rate=rate)
        if not isinstance(ngrams, (str, os.PathLike, NGrams)):
            found = "without ngrams" if ngrams is None else f"with {reprlib.repr(ngrams)} as ngrams"
            raise SampleError(f"pmi {found}; expected a file of n-grams; find them with maskgen pmi")
        self.ngrams = ngrams if isinstance(ngrams, NGrams) else NGrams.load(ngrams, vocab)
        self.leave = checked_share(leave, "leave")
        self.treatment = Treatment(1 - checked_share(random, "random") - self.leave, random)
        self.replacements = Replacements(vocab)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments; n-grams as their number and digest."""
        return {
            "ngrams": [len(self.ngrams), array_digest(self.ngrams.lengths), array_digest(self.ngrams.tokens)],
            "rate": self.rate, "random": self.treatment.random, "leave": self.leave,
        }  # fmt: skip

    def fill(self, tokens: Ids, lengths: Ids, draws: Draws, rate: float | None, out: Batch) -> int:
        """Find units, choose, show, write."""
        share = self.rate if rate is None else checked_share(rate, "rate")
        among = self.maskable(tokens, lengths)
        chosen = self._choose(tokens, among, draws, share)
        text = shown(tokens, chosen, draws, self.treatment, self.replacements, self.mask_id)
        return write_masked(tokens, text, chosen, lengths, self.pad_id, out)

    def _choose(self, tokens: Ids, among: Table, draws: Draws, rate: float) -> Table:
        rows, width = among.shape
        ordinary = among.sum(axis=1)
        budgets = np.where((ordinary > 0) & (rate > 0), np.maximum(np.rint(rate * ordinary), 1), 0).astype(np.int64)
        begins = word_begins(among, tokens, self.vocab.word_starts)
        flat = np.ascontiguousarray(tokens).ravel()
        words = WordRuns.of(flat, among.ravel(), begins.ravel(), np.arange(rows) * width)
        heads, ends = _units(words, self.ngrams.longest_from(flat, words))
        is_head = np.zeros(rows * width, np.bool_)
        is_head[heads] = True
        ranks = draws.ranks(UNIT, is_head.reshape(rows, width))
        last = np.zeros(rows * width, np.int64)
        last[heads] = ends
        chosen = np.zeros(rows * width, np.bool_)
        for row in range(rows):
            left, base = int(budgets[row]), row * width
            if not left:
                continue
            order = in_order(ranks[row], int(is_head[base : base + width].sum()))
            sizes = (last[base : base + width] - np.arange(base, base + width))[order].tolist()
            for place, size in zip(order, sizes, strict=True):
                if size <= left:
                    chosen[base + place : base + place + size] = True
                    left -= size
                    if left == 0:
                        break
        return chosen.reshape(rows, width)


def _units(words: WordRuns, sizes: Ids) -> tuple[Ids, Ids]:
    """Where each unit starts and ends: of the words that start n-grams, those that no earlier one has taken."""
    taken = np.ones(len(sizes), np.bool_)  # words that start a unit
    last = words.ends.copy()
    free = 0
    for word in np.flatnonzero(sizes > 1).tolist():
        if word >= free:
            free = word + int(sizes[word])
            taken[word + 1 : free] = False
            last[word] = words.ends[free - 1]
    return words.starts[taken], last[taken]
