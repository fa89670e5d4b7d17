"""Collators of whole sequences: any token hidden, a stretch of them hidden, several sequences in a row.

DefaultCollator    example = row, padded on the right; each maskable token hidden with the row's probability
InfillingCollator  the same with one stretch hidden, as long as the probability says
PackedCollator     several examples a row, each with noise, positions and segment of its own
"""

from collections.abc import Sequence

import numpy as np

from maskgen.collators.base import Collator, DiffusionBatch, Noisy
from maskgen.collators.examples import Example
from maskgen.schemes.draws import below, uniforms
from maskgen.vocab import Ids, Table

LENGTH, START = 6, 7  # streams, beside those of the scheme


class DefaultCollator(Collator):
    """Sequences cut to `seq_length` and padded to it. Masks are those that the scheme draws for the same rows."""

    def __call__(self, examples: Sequence[Example]) -> DiffusionBatch:
        """The batch of these examples."""
        tokens, lengths = self.padded([self.cut(each.ids, self.seq_length) for each in examples], self.seq_length)
        return self.noised(tokens, lengths, self.maskable(tokens, lengths), examples)


class InfillingCollator(DefaultCollator):
    """One stretch of maskable tokens hidden, at least one, of a share of them that is drawn as the scheme's times are.

    There is no bound in such masks, so there are no weights: use the weighting xlm.
    """

    def __call__(self, examples: Sequence[Example]) -> DiffusionBatch:
        """The batch of these examples."""
        batch = super().__call__(examples)
        del batch["weights"]
        return batch

    def hidden(self, among: Table, examples: Sequence[Example]) -> Noisy:
        """A stretch of each row."""
        chosen, times = np.zeros_like(among), np.zeros(len(among))
        number = among.cumsum(axis=1) - 1  # of each maskable token among those of its row
        counts = among.sum(axis=1)
        for rows, draws in self.draws(examples):
            times[rows], shares, _ = self.scheme.levels(draws, None)
            luck = uniforms(draws.words(LENGTH, 1))[:, 0]
            lengths = np.clip(
                (shares * counts[rows] + luck).astype(np.int64), np.minimum(counts[rows], 1), counts[rows]
            )
            starts = below(draws.words(START, 1)[:, 0], counts[rows] - lengths + 1)
            ends = starts + lengths
            chosen[rows] = among[rows] & (number[rows] >= starts[:, None]) & (number[rows] < ends[:, None])
        return Noisy(chosen, times.astype(np.float32), np.zeros(len(among), np.float32))


class PackedCollator(DefaultCollator):
    """Examples in as few rows as first-fit finds, in their order, with `segment_ids` from 0 on, -1 in padding.

    Each example is hidden as DefaultCollator hides it, `t` and `weights` are [B, L], and positions begin anew in every
    segment: attention has to stay within segments. Batches vary in their number of rows.
    """

    def __call__(self, examples: Sequence[Example]) -> DiffusionBatch:
        """The batch of these examples."""
        alone = super().__call__(examples)
        lengths = alone["attention_mask"].sum(axis=1)
        rows, starts, segments, count = first_fit(lengths, self.seq_length)
        shape = (count, self.seq_length)
        pad = self.scheme.pad_id
        packed: DiffusionBatch = {
            "input_ids": np.full(shape, pad, np.int64),
            "attention_mask": np.zeros(shape, np.int64),
            "target_ids": np.full(shape, pad, np.int64),
            "positions": np.zeros(shape, np.int64),
            "maskable": np.zeros(shape, np.int64),
            "t": np.zeros(shape, np.float32),
            "weights": np.zeros(shape, np.float32),
            "segment_ids": np.full(shape, -1, np.int64),
        }
        for number, (row, start, length) in enumerate(zip(rows, starts, lengths.tolist(), strict=True)):
            to = slice(start, start + length)
            for name in ("input_ids", "attention_mask", "target_ids", "positions", "maskable"):
                packed[name][row, to] = alone[name][number, :length]
            packed["t"][row, to], packed["weights"][row, to] = alone["t"][number], alone["weights"][number]
            packed["segment_ids"][row, to] = segments[number]
        return packed


def first_fit(lengths: Ids, width: int) -> tuple[list[int], list[int], list[int], int]:
    """Of each sequence its row, its first place and its number there; and how many rows there are."""
    used: list[int] = []
    held: list[int] = []
    rows, starts, numbers = [], [], []
    for length in lengths.tolist():
        row = next((row for row, end in enumerate(used) if end + length <= width), len(used))
        if row == len(used):
            used.append(0)
            held.append(0)
        rows.append(row)
        starts.append(used[row])
        numbers.append(held[row])
        used[row] += length
        held[row] += 1
    return rows, starts, numbers, len(used)
