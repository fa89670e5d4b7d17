"""Costs as fixed + per byte + per document: fitted to runs, held against one that was left out, taken to any size.

runs --least squares of relative errors--> Cost --> predictions, and the plan of a whole cluster
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TERA, GIGA, MEGA = 1e12, 1e9, 1e6


@dataclass(frozen=True)
class Cost:
    """One kind of cost."""

    fixed: float
    text: float  # of a byte of input
    document: float

    def __call__(self, text: float, documents: float) -> float:
        """The cost of an input."""
        return self.fixed + self.text * text + self.document * documents


def fitted(points: Sequence[tuple[float, float, float]]) -> Cost:
    """The costs nearest to (text, documents, measured), none of them negative."""
    table = np.array([[1.0, text, documents] for text, documents, _ in points])
    values = np.array([value for _, _, value in points])
    weights = 1 / np.maximum(values, 1e-12)
    used = [0, 1, 2]
    while used:
        found = np.linalg.lstsq(table[:, used] * weights[:, None], values * weights, rcond=None)[0]
        if found.min() >= 0:
            break
        used.pop(int(found.argmin()))
    costs = np.zeros(3)
    costs[used] = found if used else 0.0
    return Cost(*costs.tolist())


@dataclass(frozen=True)
class Cluster:
    """What a plan is for; the rates of storage are assumptions, nothing here measures them."""

    terabytes: float = 10.0
    machines: int = 64
    cores: int = 64
    storage: float = 20e9  # bytes a second, all machines together
    stream: float = 1e9  # bytes a second, one process that reads and writes
    shard: float = 256 * 2.0**20

    @property
    def text(self) -> float:
        """Bytes of input."""
        return self.terabytes * TERA

    @property
    def shards(self) -> int:
        """Of all of it."""
        return round(self.text / self.shard)


def amount(value: float) -> str:
    """Bytes for people."""
    for unit, name in ((TERA, "TB"), (GIGA, "GB"), (MEGA, "MB"), (1e3, "kB")):
        if value >= unit:
            return f"{value / unit:.3g} {name}" if value < 1000 * unit else f"{value / unit:,.0f} {name}"
    return f"{value:.3g} bytes" if value >= 1 else "0 bytes"


def duration(seconds: float) -> str:
    """A time for people."""
    if seconds >= 3600:
        return f"{seconds / 3600:,.1f} h"
    if seconds >= 120:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.3g} s"
