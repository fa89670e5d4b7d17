"""The order of samples: a permutation each epoch, equal to its definition, without a pattern."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskgen.batches import reference
from maskgen.batches.order import BLOCK, Order
from maskgen.batches.tree import BlendTree

LENGTHS = st.one_of(st.integers(1, 40), st.integers(1, 10**6), st.integers(1, 2**62))


def permutation(length, seed=0, epoch=0):
    order = Order([length], seed=seed, shuffle=True)
    return order.draws(epoch * length, (epoch + 1) * length).indices


@pytest.mark.parametrize("length", [*range(1, 70), 1000, 2**14 - 1, 2**14, 2**14 + 1, 50_000])
def test_each_epoch_is_a_permutation(length):
    for epoch in range(3):
        assert np.array_equal(np.sort(permutation(length, 3, epoch)), np.arange(length))


@given(LENGTHS, st.integers(0, 2**62), st.integers(0, 2**31), st.data())
def test_the_arrays_are_the_definition(length, seed, epoch, data):
    position = data.draw(st.integers(0, length - 1))
    draw = min(epoch * length + position, 2**62)
    epoch, position = divmod(draw, length)
    found = Order([length], seed=seed, shuffle=True).at(np.array([draw], np.uint64))
    assert found.epochs.tolist() == [epoch]
    assert found.indices.tolist() == [reference.permuted(position, length, seed=seed, epoch=epoch)]


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=9), st.integers(0, 2**62))
def test_blends_are_the_definition(weights, draw):
    datasets, numbers = BlendTree(weights, range(len(weights))).locate(np.array([draw, draw + 1], np.uint64))
    for place in (0, 1):
        assert (datasets[place], numbers[place]) == reference.blended(draw + place, weights)


def test_the_promise():
    """These may only change together with VERSION."""
    assert permutation(10, seed=1234).tolist() == [8, 0, 1, 4, 3, 6, 9, 2, 5, 7]
    order = Order([10**9], seed=7, shuffle=True)
    assert order.draws(10**12, 10**12 + 4).indices.tolist() == [27135448, 951374178, 117674207, 584112135]


def test_any_run_of_draws_is_part_of_the_same_order():
    order = Order([1000, 77], seed=5, shuffle=True, tree=BlendTree([3.0, 1.0], [0, 1]))
    whole = order.at(np.arange(3 * BLOCK, dtype=np.uint64))
    for first, last in [(0, 1), (5, 5), (BLOCK - 1, BLOCK + 1), (10, 3 * BLOCK), (2 * BLOCK, 2 * BLOCK + 7), (3, 9)]:
        found = order.draws(first, last)
        assert len(found) == last - first
        for name in ("datasets", "epochs", "indices"):
            assert np.array_equal(getattr(found, name), getattr(whole, name)[first:last])
    copy = pickle.loads(pickle.dumps(order))
    assert len(pickle.dumps(order)) < 5000
    assert np.array_equal(copy.draws(0, 50).indices, whole.indices[:50])


def test_without_shuffling_samples_come_as_they_are():
    order = Order([5], seed=1, shuffle=False)
    assert order.draws(3, 12).indices.tolist() == [3, 4, 0, 1, 2, 3, 4, 0, 1]
    assert order.draws(3, 12).epochs.tolist() == [0, 0, 1, 1, 1, 1, 1, 2, 2]


def test_seeds_epochs_and_datasets_have_orders_of_their_own():
    length = 500
    orders = [permutation(length, seed, epoch) for seed in range(4) for epoch in range(4)]
    blend = Order([length] * 2, seed=0, shuffle=True, tree=BlendTree([1.0, 1.0], [0, 1]))
    draws = blend.draws(0, 2 * length)
    orders += [draws.indices[draws.datasets == 1]]
    assert np.array_equal(draws.indices[draws.datasets == 0], orders[0])
    for place, one in enumerate(orders):
        for other in orders[:place]:
            assert (one == other).sum() <= 9  # 1 is expected; 9 and more happen once in a million


@pytest.mark.parametrize("length", [2, 3, 4, 5])
def test_small_permutations_are_uniform(length):
    """All of them, at five standard deviations of their chi-square."""
    epochs, kinds = 48_000, math.factorial(length)
    order = Order([length], seed=11, shuffle=True)
    indices = order.at(np.arange(epochs * length, dtype=np.uint64)).indices.reshape(epochs, length)
    codes = (indices * length ** np.arange(length)).sum(axis=1)
    counts = np.zeros(kinds)
    found = np.unique(codes, return_counts=True)[1]
    counts[: len(found)] = found
    chi_square = ((counts - epochs / kinds) ** 2 / (epochs / kinds)).sum()
    assert chi_square < (kinds - 1) + 5 * math.sqrt(2 * (kinds - 1))


@pytest.mark.parametrize("length", [997, 65_536, 300_007])
def test_large_permutations_have_no_pattern(length):
    indices = permutation(length, seed=2)
    places = np.arange(length)
    five_sigma = 5 / math.sqrt(length)
    assert abs(np.corrcoef(places, indices)[0, 1]) < five_sigma
    for lag in (1, 2, math.isqrt(length - 1) + 1):
        assert abs(np.corrcoef(indices[:-lag], indices[lag:])[0, 1]) < five_sigma
    steps = np.diff(indices) % length
    assert np.unique(steps, return_counts=True)[1].max() < 20
    # Where the first tenth of an epoch is from: 32 equal regions.
    tenth = np.bincount(indices[: length // 10] * 32 // length, minlength=32)
    expected = length // 10 / 32
    assert ((tenth - expected) ** 2 / expected).sum() < 31 + 5 * math.sqrt(2 * 31)
    assert (indices == places).sum() < 12
