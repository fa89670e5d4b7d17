"""How often each id occurs: in all tokens of a dataset, or in runs of neighbouring ones drawn evenly over it.

tokens --runs of RUN tokens--> counts by id --> ranks, unknown and unused share
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from maskgen.report.looking import TOKENS, Look, Seen, strata
from maskgen.vocab import Ids
from preprocess import IndexedDataset

RUN = 1 << 16
MOST_IDS = 1 << 24  # ids from here on are no ids of a vocabulary; they are counted together
POINTS_A_DECADE = 16


@dataclass(frozen=True)
class Vocabulary:
    """What a tokenizer says of its ids."""

    name: str
    pieces: Sequence[str]
    unknown: int | None
    special: frozenset[int]
    digest: str


@dataclass(frozen=True)
class TokenFacts:
    """Counts by id, and the tokens that they come from; `outside` are no ids of the vocabulary."""

    seen: Seen
    runs: int
    counts: Ids
    outside: int

    @property
    def by_rank(self) -> Ids:
        """The ids that occur, the most frequent first, equal ones by their number."""
        order = np.lexsort((np.arange(len(self.counts)), -self.counts))
        return order[: int(np.count_nonzero(self.counts))]

    def merged(self, other: "TokenFacts") -> "TokenFacts":
        """Both together."""
        counts = np.zeros(max(len(self.counts), len(other.counts)), np.int64)
        for each in (self.counts, other.counts):
            counts[: len(each)] += each
        seen = Seen(self.seen.looked + other.seen.looked, self.seen.total + other.seen.total)
        return TokenFacts(seen, self.runs + other.runs, counts, self.outside + other.outside)


def runs_to_look_at(totals: Sequence[int], look: Look) -> list[Ids]:
    """Which runs of datasets with so many tokens: evenly over all of them, so that the sums are those of the whole."""
    runs = [-(-total // RUN) for total in totals]
    ends = np.cumsum(runs, dtype=np.int64)
    chosen = strata(sum(runs), sum(runs) if look.full else -(-look.tokens // RUN), look.seed, TOKENS)
    parts = np.split(chosen, np.searchsorted(chosen, ends[:-1]))
    return [part - (end - count) for part, end, count in zip(parts, ends.tolist(), runs, strict=True)]


def token_facts(dataset: IndexedDataset, chosen: Ids, size: int | None) -> TokenFacts:
    """Count ids in these runs; `size` is that of the vocabulary, where it is known."""
    tokens = dataset.tokens
    limit = MOST_IDS if size is None else size
    counts, outside, looked = np.zeros(size or 0, np.int64), 0, 0
    for run in chosen.tolist():
        part = tokens[run * RUN : (run + 1) * RUN].astype(np.int64)
        looked += len(part)
        fits = (part >= 0) & (part < limit)
        if not fits.all():
            outside += len(part) - int(fits.sum())
            part = part[fits]
        found = np.bincount(part, minlength=len(counts))
        if len(found) > len(counts):
            counts = np.pad(counts, (0, len(found) - len(counts)))
        counts += found
    return TokenFacts(Seen(looked, len(tokens)), len(chosen), counts, outside)


def ranks_to_show(count: int) -> list[int]:
    """Some of the ranks from 1 to `count`, even on a logarithmic scale, the first and the last of them too."""
    ranks: list[int] = []
    step = 0
    while (rank := round(10 ** (step / POINTS_A_DECADE))) < count:
        if not ranks or rank > ranks[-1]:
            ranks.append(rank)
        step += 1
    return [*ranks, count] if count else []


def load_vocabulary(path: str, roles: Mapping[str, str]) -> Vocabulary:
    """The pieces of a tokenizer."""
    from preprocess import load_tokenizer

    tokenizer = load_tokenizer(path, engine="reference", roles=dict(roles) or None, sample_one_in=0)
    return Vocabulary(path, tokenizer.pieces, tokenizer.roles.unk, frozenset(tokenizer.special_ids), tokenizer.digest)
