"""How good what was written is.

ids, targets --which places count--> Tally of right ones: tallies of batches add up
model, ids --masks taken away in k passes, in a random order--> Perplexity: the nats of each row, and how many tokens
"""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maskgen.train.denoising.predictor import Model, numbered, real_tokens
from maskgen.train.denoising.sampling import row_seed
from maskgen.train.denoising.schedule import SCHEDULES, budget
from maskgen.train.errors import TrainError
from maskgen.train.objectives.ready import positions_of

_LARGEST = math.log(sys.float_info.max)


@dataclass(frozen=True)
class Tally:
    """How many of how many are right."""

    right: int
    total: int

    @property
    def share(self) -> float:
        """NaN of nothing."""
        return self.right / self.total if self.total else math.nan

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.right + other.right, self.total + other.total)


@dataclass(frozen=True)
class Perplexity:
    """The nats of each row [B], and how many tokens each had to be predicted [B]."""

    nats: Tensor
    tokens: Tensor

    @property
    def value(self) -> float:
        """Of all rows together; NaN of nothing, and infinite where no float is large enough."""
        total = int(self.tokens.sum())
        if not total:
            return math.nan
        mean = float(self.nats.sum()) / total
        return math.exp(mean) if mean < _LARGEST else math.inf


def exact_match(ids: Tensor, targets: Tensor, masked: Tensor) -> Tally:
    """Rows that are right at every place of `masked` [B, L]; rows without such a place do not count."""
    _check(ids, targets, masked)
    asked = masked.bool().any(1)
    right = ((ids == targets) | ~masked.bool()).all(1) & asked
    return Tally(int(right.sum()), int(asked.sum()))


def infill_accuracy(ids: Tensor, targets: Tensor, masked: Tensor) -> Tally:
    """Places of `masked` [B, L] that are right."""
    _check(ids, targets, masked)
    return Tally(int(((ids == targets) & masked.bool()).sum()), int(masked.bool().sum()))


def seq2seq_exact_match(
    written: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    *,
    eos_id: int | None = None,
    pad_id: int | None = None,
) -> Tally:
    """Continuations that are their target, both up to the first end, and without padding after them."""
    pairs = _pairs(written, targets, eos_id, pad_id)
    return Tally(sum(ours == theirs for ours, theirs in pairs), len(pairs))


def seq2seq_token_accuracy(
    written: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    *,
    eos_id: int | None = None,
    pad_id: int | None = None,
) -> Tally:
    """Tokens of the targets that stand at the same place of the continuation; the end is one of them."""
    pairs = _pairs(written, targets, eos_id, pad_id)
    right = sum(a == b for ours, theirs in pairs for a, b in zip(ours, theirs, strict=False))
    return Tally(right, sum(len(theirs) for _, theirs in pairs))


def _pairs(
    written: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], eos_id: int | None, pad_id: int | None
) -> list[tuple[list[int], list[int]]]:
    if len(written) != len(targets):
        raise TrainError(f"{len(written)} rows for {len(targets)} targets; expected one each; pass those of one batch")
    return list(zip(_ended(written, eos_id, pad_id), _ended(targets, eos_id, pad_id), strict=True))


def _ended(rows: Sequence[Sequence[int]], eos_id: int | None, pad_id: int | None) -> list[list[int]]:
    found = []
    for row in rows:
        ids = row.tolist() if isinstance(row, Tensor) else list(row)
        if eos_id is not None and eos_id in ids:
            ids = ids[: ids.index(eos_id) + 1]
        while pad_id is not None and pad_id != eos_id and ids and ids[-1] == pad_id:
            ids.pop()
        found.append(ids)
    return found


def _check(ids: Tensor, targets: Tensor, masked: Tensor) -> None:
    if not ids.shape == targets.shape == masked.shape or ids.dim() != 2:
        shapes = ", ".join(str(tuple(each.shape)) for each in (ids, targets, masked))
        raise TrainError(
            f"ids, targets and masked have shapes {shapes}; expected [B, L] of all; pass those of one batch"
        )


@torch.inference_mode()
def perplexity_by_unmasking(
    model: Model,
    ids: Tensor,
    attention_mask: Tensor | None = None,
    *,
    mask_id: int,
    passes: int,
    keep: Iterable[int] = (),
    seed: int = 1234,
    numbers: Sequence[int] | None = None,
) -> Perplexity:
    """The perplexity of given rows, taken from masks alone to the whole row in `passes` passes of the model.

    Each row has a random order of its tokens, all but those of `keep` (special tokens: what is known without looking).
    A pass predicts the next ones, evenly many, from those before them. The probabilities of a row multiply to one of
    all rows of its length: it is a likelihood, that of writing the row in this order, and no better for being looked
    up. More passes ask for fewer at once, so they come closer to one token at a time, and cost more.
    """
    real = real_tokens(ids, attention_mask)
    if not isinstance(passes, int) or passes < 1:
        raise TrainError(f"passes is {passes!r}; expected a whole number from 1 on; correct it")
    if (ids == mask_id).any():
        raise TrainError(f"found the mask, id {mask_id}, in rows to be measured; expected whole ones; fill them first")
    positions = positions_of(real)
    hidden = real & ~torch.isin(ids, torch.tensor(sorted(keep), dtype=ids.dtype, device=ids.device))
    counts = hidden.sum(1)
    turns = _turns(hidden, passes, seed, numbered(len(ids), numbers))
    nats = torch.zeros(len(ids), dtype=torch.float64, device=ids.device)
    for turn in range(passes):
        asked = turns == turn
        if not asked.any():
            continue
        shown = torch.where(hidden & (turns >= turn), mask_id, ids)
        logits = model(shown, attention_mask=real, positions=positions)[asked].double()
        found = torch.nn.functional.cross_entropy(logits, ids[asked], reduction="none")
        nats += torch.zeros_like(asked, dtype=found.dtype).masked_scatter(asked, found).sum(1)
    return Perplexity(nats, counts)


def _turns(hidden: Tensor, passes: int, seed: int, numbers: Sequence[int]) -> Tensor:
    """In which pass each place is predicted, [B, L]; -1 for those that are not."""
    turns = torch.full(hidden.shape, -1, device=hidden.device)
    for row, number in zip(range(len(hidden)), numbers, strict=True):
        places = hidden[row].nonzero().squeeze(1)
        order = torch.randperm(len(places), generator=torch.Generator().manual_seed(row_seed(seed, number)))
        begins = 0
        for turn in range(passes):
            size = budget(len(places) - begins, turn + 1, passes, SCHEDULES["linear"])
            turns[row, places[order[begins : begins + size].to(places.device)]] = turn
            begins += size
    return turns
