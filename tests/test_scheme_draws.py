"""The numbers that schemes draw: literal values, their twin, and their distribution at five standard deviations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scheme_twins import Twin

from maskgen.hashing import mix
from maskgen.schemes.draws import NEVER, Draws, below, in_order, lowest, uniforms


def test_the_finaliser_is_splitmix64():
    """The first words of SplitMix64 seeded with 1234567, as published with its reference code."""
    gamma = 0x9E3779B97F4A7C15
    states = np.array([(1234567 + gamma * (i + 1)) % 2**64 for i in range(5)], np.uint64)
    assert mix(states).tolist() == [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821
    ]  # fmt: skip


def test_literal_values():
    """These bits are a promise: samples of every scheme change when they do."""
    draws = Draws(1234, 2, np.array([0, 7]))
    assert draws.words(3, 2).tolist() == LITERAL


LITERAL = [[17498587267827544660, 10030399862750693038], [2356806075029956911, 13542053153818634544]]


@given(st.integers(-(2**65), 2**65), st.integers(0, 2**40), st.integers(0, 2**40), st.integers(0, 9))
def test_twin(seed, epoch, index, stream):
    draws, twin = Draws(seed, epoch, np.array([3, index])), Twin(seed, epoch, index)
    words = draws.words(stream, 4)
    assert words[1].tolist() == [twin.word(stream, number) for number in range(4)]
    assert draws.words_at(stream, np.array([1, 1]), np.array([2, 0])).tolist() == words[1, [2, 0]].tolist()
    assert uniforms(words)[1].tolist() == [twin.uniform(stream, number) for number in range(4)]
    assert below(words, 1000)[1].tolist() == [twin.below(stream, number, 1000) for number in range(4)]
    ranks = draws.ranks(stream, np.array([[True] * 4, [True, False, True, True]]))
    assert ranks[1].tolist() == [twin.rank(stream, i) if i != 1 else int(NEVER) for i in range(4)]
    order = sorted([0, 2, 3], key=lambda i: twin.rank(stream, i))
    assert in_order(ranks[1], 3) == order
    for count in range(4):
        assert np.flatnonzero(lowest(ranks, np.array([0, count]))[1]).tolist() == sorted(order[:count])


def test_no_places():
    draws = Draws(1, 0, np.arange(3))
    assert lowest(draws.ranks(0, np.zeros((3, 0), bool)), np.zeros(3, int)).shape == (3, 0)
    assert Draws(1, 0, np.arange(0)).words(0, 5).shape == (0, 5)


@pytest.mark.parametrize("bound", [1, 2, 3, 7, 1000, 2**32])
def test_integers_are_even(bound):
    drawn = below(Draws(5, 1, np.arange(2000)).words(0, 500), bound).ravel()
    assert drawn.min() >= 0
    assert drawn.max() < bound
    buckets = min(bound, 10)
    found = np.bincount(drawn * buckets // bound, minlength=buckets)
    edges = -(-np.arange(buckets + 1) * bound // buckets)
    share = np.diff(edges) / bound
    assert (np.abs(found - drawn.size * share) <= 5 * np.sqrt(drawn.size * share * (1 - share)) + 1e-6).all()


def test_neighbours_are_independent():
    """Of samples, epochs, seeds, streams and numbers next to each other: no bit follows the other's."""
    indices = np.arange(20000)
    base = Draws(5, 1, indices)
    others = [
        base.words(0, 2)[:, 1], base.words(1, 1)[:, 0], Draws(6, 1, indices).words(0, 1)[:, 0],
        Draws(5, 2, indices).words(0, 1)[:, 0], Draws(5, 1, indices + 1).words(0, 1)[:, 0],
    ]  # fmt: skip
    bits = np.arange(64, dtype=np.uint64)
    for other in others:
        flips = ((base.words(0, 1) ^ other[:, None]) >> bits) & np.uint64(1)
        # 64 bits in 5 comparisons: six deviations, so that one in 10^6 such seeds fails
        assert (np.abs(flips.sum(axis=0).astype(float) - 10000) <= 6 * np.sqrt(5000)).all()


def test_subsets_are_even():
    """Every place is chosen as often as any other, and every pair."""
    ranks = Draws(9, 0, np.arange(50000)).ranks(0, np.ones((50000, 6), bool))
    chosen = lowest(ranks, np.full(50000, 2))
    assert (chosen.sum(axis=1) == 2).all()
    pairs = (chosen[:, :, None] & chosen[:, None, :]).sum(axis=0)[np.triu_indices(6, 1)]
    share = 1 / 15
    assert (np.abs(pairs - 50000 * share) <= 5 * np.sqrt(50000 * share * (1 - share))).all()
