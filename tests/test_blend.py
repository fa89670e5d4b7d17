"""Blends: weights kept at every prefix, each dataset in epochs of its own, any number of datasets."""

import json
import pickle

import numpy as np
import pytest
from counted_samples import CountedSamples, assert_same, drawn
from hypothesis import given
from hypothesis import strategies as st
from sample_files import TOY, toy_dataset, toy_samples

from maskgen.batches import BatchError, BatchSource, Blend, Draws
from maskgen.batches.assemble import Assembler, cumulative_lengths
from maskgen.batches.tree import BlendTree
from maskgen.identity import difference
from maskgen.samples import BertSamples, SampleError, T5Samples
from maskgen.samples.arrays import Field

BLEND = Blend([CountedSamples(9), CountedSamples(9, 1)])


def worst_deviation(weights, draws, chunk=1 << 20):
    """The largest difference, at any prefix, between the count of a dataset and its share."""
    shares = np.array(weights) / np.sum(weights)
    tree = BlendTree(shares.tolist(), range(len(weights)))
    counts, worst = np.zeros(len(weights), np.int64), 0.0
    for start in range(0, draws, chunk):
        numbers = np.arange(start, min(draws, start + chunk), dtype=np.uint64)
        datasets, own = tree.locate(numbers)
        for dataset, share in enumerate(shares):
            is_it = datasets == dataset
            count = counts[dataset] + np.cumsum(is_it)
            assert np.array_equal(own[is_it], np.arange(counts[dataset], count[-1]))
            worst = max(worst, np.abs(count - share * (numbers + 1.0)).max())
            counts[dataset] = count[-1]
    assert counts.tolist() == tree.counts(draws, len(weights)).tolist()
    return worst


@pytest.mark.parametrize("weights", [[0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3], [0.98, 0.0123, 0.0077], [5, 3, 1]])
def test_three_datasets_over_ten_million_samples(weights):
    assert worst_deviation(weights, 10_000_000) < 1


@given(st.lists(st.floats(1e-3, 1), min_size=1, max_size=3))
def test_up_to_three_datasets_stay_within_one_sample(weights):
    assert worst_deviation(weights, 3000) < 1


@given(st.lists(st.floats(1e-4, 1), min_size=4, max_size=40))
def test_any_number_stays_within_two(weights):
    assert worst_deviation(weights, 2000) < 1.7


def test_forty_thousand_datasets():
    count = 40_000
    weights = np.random.RandomState(0).random_sample(count) ** 3
    samples = [CountedSamples(3 + number % 5, number) for number in range(count)]
    blend = Blend(samples, weights, size=10**9)
    source = BatchSource(blend, batch_size=256, seed=1)
    source.consumed = 300_000_000
    rows = drawn(source.next_batch())
    assert len({dataset for dataset, _, _ in rows}) > 200
    for dataset, epoch, index in rows:
        assert 0 <= index < len(samples[dataset])
        assert epoch > 0 or weights[dataset] < 1e-4
    shares = weights / weights.sum()
    assert np.abs(blend.drawn(10**9) - shares * 10**9).max() < 1.7
    assert blend.drawn(10**9).sum() == 10**9
    state = json.dumps(source.state_dict())
    assert len(state) < 12_000
    samples[777].options = 1
    other = BatchSource(Blend(samples, weights, size=10**9), batch_size=256, seed=1)
    with pytest.raises(BatchError, match=r"samples\.parts\.625 to 1249"):
        other.load_state_dict(json.loads(state))


