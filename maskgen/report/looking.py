"""How much of a dataset a report looks at, and where: an even sample, drawn with a seed.

total, wanted --cut into `wanted` strata of the same size--> one place in each, drawn by hashing (seed, stratum)

So no part of a dataset is left out, no place is looked at twice, and the same seed gives the same places everywhere.
"""

from dataclasses import dataclass

import numpy as np

from maskgen.samples.checks import integer
from maskgen.schemes.draws import Draws, below
from maskgen.vocab import Ids

DOCUMENTS, TOKENS, SAMPLES, NGRAMS, SHOWN = range(96, 101)  # streams, apart from those of samples


@dataclass(frozen=True)
class Look:
    """The most of each kind that is looked at; `full` looks at all documents and tokens.

    A million documents take half a second, 50 million tokens two, 4,096 samples of 512 tokens three. Lengths of
    n-grams come from the readable twin of the masking, at some milliseconds a sample.
    """

    documents: int = 1_000_000
    tokens: int = 50_000_000
    samples: int = 4096
    ngrams: int = 256  # samples in which they are looked at
    shown: int = 8
    seed: int = 0
    full: bool = False

    def __post_init__(self) -> None:
        for name in ("documents", "tokens", "samples", "ngrams"):
            integer(getattr(self, name), f"--{name}", 1)
        integer(self.shown, "--show", 0)
        integer(self.seed, "--look-seed", None)


@dataclass(frozen=True)
class Seen:
    """How many of how many were looked at."""

    looked: int
    total: int

    @property
    def whole(self) -> bool:
        """Whether nothing was left out."""
        return self.looked == self.total

    def words(self, things: str) -> str:
        """For people: "all 12 documents", or "5 of 12 documents (41.7%)"."""
        if self.whole:
            return f"all {self.total:,} {things}"
        return f"{self.looked:,} of {self.total:,} {things} ({self.looked / self.total:.2%})"


def strata(total: int, wanted: int, seed: int, stream: int) -> Ids:
    """`wanted` places of `total`, rising, one in each stratum; all of them if there are no more."""
    if wanted >= total:
        return np.arange(total, dtype=np.int64)
    edges = np.array([number * total // wanted for number in range(wanted + 1)], np.int64)
    words = Draws(seed, 0, np.arange(wanted)).words(stream, 1)[:, 0]
    places: Ids = edges[:-1] + below(words, np.diff(edges))
    return places
