"""Counts over samples: how full they are, what became of tokens by their place and by their id.

batches --restore--> tokens, treatments --bincount--> MaskFacts
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from maskgen.report.looking import Seen
from maskgen.report.restored import PADDING, PLAIN, PREDICTED, SPECIAL, WORDS, Restored, restore
from maskgen.samples.arrays import Batch
from maskgen.vocab import Ids, Vocab

KINDS = len(WORDS)


@dataclass
class MaskFacts:
    """Sums over the samples that were looked at. Tables have a row for each treatment of `restored.WORDS`."""

    scheme: str
    seen: Seen
    width: int
    lengths: Ids  # how many samples have 0, 1, ... width entries in use
    decoder: Ids | None = None  # the same of decoders
    truncated: int | None = None
    is_random: int | None = None
    by_place: Ids | None = None  # None where tokens have no places of their own
    by_token: Ids | None = None
    runs: dict[int, int] = field(default_factory=dict)  # of neighbouring predicted tokens, by length

    @property
    def samples(self) -> int:
        """How many were looked at."""
        return self.seen.looked

    def total(self, *kinds: int) -> int:
        """Tokens of these treatments."""
        return 0 if self.by_place is None else int(self.by_place[list(kinds)].sum())

    @property
    def in_use(self) -> int:
        """Entries that are no padding."""
        return int((self.lengths * np.arange(len(self.lengths))).sum())


def mask_facts(
    scheme: str, seen: Seen, width: int, vocab: Vocab, batches: Iterable[tuple[int, Ids, Batch]]
) -> MaskFacts:
    """Count over all `batches`."""
    facts = MaskFacts(scheme, seen, width, np.zeros(width + 1, np.int64))
    for _, _, batch in batches:
        facts.lengths += np.bincount(batch["lengths"], minlength=width + 1)
        if "lengths_dec" in batch:
            found = np.bincount(batch["lengths_dec"], minlength=batch["labels"].shape[1] + 1)
            facts.decoder = found if facts.decoder is None else facts.decoder + found
        for name in ("truncated", "is_random"):
            if name in batch:
                setattr(facts, name, (getattr(facts, name) or 0) + int(batch[name].sum()))
        restored = restore(scheme, batch, vocab)
        if restored is not None:
            _add(facts, restored, len(vocab))
    return facts


def _add(facts: MaskFacts, restored: Restored, vocabulary: int) -> None:
    rows, width = restored.tokens.shape
    kinds = restored.treatment.astype(np.int64)
    places = np.bincount((kinds * width + np.arange(width)).ravel(), minlength=KINDS * width).reshape(KINDS, width)
    used = kinds != PADDING
    flat = kinds[used] * vocabulary + restored.tokens[used]
    ids = np.bincount(flat, minlength=KINDS * vocabulary).reshape(KINDS, vocabulary)
    facts.by_place = _sum_of(facts.by_place, places)
    facts.by_token = _sum_of(facts.by_token, ids)
    predicted = np.zeros((rows, width + 2), np.bool_)
    predicted[:, 1:-1] = np.isin(kinds, PREDICTED)
    turns = np.flatnonzero(np.diff(predicted.ravel().astype(np.int8)))
    for length, count in zip(*np.unique(turns[1::2] - turns[::2], return_counts=True), strict=True):
        facts.runs[int(length)] = facts.runs.get(int(length), 0) + int(count)


def _sum_of(one: Ids | None, other: Ids) -> Ids:
    """The sum of two tables; of places, one may have more columns."""
    if one is None:
        return other
    columns = max(one.shape[1], other.shape[1])
    both = (np.pad(each, ((0, 0), (0, columns - each.shape[1]))) for each in (one, other))
    total: Ids = np.add(*both)
    return total


def rates_by_place(facts: MaskFacts, bins: int) -> list[tuple[int, int, Ids]]:
    """First and one past the last place of each bin, and its counts by treatment, without the places nobody uses."""
    if facts.by_place is None:
        return []
    used = np.flatnonzero(np.delete(facts.by_place, PADDING, axis=0).sum(axis=0))
    width = int(used[-1]) + 1 if len(used) else 0
    step = max(1, -(-width // bins))
    found = []
    for first in range(0, width, step):
        last = min(first + step, width)
        found.append((first, last, facts.by_place[:, first:last].sum(axis=1)))
    return found


def ordinary_by_rank(facts: MaskFacts) -> tuple[Ids, npt.NDArray[np.int64]]:
    """The ids that may be predicted, the most frequent first, and how often each was there.

    Most special ids never are; [UNK] is, like any word, and then counts wherever it stands.
    """
    if facts.by_token is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    predicted = facts.by_token[list(PREDICTED)].sum(axis=0)
    counts = facts.by_token[PLAIN] + predicted + np.where(predicted > 0, facts.by_token[SPECIAL], 0)
    order = np.lexsort((np.arange(len(counts)), -counts))[: int(np.count_nonzero(counts))]
    return order, counts[order]


def entries(facts: MaskFacts) -> int:
    """Tokens that are no padding, special ones too."""
    return facts.total(PLAIN, SPECIAL, *PREDICTED)
