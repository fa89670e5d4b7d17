"""Blends of many datasets: what ``PREFIX=WEIGHT`` means, and how much of each dataset a blend takes."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from maskgen.mapping.arguments import MappingError, weights_of
from maskgen.mapping.build import build_blending_indices, dataset_dtype

Counts = npt.NDArray[np.int64]


def parse_blend(items: Sequence[str]) -> tuple[list[str], list[float] | None]:
    """Prefixes and weights of ``PREFIX=WEIGHT`` items; None for the weights where no item has one.

    >>> parse_blend(["wiki=3", "books=1"])
    (['wiki', 'books'], [3.0, 1.0])
    """
    if not items:
        raise MappingError("a blend of no datasets; at least one PREFIX or PREFIX=WEIGHT is expected")
    prefixes, weights = [], []
    for item in items:
        prefix, sign, text = item.rpartition("=")
        if not sign:
            prefixes.append(item)
            continue
        try:
            weights.append(float(text))
        except ValueError:
            raise MappingError(f"{item!r}: the weight is {text!r}; a number is expected, as in PREFIX=0.3") from None
        prefixes.append(prefix)
    if weights and len(weights) != len(prefixes):
        raise MappingError(f"{len(weights)} of {len(prefixes)} datasets have a weight; give one to all or to none")
    if not all(prefixes):
        raise MappingError("a dataset without a name; PREFIX or PREFIX=WEIGHT is expected")
    return prefixes, weights_of(weights).tolist() if weights else None


def normalized(weights: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The weights divided by their sum, as Megatron-LM divides them."""
    checked = weights_of(weights)
    with np.errstate(over="ignore"):
        if not np.isfinite(checked.sum()):  # weights near the largest double
            checked = checked / checked.max()
    return np.asarray(checked / np.sum(checked), np.float64)


def blend(weights: npt.ArrayLike, size: int) -> tuple[npt.NDArray[np.integer], Counts, Counts]:
    """A blend of `size` samples: for each the dataset and the number of its sample; then how many each dataset gives.

    Datasets of weight 0 are left out, which ``build_blending_indices`` by itself does not do: a weight of 0 wins a
    draw there whenever all others are ahead of theirs.
    """
    shares = normalized(weights)
    taking_part = np.flatnonzero(shares)
    datasets, samples = build_blending_indices(shares[taking_part], size)
    counts = np.zeros(len(shares), np.int64)
    counts[taking_part] = np.bincount(datasets, minlength=len(taking_part))
    return taking_part.astype(dataset_dtype(len(shares)))[datasets], samples, counts
