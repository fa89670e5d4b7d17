"""The order of samples in plain Python, one draw at a time: the definition of what `order` and `tree` compute."""

import math
from collections.abc import Sequence

from maskgen.batches.order import DOMAIN, ROUNDS
from maskgen.hashing import GAMMA

WORD = 1 << 64


def mix(z: int) -> int:
    """The finaliser of SplitMix64."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def permuted(position: int, length: int, *, seed: int, epoch: int = 0, dataset: int = 0) -> int:
    """Where the permutation of [0, length) sends `position`.

    >>> [permuted(position, 5, seed=1234) for position in range(5)]
    [1, 3, 4, 0, 2]
    """
    key = mix(mix(mix(mix(seed % WORD) ^ DOMAIN) ^ epoch) ^ dataset)
    height = math.isqrt(length - 1) + 1
    width = -(-length // height)
    while True:
        left, right = divmod(position, width)
        for turn in range(ROUNDS):
            if turn % 2 == 0:
                left = (left + _step(key, turn, right, height)) % height
            else:
                right = (right + _step(key, turn, left, width)) % width
        position = left * width + right
        if position < length:
            return position


def _step(key: int, turn: int, place: int, bound: int) -> int:
    return ((mix((key + GAMMA * ((turn << 32) + place + 1)) % WORD) >> 32) * bound) >> 32


def blended(draw: int, weights: Sequence[float]) -> tuple[int, int]:
    """The dataset of a draw, and how many draws of that dataset came before.

    >>> [blended(draw, [1.0, 2.0]) for draw in range(6)]
    [(1, 0), (0, 0), (1, 1), (1, 2), (0, 1), (1, 3)]
    """
    heaviest = max(weights)
    trees: list[tuple[int, int, object]] = [
        (max(1, round(weight / heaviest * 2**62)), dataset, dataset)
        for dataset, weight in enumerate(weights)
        if weight > 0
    ]
    while len(trees) > 1:
        lighter, heavier, *trees = sorted(trees, key=lambda tree: tree[:2])
        total = lighter[0] + heavier[0]
        share = min(WORD - 1, (heavier[0] * WORD + total // 2) // total)
        trees.append((total, min(lighter[1], heavier[1]), (share, heavier[2], lighter[2])))
    tree = trees[0][2]
    while isinstance(tree, tuple):
        share, left, right = tree
        before, after = ((number * share + WORD // 2) // WORD for number in (draw, draw + 1))
        tree, draw = (left, before) if after > before else (right, draw - before)
    if not isinstance(tree, int):
        raise TypeError(f"a leaf is {tree!r}")
    return tree, draw
