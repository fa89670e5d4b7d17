"""What all collators share: rows cut without losing their end, noise of each example, and the arrays of a batch.

examples --cut, pad--> tokens [B, L] --levels and places of the scheme masked-diffusion--> input_ids, target_ids, ...
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from maskgen.collators.examples import Example
from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError
from maskgen.schemes.draws import Draws
from maskgen.schemes.masked_diffusion import MaskedDiffusion
from maskgen.schemes.uniform import each_alone
from maskgen.vocab import Ids, Table, Vocab

Reals = npt.NDArray[np.float32]


class _Inputs(TypedDict):
    input_ids: Ids
    attention_mask: Ids
    target_ids: Ids
    positions: Ids


class DiffusionBatch(_Inputs, total=False):
    """A batch to learn from. All arrays are [B, L], but for `t` and `weights`, which are [B] unless it is packed.

    `input_ids` has masks; `target_ids` is the same without them. `maskable` is 1 where there could have been one.
    """

    maskable: Ids
    t: Reals
    weights: Reals
    segment_ids: Ids


class PredictionBatch(_Inputs):
    """A batch to predict from: prefixes, padded on the left, and as targets what follows, padded on the right."""


class Noisy(NamedTuple):
    """Which places are hidden, and the time and weight of each example."""

    chosen: Table
    times: Reals
    weights: Reals


class Collator(ABC):
    """A collate_fn of a DataLoader; ``maskgen.datasets.collated(collator)`` gives tensors.

    Options are those of the scheme masked-diffusion: `kind`, `eps`, `rate` (one for all rows), ... With `mask_end` the
    end of a sequence ([SEP] or the like) is hidden as other tokens are, so that a model learns where texts end.
    """

    def __init__(
        self, vocab: Vocab, seq_length: int, *, seed: int = 1234, mask_end: bool = False, **options: Any
    ) -> None:
        self.scheme = MaskedDiffusion(vocab, seq_length, **options)
        self.vocab, self.seq_length, self.seed = vocab, self.scheme.seq_length, integer(seed, "seed", None)
        self.ends = frozenset(id_ for id_ in (vocab.sep_id, vocab.eos_id) if id_ is not None)
        self.mask_end = bool(mask_end)
        self._may_hide: Table = self.scheme.ordinary.copy()
        self._may_hide[list(self.ends)] |= self.mask_end

    @abstractmethod
    def __call__(self, examples: Sequence[Example]) -> DiffusionBatch | PredictionBatch:
        """The batch of these examples."""

    def cut(self, ids: Ids, length: int) -> Ids:
        """The first `length` ids; a sequence that has an end keeps it."""
        ids = self._checked(ids)
        if len(ids) <= length:
            return ids
        ended = length and int(ids[-1]) in self.ends
        return np.concatenate([ids[: length - 1], ids[-1:]]) if ended else ids[:length]

    def cut_prefix(self, ids: Ids, length: int) -> Ids:
        """The last `length` ids, and in place of their first the special token in front, if there is one."""
        ids = self._checked(ids)
        if len(ids) <= length:
            return ids
        led = length and not self.scheme.ordinary[ids[0]]
        return np.concatenate([ids[:1], ids[len(ids) - length + 1 :]]) if led else ids[len(ids) - length :]

    def _checked(self, ids: Ids) -> Ids:
        array = np.asarray(ids)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise SampleError(f"an example of {array.dtype} of the shape {array.shape}; expected ids in one dimension")
        if array.size and not 0 <= array.min() <= array.max() < len(self.vocab):
            raise SampleError(
                f"an example with ids from {array.min()} to {array.max()}; expected ids from 0 to "
                f"{len(self.vocab) - 1}; use the tokenizer that made them"
            )
        return array.astype(np.int64)

    def padded(self, rows: Sequence[Ids], width: int) -> tuple[Ids, Ids]:
        """Rows in a matrix, padded on the right, and their lengths."""
        if not rows:
            raise SampleError("a batch of no examples; expected at least one")
        lengths = np.array([len(row) for row in rows], np.int64)
        tokens = np.full((len(rows), width), self.scheme.pad_id, np.int64)
        tokens[np.arange(width) < lengths[:, None]] = np.concatenate(rows)
        return tokens, lengths

    def maskable(self, tokens: Ids, lengths: Ids) -> Table:
        """The places that may be hidden."""
        return self._may_hide[tokens] & (np.arange(tokens.shape[1]) < lengths[:, None])

    def hidden(self, among: Table, examples: Sequence[Example]) -> Noisy:
        """Each place `among` for itself, with the probability of its example."""
        chosen, times, weights = np.zeros_like(among), np.zeros(len(among)), np.zeros(len(among))
        for rows, draws in self.draws(examples):
            times[rows], shares, weights[rows] = self.scheme.levels(draws, None)
            chosen[rows] = each_alone(among[rows], draws, shares[:, None])
        return Noisy(chosen, times.astype(np.float32), weights.astype(np.float32))

    def draws(self, examples: Sequence[Example]) -> Iterable[tuple[Ids, Draws]]:
        """Rows of each epoch among the examples, and what they draw."""
        epochs = np.array([example.epoch for example in examples])
        indices = np.array([example.index for example in examples], np.int64)
        for epoch in np.unique(epochs):
            rows = np.flatnonzero(epochs == epoch)
            yield rows, Draws(self.seed, int(epoch), indices[rows])

    def noised(self, tokens: Ids, lengths: Ids, among: Table, examples: Sequence[Example]) -> DiffusionBatch:
        """The batch of rows that are padded on the right, hidden at places `among`."""
        noisy = self.hidden(among, examples)
        real = np.arange(self.seq_length) < lengths[:, None]
        return {
            "input_ids": np.where(noisy.chosen, self.scheme.mask_id, tokens),
            "attention_mask": real.astype(np.int64),
            "target_ids": tokens,
            "positions": positions_of(real),
            "maskable": among.astype(np.int64),
            "t": noisy.times,
            "weights": noisy.weights,
        }


def positions_of(real: Table) -> Ids:
    """The place of each token among those of its row, wherever the padding is; 0 in padding before them."""
    positions: Ids = np.maximum(real.cumsum(axis=1) - 1, 0)
    return positions
