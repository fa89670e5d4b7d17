"""What all samples share: access by index and slice, and the arrays of a batch."""

import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from maskgen.samples.arrays import Batch, Field, allocate
from maskgen.samples.checks import integer

Sample = dict[str, Any]


class ByIndex(ABC):
    """``samples[i]`` and ``samples[i:j]``, each by `sample`; and arrays for batches of `fields`."""

    fields: tuple[Field, ...]

    @abstractmethod
    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | np.integer[Any] | slice) -> Sample | list[Sample]:
        """One sample, a dict of arrays and numbers; or the list of them that a slice names."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.sample(operator.index(index))

    @abstractmethod
    def sample(self, index: int, *, epoch: int = 0, rate: float | None = None) -> Sample:
        """One sample, with the draws of an epoch."""

    def allocate(self, batch_size: int, dtypes: Mapping[str, npt.DTypeLike] | None = None) -> Batch:
        """Arrays to pass to `batch` as `out`, again and again.

        They are int64, float64 for reals, or of the type that `dtypes` gives for a name, checked to hold every value
        that can occur.
        """
        return allocate(self.fields, integer(batch_size, "batch_size", 0), dtypes)