def test_each_dataset_goes_through_its_own_epochs():
    samples = [CountedSamples(7, 0), CountedSamples(50, 1), CountedSamples(5, 2)]
    blend = Blend(samples, [2, 1, 0])
    assert len(blend) == 62
    source = BatchSource(blend, batch_size=9, seed=3)
    rows = [row for _ in range(35) for row in drawn(next(source))]
    assert blend.drawn(len(rows)).tolist() == [210, 105, 0]
    assert rows.count((0, 0, 3)) == 1
    for dataset, length, epochs in ((0, 7, 30), (1, 50, 2)):
        own = [(epoch, index) for name, epoch, index in rows if name == dataset]
        assert [epoch for epoch, _ in own] == [number // length for number in range(len(own))]
        orders = [[index for epoch, index in own if epoch == which] for which in range(epochs)]
        assert all(sorted(order) == list(range(length)) for order in orders)
        assert orders[0] != orders[1]


def test_epochs_of_a_blend_are_of_its_size():
    blend = Blend([CountedSamples(7, 0), CountedSamples(50, 1)], size=20)
    source = BatchSource(blend, batch_size=8, epochs=2)
    assert [len(batch["index"]) for batch in source] == [8] * 5
    assert Blend([CountedSamples(7, 0), CountedSamples(50, 1)]).weights.tolist() == [7 / 57, 50 / 57]


def test_rows_are_those_of_their_datasets(tmp_path):
    """With packed arrays and numbers in the places of the blend, whatever the types and the threads."""
    samples = []
    for number in range(3):
        dataset, rows = toy_dataset(tmp_path / str(number), seed=number, documents=11 + number)
        samples.append(BertSamples(dataset, rows, TOY, max_seq_length=29, seed=number))
    source = BatchSource(Blend(samples, [5, 3, 2]), batch_size=16, seed=2, threads=2)
    small = {field.name: np.int32 for field in source.fields}
    out = source.allocate(small)
    for step in range(8):
        draws = source.draws(step * 16)
        fresh = source.batch_at(step * 16)
        found = source.batch_at(step * 16, out=out)
        assert_same(found, fresh)
        assert all(array.dtype == np.int32 for array in found.values())
        assert all(np.shares_memory(found[name], out[name]) for name in found)
        for row in range(16):
            own = samples[draws.datasets[row]].batch([draws.indices[row]], epoch=int(draws.epochs[row]))
            for field in source.fields:
                if field.kind != "packed":
                    assert np.array_equal(found[field.name][row], own[field.name][0]), field.name
        masked = found["loss_mask"].astype(bool)
        assert found["masked_positions"].tolist() == np.flatnonzero(masked).tolist()
        assert found["masked_labels"].tolist() == found["labels"][masked].tolist()


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_a_batch_in_parts_is_the_batch_in_one_piece(tmp_path, kind):
    """Packed arrays too: the same samples under three numbers of a dataset."""
    samples = toy_samples(tmp_path / "toy", kind, masked_lm_prob=0.4)
    rng = np.random.RandomState(0)
    assembler = Assembler([samples] * 3)
    for size in (1, 2, 5, 30):
        indices, epochs = rng.randint(0, 30, size), np.full(size, 2)
        draws = Draws(rng.randint(0, 3, size), epochs, indices)
        assert_same(assembler.fill(draws, samples.allocate(size), 1, 0.3), samples.batch(indices, epoch=2, rate=0.3))


def test_arrays_that_do_not_fit():
    source = BatchSource(BLEND, batch_size=8)
    out = source.allocate()
    for name in ("row", "places"):
        with pytest.raises(SampleError, match="shape"):
            source.next_batch({**out, name: out[name][:3]})
        with pytest.raises(SampleError, match="out has"):
            source.next_batch({other: array for other, array in out.items() if other != name})
    with pytest.raises(SampleError, match="out has a list"):
        source.next_batch([1])
    with pytest.raises(SampleError, match="index as int8"):
        source.next_batch({**out, "index": out["index"].astype(np.int8)})
    assert source.consumed == 0


def test_cumulative_lengths_of_documents():
    batch = {
        "document_ids": np.array([[0, 0, 1, 2, -1], [0, 0, 0, 0, 0], [-1] * 5, [0, 1, 1, 1, -1]]),
        "positions": np.array([[0, 1, 0, 0, 0], [0, 1, 2, 3, 4], [0] * 5, [0, 0, 1, 2, 0]]),
    }
    found = cumulative_lengths(batch)
    assert found.dtype == np.int32
    assert found.tolist() == [0, 2, 3, 4, 9, 10, 13]


def test_a_blend_can_be_pickled(tmp_path):
    dataset, rows = toy_dataset(tmp_path / "toy")
    samples = T5Samples(dataset, rows, TOY, max_seq_length=29, max_seq_length_dec=24)
    source = BatchSource(Blend([samples, samples], [1, 3]), batch_size=4)
    next(source)
    copy = pickle.loads(pickle.dumps(source))
    assert copy.state_dict() == source.state_dict()
    assert_same(next(copy), next(source))


def test_a_description_names_what_differs():
    def make(weights=(1, 2), size=None, options=0):
        return Blend([CountedSamples(5, 0), CountedSamples(6, 1, options=options)], weights, size=size).describe()

    assert difference(make(), make(weights=(2, 4))) is None
    assert difference(make(), make(weights=(1, 3))).startswith("weights[0]: 0.33")
    assert difference(make(), make(size=12)) == "size: 11 and 12"
    assert difference(make(), make(options=1)) == "parts[1].options: 0 and 1"


REFUSED = [
    ([], None, "no datasets"),
    ([5, 6], [1], "2 datasets with 1 weights"),
    ([5, 6], [1, -1], r"weights\[1\] is -1"),
    ([5, 6], [0, 0], "all 0"),
    ([5, 6], [1, float("nan")], "nan"),
    ([5, 6], [[1, 2]], "dimensions"),
    ([5, 6], ["a", "b"], "numbers are expected"),
    ([5, 0], [1, 1], "dataset 1 of a blend has no samples"),
    ([0, 0], None, "all 0"),
]


@pytest.mark.parametrize(("lengths", "weights", "message"), REFUSED)
def test_hostile_blends(lengths, weights, message):
    with pytest.raises(BatchError, match=message):
        Blend([CountedSamples(length) for length in lengths], weights)


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "3", 2**63])
def test_hostile_sizes(size):
    with pytest.raises(BatchError, match="size is"):
        Blend([CountedSamples(4)], size=size)


def test_datasets_with_other_arrays(tmp_path):
    with pytest.raises(BatchError, match=r"dataset 1 of a blend has .*more.*; expected those of dataset 0"):
        Blend([CountedSamples(4), CountedSamples(4, extra=[Field("more", "number", 1, 0, 1)])])
    other = CountedSamples(4)
    other.fields = (Field("index", "number", 5, 0, 1), *other.fields[1:])
    with pytest.raises(BatchError, match=r"dataset 1 .*width=5.*use the same vocabulary and lengths"):
        Blend([CountedSamples(4), other])
    assert len(Blend([CountedSamples(4), CountedSamples(0, 1)])) == 4


def test_a_failing_dataset_leaves_the_source_as_it_was():
    broken = CountedSamples(9, 1)
    source = BatchSource(Blend([CountedSamples(9), broken]), batch_size=4)
    first = drawn(source.batch_at(0))
    broken.length = 1
    with pytest.raises(IndexError):
        next(source)
    assert source.consumed == 0
    broken.length = 9
    assert drawn(next(source)) == first
