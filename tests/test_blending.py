"""Blending indices: the scan and the tournament against the twin, ties, many datasets, weights of 0."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_cases import ENGINES, assert_same, call

from maskgen import _native, mapping
from maskgen.mapping.arguments import MappingError, memory_limit

LIMIT = 1 << 32
tied = st.sampled_from([0.0, 0.1, 0.2, 0.25, 1 / 3, 0.5, 1.0, np.nextafter(0.1, 1), 1e-9])
extreme = st.sampled_from([5e-324, 1e-300, 1e17, 1e300, 1.7e308])
weights_lists = st.one_of(
    st.lists(tied, min_size=1, max_size=40),
    st.lists(st.floats(0, 1), min_size=1, max_size=40),
    st.lists(st.one_of(tied, extreme), min_size=1, max_size=12),
).filter(any)


@settings(max_examples=300, deadline=None)
@given(weights_lists, st.integers(0, 200), st.booleans())
def test_build_blending_indices_is_its_twin(weights, size, normalize):
    weights = mapping.normalized(weights) if normalize else np.array(weights)
    expected = call("build_blending_indices", weights, size, engine="reference")
    assert_same(call("build_blending_indices", weights, size), expected)
    by_tournament = _native.build_blending_indices(
        weights=weights, size=size, memory_limit=LIMIT, wide=False, tournament_from=0
    )
    assert_same(list(by_tournament), expected)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 12), st.sampled_from([0, 1, 7])), min_size=1, max_size=40))
def test_build_exhaustive_blending_indices_is_its_twin(sizes):
    expected = call("build_exhaustive_blending_indices", sizes, engine="reference")
    assert_same(call("build_exhaustive_blending_indices", sizes), expected)
    by_tournament = _native.build_exhaustive_blending_indices(
        sizes=np.array(sizes), memory_limit=LIMIT, wide=False, tournament_from=0
    )
    assert_same(list(by_tournament), expected)
    datasets, samples = expected
    for dataset, size in enumerate(sizes):
        assert samples[datasets == dataset].tolist() == list(range(size))


@pytest.mark.parametrize("kind", ["random", "equal", "falling", "nearly equal"])
def test_the_tournament_of_many_datasets_is_the_scan(kind):
    random = np.random.RandomState(1)
    weights = {
        "random": random.random_sample(1500),
        "equal": np.ones(1500),
        "falling": 1 / np.arange(1, 1501),
        "nearly equal": 1 + random.randint(0, 3, 1500) * 2.0**-52,
    }[kind]
    weights /= weights.sum()
    ways = [
        _native.build_blending_indices(
            weights=weights, size=6000, memory_limit=LIMIT, wide=False, tournament_from=tournament_from
        )
        for tournament_from in (0, 10_000)
    ]
    assert_same(list(ways[0]), list(ways[1]))


def test_more_datasets_than_sixteen_bits_count():
    sizes = np.full(40_000, 2)
    sizes[[0, 39_999]] = 0, 1
    datasets, samples = mapping.build_exhaustive_blending_indices(sizes)
    assert datasets.dtype == np.int32
    assert samples.dtype == np.int64
    assert np.array_equal(np.bincount(datasets, minlength=40_000), sizes)
    datasets, _ = mapping.build_blending_indices(np.full(40_000, 1 / 40_000), 40_000)
    assert np.array_equal(datasets, np.arange(40_000))


@pytest.mark.slow
def test_two_million_datasets():  # counters on the stack overflow there
    datasets, samples = mapping.build_blending_indices(np.full(2_000_000, 5e-7), 2_000_000)
    assert np.array_equal(datasets, np.arange(2_000_000))
    assert not samples.any()


@pytest.mark.parametrize("engine", ENGINES)
def test_datasets_of_size_0_are_never_drawn(engine):
    datasets, samples = mapping.build_exhaustive_blending_indices([0, 3, 0, 1, 0], engine=engine)
    assert sorted(zip(datasets.tolist(), samples.tolist(), strict=True)) == [(1, 0), (1, 1), (1, 2), (3, 0)]
    assert [len(each) for each in mapping.build_exhaustive_blending_indices([0, 0], engine=engine)] == [0, 0]
    assert [len(each) for each in mapping.build_blending_indices([1.0], 0, engine=engine)] == [0, 0]


def test_a_blend_leaves_weights_of_0_out():
    datasets, samples, counts = mapping.blend([0, 3, 1, 0], 400)
    assert counts.tolist() == [0, 300, 100, 0]
    assert np.bincount(datasets, minlength=4).tolist() == counts.tolist()
    assert samples.max() == 299
    # The definition does draw them, whenever all others are ahead of their weights.
    assert 0 in mapping.build_blending_indices([0.0, 1.0], 10)[0]


def test_normalized():
    assert mapping.normalized([1, 3]).tolist() == [0.25, 0.75]
    assert mapping.normalized([1.7e308, 1.7e308]).tolist() == [0.5, 0.5]


def test_parse_blend():
    assert mapping.parse_blend(["a", "b=c/d"][:1]) == (["a"], None)
    assert mapping.parse_blend(["a=3", "b=x=0.5"]) == (["a", "b=x"], [3.0, 0.5])
    for items, message in (
        ([], "no datasets"),
        (["a=x"], "the weight is 'x'"),
        (["a=1", "b"], "1 of 2 datasets"),
        (["a=nan"], "is nan"),
        (["a=0"], "all 0"),
        (["=1"], "without a name"),
    ):
        with pytest.raises(MappingError, match=message):
            mapping.parse_blend(items)


def test_more_samples_than_the_machine_has_memory_for():
    limit = memory_limit()
    size = limit // 10 + 1  # of 2 and 8 bytes
    for build in (
        lambda: mapping.build_blending_indices([1, 2], size),
        lambda: mapping.build_exhaustive_blending_indices([1, size - 1]),
    ):
        with pytest.raises(MemoryError, match=rf"about {size} rows .*has {limit}: lower .* or size"):
            build()
