"""Blends: samples of several datasets, drawn in proportion to weights.

samples objects, weights --> Blend --> BatchSource; each dataset goes through its own epochs, in its own order
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from maskgen.batches.errors import BatchError
from maskgen.batches.sizes import whole_number
from maskgen.batches.tree import BlendTree, Ids
from maskgen.identity import array_digest, settings_digest
from maskgen.mapping import MappingError, normalized
from maskgen.samples.arrays import Batch, Field

MOST_LISTED = 64  # datasets, in a description


class SamplesLike(Protocol):
    """What batches need of samples: BertSamples, T5Samples and SchemeSamples are such."""

    fields: tuple[Field, ...]

    def __len__(self) -> int: ...
    def batch(
        self, indices: Any, out: Batch | None = None, threads: int = 1, *, epoch: int = 0, rate: float | None = None
    ) -> Batch:
        """The samples at `indices`, stacked."""

    def allocate(self, batch_size: int, dtypes: Mapping[str, npt.DTypeLike] | None = None) -> Batch:
        """Arrays for batches of that size."""

    def describe(self) -> dict[str, Any]:
        """What the samples are a function of."""


class Blend:
    """Several samples objects of the same arrays, drawn by `weights`; by default by their numbers of samples.

    After any number of draws, each dataset has given its share of them to within one sample (up to three datasets; to
    within 1.7 for any number). A dataset that runs out starts its next epoch. `size` is how many draws count as one
    epoch of the blend, the number of all samples by default. A dataset of weight 0 is never drawn.
    """

    def __init__(
        self, samples: Sequence[SamplesLike], weights: npt.ArrayLike | None = None, *, size: int | None = None
    ) -> None:
        self.samples = tuple(samples)
        if not self.samples:
            raise BatchError("a blend of no datasets; expected at least one samples object; pass one")
        self.lengths = [len(each) for each in self.samples]
        try:
            self.weights = normalized(self.lengths if weights is None else weights)
        except MappingError as error:
            raise BatchError(f"a blend: {error}") from error
        if len(self.weights) != len(self.samples):
            raise BatchError(
                f"a blend of {len(self.samples)} datasets with {len(self.weights)} weights; expected one for each; "
                "correct them"
            )
        self.fields = self.samples[0].fields
        for number, (each, length, weight) in enumerate(zip(self.samples, self.lengths, self.weights, strict=True)):
            if weight and not length:
                raise BatchError(f"dataset {number} of a blend has no samples and the weight {weight}; leave it out")
            if each.fields is not self.fields and each.fields != self.fields:
                raise BatchError(f"dataset {number} of a blend {_difference(each.fields, self.fields)}")
        self.size = sum(self.lengths) if size is None else whole_number(size, "size", 1)
        taking_part = np.flatnonzero(self.weights).tolist()
        self.tree = BlendTree(self.weights[taking_part].tolist(), taking_part)

    def __len__(self) -> int:
        return self.size

    def drawn(self, draws: int) -> Ids:
        """How many of the first `draws` draws are from each dataset; divided by its length, its epochs."""
        return self.tree.counts(whole_number(draws, "draws", 0), len(self.samples))

    def describe(self) -> dict[str, Any]:
        """All that the samples and their order are a function of, as JSON; of many datasets, digests of groups."""
        parts = [each.describe() for each in self.samples]
        description: dict[str, Any] = {"kind": "blend", "size": self.size, "datasets": len(parts)}
        if len(parts) <= MOST_LISTED:
            return {**description, "weights": self.weights.tolist(), "parts": parts}
        step = -(-len(parts) // MOST_LISTED)
        groups = {
            f"{first} to {min(first + step, len(parts)) - 1}": settings_digest({"parts": parts[first : first + step]})
            for first in range(0, len(parts), step)
        }
        return {**description, "weights": array_digest(self.weights), "parts": groups}

    def __repr__(self) -> str:
        return f"Blend({len(self.samples)} datasets, {self.size} draws an epoch)"


def _difference(found: tuple[Field, ...], expected: tuple[Field, ...]) -> str:
    other, first = {field.name: field for field in found}, {field.name: field for field in expected}
    if set(other) != set(first):
        return f"has the arrays {', '.join(other)}; expected those of dataset 0: {', '.join(first)}; use one scheme"
    name = next((name for name in first if other[name] != first[name]), "")
    if not name:
        return "has its arrays in another order than dataset 0; use one scheme"
    return f"has {other[name]}; expected that of dataset 0, {first[name]}; use the same vocabulary and lengths for all"
