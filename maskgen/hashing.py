"""SplitMix64's finaliser over whole arrays: where words of samples, orders of batches and hashes of n-grams come from.

    mix(z):  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;  z ^ (z >> 31)

All arithmetic is modulo 2^64. What is mixed, and how keys are made, is said where it is used.
"""

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

GAMMA = 0x9E3779B97F4A7C15  # SplitMix64 adds it once for each word of a stream


def mix(words: Words) -> Words:
    """The finaliser of SplitMix64, of each word."""
    words = words ^ (words >> np.uint64(30))
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words


def word(number: int) -> Words:
    """An integer modulo 2^64, as an array of one word."""
    return np.array([number % 2**64], np.uint64)
