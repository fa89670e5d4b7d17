"""The native generator against its definition, numpy.random.RandomState."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgen import _native

SEEDS = [0, 1, 1234, 2**31, 2**32 - 1]


@pytest.mark.parametrize("seed", SEEDS)
def test_doubles(seed):
    assert np.array_equal(_native.legacy_doubles(seed, 2000), np.random.RandomState(seed).random_sample(2000))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 64, 65, 10_000])
def test_permutations(seed, count):
    assert np.array_equal(_native.legacy_permutation(seed, count), np.random.RandomState(seed).permutation(count))


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 3000))
def test_any_seed_and_length(seed, count):
    assert np.array_equal(_native.legacy_permutation(seed, count), np.random.RandomState(seed).permutation(count))


@pytest.mark.parametrize("function", [_native.legacy_doubles, _native.legacy_permutation])
def test_bad_arguments(function):
    with pytest.raises(ValueError, match="count is -1"):
        function(1, -1)
    for seed in (-1, 2**32, 1.5, "1"):
        with pytest.raises(TypeError):
            function(seed, 1)
