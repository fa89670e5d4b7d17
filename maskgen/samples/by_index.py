"""Access by index, slice and batch, in arrays that are allocated or given: of samples in which nothing is masked."""

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from maskgen.samples.arrays import Batch, Field, allocate, checked_out
from maskgen.samples.checks import checked_indices, integer
from maskgen.samples.errors import SampleError
from maskgen.vocab import Ids
from preprocess import lost_page_count

Sample = dict[str, Any]


class ByIndex(ABC):
    """``each[i]``, ``each[i:j]``, ``each.batch(indices)``, each of them the same arrays."""

    fields: tuple[Field, ...]

    @abstractmethod
    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | np.integer[Any] | slice) -> Sample | list[Sample]:
        """One of them, a dict of arrays and numbers; or the list that a slice names."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.sample(operator.index(index))

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

    def allocate(self, batch_size: int, dtypes: Mapping[str, npt.DTypeLike] | None = None) -> Batch:
        """Arrays to pass to `batch` as `out`: int64, or of the type that `dtypes` gives for a name."""
        return allocate(self.fields, integer(batch_size, "batch_size", 0), dtypes)
