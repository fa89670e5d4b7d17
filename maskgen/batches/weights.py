"""Datasets with their weights, as people write them: PREFIX or PREFIX=WEIGHT."""

import math
from collections.abc import Callable, Iterable


def parse_weighted(texts: Iterable[str], error: Callable[[str], Exception]) -> list[tuple[str, float | None]]:
    """Each prefix with its weight, weights for all of them or for none; `error` makes an exception of what is wrong."""
    pairs = [_parse(text, error) for text in texts]
    bare = [prefix for prefix, weight in pairs if weight is None]
    if bare and len(bare) < len(pairs):
        raise error(f"{bare[0]} has no weight, and others have; expected PREFIX=WEIGHT for all, or none")
    return pairs


def _parse(text: str, error: Callable[[str], Exception]) -> tuple[str, float | None]:
    prefix, equals, weight = text.rpartition("=")
    try:
        number = float(weight) if equals and prefix else None
    except ValueError:  # a name with = in it
        number = None
    if number is None:
        return text, None
    if not 0 < number < math.inf:
        raise error(f"{text}; expected a weight above 0; correct it")
    return prefix, number
