"""What the functions of this package accept. Every refusal is a ValueError that names argument, value and expectation.

Data flow: numbers and the types and shapes of arrays are looked at here, for both engines. What an array contains is
checked where it is read: in csrc/ for the native engine, by ``check_documents`` and its neighbours for the reference.
"""

import math
import operator
import os
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from preprocess.errors import MaskgenError

UNLIMITED = (1 << 63) - 1
LARGEST_SEED = (1 << 32) - 1
LARGEST_LENGTH = (1 << 31) - 1


class MappingError(MaskgenError, ValueError):
    """An argument that no mapping can be built from, or a cache file that is not one."""


def whole_number(name: str, value: object, least: int, most: int = UNLIMITED) -> int:
    """`value` as a Python integer of that range."""
    expected = f"a whole number from {least} to {most} is expected"
    if isinstance(value, (bool, np.bool_)):
        raise MappingError(f"{name} is {value!r}; {expected}")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise MappingError(f"{name} is {value!r}; {expected}") from None
    if not least <= number <= most:
        raise MappingError(f"{name} is {number}; {expected}")
    return number


def seed_number(value: object) -> int:
    """A seed of both generators: 32 bits, 0 included."""
    return whole_number("seed", value, 0, LARGEST_SEED)


def probability(name: str, value: object) -> float:
    """`value` as a float between 0 and 1."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        raise MappingError(f"{name} is {value!r}; a probability from 0 to 1 is expected")
    return number


def repetition(num_epochs: object, max_num_samples: object) -> tuple[int, int]:
    """Both limits as numbers; either may be None for no limit, but not both."""
    if num_epochs is None and max_num_samples is None:
        raise MappingError("num_epochs and max_num_samples are both None; give one of them, or both")
    return (
        UNLIMITED if num_epochs is None else whole_number("num_epochs", num_epochs, 1),
        UNLIMITED if max_num_samples is None else whole_number("max_num_samples", max_num_samples, 0),
    )


def integers(name: str, values: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """`values` as a contiguous array of one dimension and that type; a copy only where it has another one."""
    array = np.asarray(values)
    if not isinstance(values, np.ndarray) and array.size == 0:
        array = np.empty(array.shape, dtype)  # an empty list has no type of its own
    _must_be(name, array, kinds="iu", expected="integers")
    wanted = np.dtype(dtype)
    if array.dtype == wanted:
        return np.ascontiguousarray(array)
    limits = np.iinfo(wanted)
    if array.size and not (limits.min <= int(array.min()) and int(array.max()) <= limits.max):
        outside = int(array.max()) if int(array.max()) > limits.max else int(array.min())
        raise MappingError(f"{name} contains {outside}; numbers from {limits.min} to {limits.max} are expected")
    return np.ascontiguousarray(array, wanted)


def weights_of(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Weights as doubles: finite, not negative, at least one of them positive."""
    array = np.asarray(values)
    _must_be("weights", array, kinds="fiu", expected="numbers")
    weights: npt.NDArray[np.float64] = np.require(array, np.float64, ["C", "A"])
    if not len(weights):
        raise MappingError("weights is empty; one weight for each dataset is expected")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        found = weights[bad[0]]
        raise MappingError(f"weights[{bad[0]}] is {found}; finite numbers, 0 or more, are expected")
    if not weights.any():
        raise MappingError("weights are all 0; at least one must be positive")
    return weights


def _must_be(name: str, array: npt.NDArray[Any], kinds: str, expected: str) -> None:
    if array.ndim != 1:
        raise MappingError(f"{name} has {array.ndim} dimensions; one is expected")
    if array.dtype.kind not in kinds:
        raise MappingError(f"{name} is an array of {array.dtype}; {expected} are expected")


def check_titles(title_sizes: npt.NDArray[np.int32], documents: int) -> None:
    """One title a document, none of negative length."""
    if len(title_sizes) != documents:
        raise MappingError(
            f"title_sizes has {len(title_sizes)} entries; one for each of the {documents} documents is expected"
        )
    check_sizes(title_sizes, "title_sizes")


def check_sizes(sizes: npt.NDArray[Any], name: str = "sizes") -> None:
    """No size may be negative."""
    if len(sizes) and sizes.min() < 0:
        place = int(np.flatnonzero(sizes < 0)[0])
        raise MappingError(f"{name}[{place}] is {sizes[place]}; 0 tokens or more are expected")


def check_documents(documents: npt.NDArray[np.int64], sentences: int) -> None:
    """Boundaries must lie inside the sentences and never fall."""
    before = 0
    for place, boundary in enumerate(documents.tolist()):
        if not 0 <= boundary <= sentences:
            raise MappingError(
                f"documents[{place}] is {boundary}; an index of a sentence is expected, 0 to {sentences}"
            )
        if boundary < before:
            raise MappingError(
                f"documents[{place}] is {boundary}; boundaries must not fall, and the one before it is {before}"
            )
        before = boundary


def check_tokens(
    sizes: npt.NDArray[Any], document_idx: npt.NDArray[Any], num_epochs: int, tokens_per_epoch: int
) -> None:
    """Every document must exist, and all of them together have the tokens that are claimed."""
    outside = np.flatnonzero((document_idx < 0) | (document_idx >= len(sizes)))
    if len(outside):
        place = int(outside[0])
        raise MappingError(
            f"document_idx[{place}] is {document_idx[place]}; a document is expected, 0 to {len(sizes) - 1}"
        )
    total = sum(sizes[document_idx].tolist())
    if total != num_epochs * tokens_per_epoch:
        raise MappingError(
            f"tokens_per_epoch is {tokens_per_epoch} and num_epochs {num_epochs}; document_idx has {total} tokens "
            f"in all, which is not their product"
        )


def memory_limit() -> int:
    """Bytes that this machine, or the container around this process, has: what no result can be larger than."""
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError), open(path, encoding="ascii") as file:
            limit = min(limit, int(file.read()))
    return limit
