"""Collators of a prefix and what follows it: the suffix alone is hidden.

Seq2SeqTrainCollator  prefix, suffix, padding                        the least padding, for training
Seq2SeqCollator       padding, prefix | suffix, padding              all suffixes begin at one place
Seq2SeqPredCollator   padding, prefix ; target: suffix, padding      for a predictor that puts masks behind it

All three cut alike, and the first two hide the same tokens of an example.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from maskgen.collators.base import Collator, DiffusionBatch, PredictionBatch, positions_of
from maskgen.collators.examples import Example
from maskgen.samples.checks import integer
from maskgen.vocab import Ids, Vocab


class _PrefixCollator(Collator):
    """Prefixes of at most `prefix_length` ids, whose end is kept, and suffixes of at most `suffix_length`."""

    def __init__(self, vocab: Vocab, prefix_length: int, suffix_length: int, **options: Any) -> None:
        self.prefix_length = integer(prefix_length, "prefix_length", 0)
        self.suffix_length = integer(suffix_length, "suffix_length", 1)
        super().__init__(vocab, self.prefix_length + self.suffix_length, **options)

    def parts(self, examples: Sequence[Example]) -> tuple[list[Ids], list[Ids]]:
        """The prefixes and the suffixes, cut."""
        prefixes = [self.cut_prefix(each.ids[: each.prefix], self.prefix_length) for each in examples]
        return prefixes, [self.cut(each.ids[each.prefix :], self.suffix_length) for each in examples]

    def left_padded(self, prefixes: Sequence[Ids]) -> tuple[Ids, Ids]:
        """Prefixes that end at one place, and where they begin."""
        tokens, lengths = self.padded([row[::-1] for row in prefixes], self.prefix_length)
        return tokens[:, ::-1].copy(), self.prefix_length - lengths


class Seq2SeqTrainCollator(_PrefixCollator):
    """Prefix and suffix, padded on the right."""

    def __call__(self, examples: Sequence[Example]) -> DiffusionBatch:
        """The batch of these examples."""
        prefixes, suffixes = self.parts(examples)
        rows = [np.concatenate(pair) for pair in zip(prefixes, suffixes, strict=True)]
        tokens, lengths = self.padded(rows, self.seq_length)
        given = np.array([len(prefix) for prefix in prefixes], np.int64)
        among = self.maskable(tokens, lengths) & (np.arange(self.seq_length) >= given[:, None])
        return self.noised(tokens, lengths, among, examples)


class Seq2SeqCollator(Seq2SeqTrainCollator):
    """Prefixes padded on the left, suffixes on the right: every suffix begins at `prefix_length`."""

    def __call__(self, examples: Sequence[Example]) -> DiffusionBatch:
        """The batch of these examples."""
        batch = super().__call__(examples)
        prefixes, _ = self.parts(examples)
        shift = np.array([self.prefix_length - len(prefix) for prefix in prefixes], np.int64)
        # The padding at the right end of a row, of which there is at least as much, comes to its left end.
        places = (np.arange(self.seq_length) - shift[:, None]) % self.seq_length
        for name in ("input_ids", "attention_mask", "target_ids", "maskable"):
            batch[name] = np.take_along_axis(batch[name], places, axis=1)
        batch["positions"] = positions_of(batch["attention_mask"] != 0)
        return batch


class Seq2SeqPredCollator(_PrefixCollator):
    """Prefixes to go on from, padded on the left; the targets are the suffixes, or padding alone."""

    def __call__(self, examples: Sequence[Example]) -> PredictionBatch:
        """The prefixes of these examples, and their suffixes."""
        prefixes, suffixes = self.parts(examples)
        tokens, begins = self.left_padded(prefixes)
        real = np.arange(self.prefix_length) >= begins[:, None]
        return {
            "input_ids": tokens,
            "attention_mask": real.astype(np.int64),
            "target_ids": self.padded(suffixes, self.suffix_length)[0],
            "positions": positions_of(real),
        }
