"""Which samples a report looks at: evenly over the draws of one epoch, of one dataset or of a blend of several.

draw --BlendTree--> dataset, number --divided by its samples--> epoch, index --> batches of one dataset and epoch
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from maskgen.batches import Blend
from maskgen.report.looking import Look, Seen, strata
from maskgen.samples.arrays import Batch
from maskgen.samples.opening import AnySamples
from maskgen.vocab import Ids

ROWS, CELLS = 1024, 1 << 20  # most of what is looked at together


@dataclass(frozen=True)
class Pick:
    """One sample: of which dataset, in which epoch, which of its samples."""

    dataset: int
    epoch: int
    index: int


@dataclass(frozen=True)
class Share:
    """A dataset's part of a blend: what it is to have, and what it has after `draws`."""

    target: float
    drawn: int
    achieved: float
    samples: int

    @property
    def epochs(self) -> float:
        """How often each of its samples is seen, on average."""
        return self.drawn / self.samples


class Mixture:
    """Samples objects, and the draws of an epoch of them."""

    def __init__(self, samples: Sequence[AnySamples], weights: Sequence[float] | None, draws: int | None) -> None:
        self.samples = samples
        self.blend = Blend(samples, weights, size=draws)

    def picks(self, look: Look, wanted: int, stream: int) -> list[Pick]:
        """At most `wanted` samples, evenly over the draws."""
        places = strata(len(self.blend), wanted, look.seed, stream)
        datasets, numbers = self.blend.tree.locate(places.astype(np.uint64))
        found = []
        for dataset, number in zip(datasets.tolist(), numbers.tolist(), strict=True):
            epoch, index = divmod(number, self.blend.lengths[dataset])
            found.append(Pick(dataset, epoch, index))
        return found

    def batches(self, picks: Sequence[Pick], threads: int) -> Iterator[tuple[int, Ids, Batch]]:
        """Dataset, indices and arrays of all picks; the order is that of datasets and epochs."""
        width = max(field.width for each in self.samples for field in each.fields)
        rows = max(1, min(ROWS, CELLS // width))
        groups: dict[tuple[int, int], list[int]] = {}
        for pick in picks:
            groups.setdefault((pick.dataset, pick.epoch), []).append(pick.index)
        for (dataset, epoch), indices in sorted(groups.items()):
            for first in range(0, len(indices), rows):
                part = np.array(indices[first : first + rows], np.int64)
                yield dataset, part, self.samples[dataset].batch(part, threads=threads, epoch=epoch)

    def shares(self) -> list[Share]:
        """Of each dataset, after one epoch of the blend."""
        drawn = self.blend.drawn(len(self.blend)).tolist()
        return [
            Share(float(weight), count, count / max(len(self.blend), 1), length)
            for weight, count, length in zip(self.blend.weights, drawn, self.blend.lengths, strict=True)
        ]

    def seen(self, picks: Sequence[Pick]) -> Seen:
        """How many draws that is."""
        return Seen(len(picks), len(self.blend))
