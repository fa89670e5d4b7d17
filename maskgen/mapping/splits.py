"""Which documents are for training, for validation and for testing: ``969,30,1`` or ``0.9/0.1``."""

import math
import re
from collections.abc import Sequence

from maskgen.mapping.arguments import MappingError, whole_number

PARTS = ("train", "valid", "test")
EXPECTED = "one to three numbers, 0 or more and not all 0, are expected, as in 969,30,1 or 0.9/0.1"


def parse_split(split: str) -> list[float]:
    """The fraction of each of the three parts; parts that are not named get nothing.

    >>> parse_split("3/1")
    [0.75, 0.25, 0.0]
    """
    if not isinstance(split, str):
        raise MappingError(f"split is {split!r}; {EXPECTED}")
    try:
        numbers = [float(text) for text in re.split(r"[,/]", split)]
    except ValueError:
        raise MappingError(f"split is {split!r}; {EXPECTED}") from None
    return _fractions(numbers, split)


def _fractions(numbers: Sequence[float], split: object) -> list[float]:
    if len(numbers) > len(PARTS) or not all(0 <= number < math.inf for number in numbers) or not any(numbers):
        raise MappingError(f"split is {split!r}; {EXPECTED}")
    total = sum(numbers)
    if not 0 < total < math.inf:
        raise MappingError(f"split is {split!r}, which adds up to {total}; {EXPECTED}")
    return [number / total for number in (*numbers, *[0.0] * (len(PARTS) - len(numbers)))]


def _numbers(split: Sequence[float]) -> list[float]:
    try:
        return [float(number) for number in split]
    except (TypeError, ValueError):
        raise MappingError(f"split is {split!r}; {EXPECTED}") from None


def split_bounds(split: str | Sequence[float], documents: int, *, scheme: str = "current") -> list[int]:
    """Four document numbers: part i is documents ``bounds[i]`` to ``bounds[i+1]``.

    The ``current`` scheme rounds the cumulative fractions, as Megatron-LM does now; ``2022`` is its older one, which
    rounds each part and moves all later bounds by what is left over.
    """
    fractions = parse_split(split) if isinstance(split, str) else _fractions(_numbers(split), split)
    documents = whole_number("documents", documents, 0)
    bounds = [0]
    if scheme == "current":
        before = 0.0
        for fraction in fractions:
            before += fraction
            bounds.append(round(before * float(documents)))
    elif scheme == "2022":
        for fraction in fractions:
            bounds.append(bounds[-1] + round(fraction * float(documents)))
        too_many = bounds[-1] - documents
        bounds[1:] = [bound - too_many for bound in bounds[1:]]
        # Parts of nothing before the rest can be pushed below 0 or across each other there; nobody reads those.
        bounds = [max(0, min(bound, documents)) for bound in bounds]
    else:
        raise MappingError(f"scheme is {scheme!r}; current or 2022 is expected")
    return bounds


def part_documents(split: str | None, part: str | int | None, documents: int) -> tuple[int, int]:
    """First and one past the last document of a part, by name or number; of everything where there is no split."""
    if split is None and part is None:
        return 0, documents
    if split is None or part is None:
        raise MappingError(f"split is {split!r} and part {part!r}; give both or neither")
    if isinstance(part, str):
        if part not in PARTS:
            raise MappingError(f"part is {part!r}; one of {', '.join(PARTS)} is expected")
        number = PARTS.index(part)
    else:
        number = whole_number("part", part, 0, len(PARTS) - 1)
    bounds = split_bounds(split, documents)
    return bounds[number], bounds[number + 1]
