"""Samples in which nothing is masked: batches in arrays that are allocated or given."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy.typing as npt

from maskgen.samples.arrays import Batch, checked_out
from maskgen.samples.by_index import ByIndex, Sample
from maskgen.samples.checks import checked_indices, integer
from maskgen.samples.errors import SampleError
from maskgen.vocab import Ids
from preprocess import lost_page_count


class Unmasked(ByIndex):
    """``each[i]``, ``each[i:j]``, ``each.batch(indices)``, each of them the same arrays."""

    def sample(self, index: int, *, epoch: int = 0, rate: float | None = None) -> Sample:
        """One of them, with the draws of an epoch."""
        batch = self.batch([index], epoch=epoch, rate=rate)
        return {name: array[0] for name, array in batch.items()}

    def batch(
        self,
        indices: Iterable[int] | npt.NDArray[Any],
        out: Batch | None = None,
        threads: int = 1,
        *,
        epoch: int = 0,
        rate: float | None = None,
    ) -> Batch:
        """Those at `indices`, stacked: new arrays, or `out`, from `allocate` or of the same make.

        The result does not depend on `threads`. There is nothing masked, so a `rate` is refused.
        """
        chosen = checked_indices(indices, len(self))
        integer(threads, "threads", 1)
        number = integer(epoch, "epoch", 0)
        if rate is not None:
            raise SampleError(
                f"rate is {rate!r} for a {type(self).__name__}; expected None: nothing is masked; leave it out"
            )
        out = self.allocate(len(chosen)) if out is None else checked_out(self.fields, out, len(chosen))
        before = lost_page_count()
        try:
            self._fill(chosen, number, out)
        finally:
            self._check_pages(before)
        return out

    @abstractmethod
    def _fill(self, indices: Ids, epoch: int, out: Batch) -> None:
        """Write the batch."""

    @abstractmethod
    def _check_pages(self, before: int) -> None:
        """Raise where zeros were read in place of a lost page, since `lost_page_count` was `before`."""
