"""Which dataset each draw of a blend is from, as a closed form: a tree of choices between two.

weights --join the two lightest, again and again--> binary tree; draw k --left or right at each node--> dataset, number

A node with the share q / 2^64 for its left side has sent floor(k * q / 2^64 + 1/2) of its first k draws there, so each
choice is known from k alone, and so is the number of the draw on the chosen side. After any number of draws, the count
of a dataset of weight w differs from its share by at most half the sum of w / w(v) over the nodes v from its leaf up
to below the root. That is less than one sample for up to three datasets. With more of them, each second step up such a
tree adds the weights of the two before at least, as Fibonacci's numbers grow: less than 1.7 samples, however many.
"""

import heapq
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from maskgen.hashing import Words

Ids = npt.NDArray[np.int64]

SCALE = 1 << 62  # the heaviest weight as an integer, so that sums are exact and the same everywhere
ONE = 1 << 64
LOW, HALF, MIDDLE = np.uint64(2**32 - 1), np.uint64(32), np.uint64(2**63)


class BlendTree:
    """The choices of a blend of datasets with these positive weights; the numbers of datasets are `names`."""

    def __init__(self, weights: Sequence[float], names: Sequence[int]) -> None:
        heaviest = max(weights)
        heap = [(max(1, round(weight / heaviest * SCALE)), leaf, -1 - leaf) for leaf, weight in enumerate(weights)]
        heapq.heapify(heap)
        shares, left, right = [], [], []
        while len(heap) > 1:  # ties are broken by the lowest dataset of each side
            lighter = heapq.heappop(heap)
            heavier = heapq.heappop(heap)
            total = lighter[0] + heavier[0]
            shares.append(min(ONE - 1, (heavier[0] * ONE + total // 2) // total))
            left.append(heavier[2])
            right.append(lighter[2])
            heapq.heappush(heap, (total, min(lighter[1], heavier[1]), len(shares) - 1))
        self.root = heap[0][2]  # nodes from 0 on, leaves as -1 - leaf
        self.names: Ids = np.array(names, np.int64)
        self.shares: Words = np.array(shares, np.uint64)
        self.children: Ids = np.array([right, left], np.int64).reshape(2, -1)

    def locate(self, numbers: Words) -> tuple[Ids, Words]:
        """The dataset of each of these draws, and how many draws of that dataset came before."""
        numbers = numbers.copy()
        nodes = np.full(len(numbers), self.root, np.int64)
        active = np.arange(len(numbers) if self.root >= 0 else 0)
        while len(active):
            draws, node = numbers[active], nodes[active]
            share = self.shares[node]
            low = draws * share
            sent_left = _high_product(draws, share)
            sent_left += low >= MIDDLE
            low += MIDDLE
            goes_left = low + share < low  # the next draw carries over
            numbers[active] = np.where(goes_left, sent_left, draws - sent_left)
            nodes[active] = node = self.children[goes_left.astype(np.int64), node]
            active = active[node >= 0]
        return self.names[-1 - nodes], numbers

    def counts(self, draws: int, datasets: int) -> Ids:
        """How many of the first `draws` draws are from each of so many datasets."""
        counts = np.zeros(datasets, np.int64)
        todo = [(self.root, draws)]
        while todo:
            node, number = todo.pop()
            if node < 0:
                counts[self.names[-1 - node]] = number
                continue
            sent_left = (number * int(self.shares[node]) + ONE // 2) // ONE
            right, left = self.children[:, node].tolist()
            todo += [(left, sent_left), (right, number - sent_left)]
        return counts


def _high_product(ones: Words, others: Words) -> Words:
    """The upper halves of the 128-bit products."""
    one_high, one_low = ones >> HALF, ones & LOW
    other_high, other_low = others >> HALF, others & LOW
    first, second = one_low * other_high, one_high * other_low
    carry = ((one_low * other_low) >> HALF) + (first & LOW) + (second & LOW)
    product: Words = one_high * other_high + (first >> HALF) + (second >> HALF) + (carry >> HALF)
    return product
