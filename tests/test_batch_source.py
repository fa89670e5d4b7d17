"""Batch sources: the same global batches for any ranks, from any point on, and states that refuse what differs."""

import copy
import json
import pickle
import threading

import numpy as np
import pytest
from counted_samples import CountedSamples, assert_same, drawn, joined
from hypothesis import given
from hypothesis import strategies as st
from sample_files import TOY, toy_dataset, toy_samples

from maskgen.batches import BatchError, BatchSizes, BatchSource, Blend, linear_ramp
from maskgen.samples import BertSamples, SampleError

SAMPLES = CountedSamples(23)
BLEND = Blend([CountedSamples(23), CountedSamples(5, 1), CountedSamples(64, 2)], [5, 2, 3])
RAMP = [(0, 3), (10, 8), (40, 13)]


def all_ranks(samples, world_size, **options):
    return [BatchSource(samples, rank=rank, world_size=world_size, **options) for rank in range(world_size)]


def saved(source):
    return json.loads(json.dumps(source.state_dict()))


def step(sources):
    """The next global batch, of all ranks."""
    return joined([next(source) for source in sources])


ELASTIC = [
    (8, 2, 3, 0, 16), (8, 2, 3, 5, 16), (1, 8, 2, 1, 7), (3, 1, 5, 2, 10), (2, 4, 8, 9, 32), (5, 3, 1, 4, 3),
    (2, 3, 2, 3, 1), (4, 7, 6, 11, 29), (8, 2, 3, 6, RAMP), (1, 3, 8, 2, RAMP), (3, 8, 1, 13, RAMP),
]  # fmt: skip


@pytest.mark.parametrize("samples", [SAMPLES, BLEND], ids=["one", "blend"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("before", "after", "finally_", "steps", "size"), ELASTIC)
def test_other_ranks_go_on_with_the_same_order(samples, shuffle, before, after, finally_, steps, size):
    options = {"batch_size": size, "seed": 9, "shuffle": shuffle}
    alone = BatchSource(samples, **options)
    state = None
    for ranks in (before, after, finally_):
        sources = all_ranks(samples, ranks, **options)
        for source in sources:
            if state is not None:
                source.load_state_dict(state)
        for _ in range(steps):
            expected = next(alone)
            assert_same(step(sources), expected)
        states = [saved(source) for source in sources]
        assert all(each == states[0] for each in states)
        state = states[0]
        assert state["consumed"] == alone.consumed


@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(0, 40), st.integers(1, 40), st.integers(0, 2**62 - 1),
    st.booleans(),
)  # fmt: skip
def test_elastic_over_anything(before, after, steps, size, seed, blended):
    samples = BLEND if blended else SAMPLES
    options = {"batch_size": size, "seed": seed}
    sources = all_ranks(samples, before, **options)
    for source in sources:
        source.consumed = max(0, steps - 1) * size
    expected = BatchSource(samples, **options)
    if steps:
        assert_same(step(sources), expected.batch_at((steps - 1) * size))
    resumed = all_ranks(samples, after, **options)
    for source in resumed:
        source.load_state_dict(saved(sources[-1]))
    assert_same(step(resumed), expected.batch_at(steps * size))


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_real_samples_of_three_ranks_are_those_of_one(tmp_path, kind):
    samples = toy_samples(tmp_path / "toy", kind)  # 30 of them
    options = {"batch_size": 8, "seed": 4}
    alone, three = BatchSource(samples, **options), all_ranks(samples, 3, threads=2, **options)
    for _ in range(9):  # two epochs and a bit
        expected = next(alone)
        assert_same(step(three), expected)
        draws = alone.draws(alone.consumed - 8)
        for row, (epoch, index) in enumerate(zip(draws.epochs, draws.indices, strict=True)):
            own = samples.sample(int(index), epoch=int(epoch))
            for name, value in own.items():
                assert np.array_equal(expected[name][row], value), name
    other = BatchSource(toy_samples(tmp_path / "other", kind, engine="reference"), **options)
    other.load_state_dict(saved(alone))
    assert_same(next(other), next(alone))


@pytest.mark.parametrize(("size", "shuffle"), [(1, True), (7, True), (23, True), (24, False), (50, True), (8, False)])
def test_no_sample_is_lost_or_repeated_within_an_epoch(size, shuffle):
    source = BatchSource(SAMPLES, batch_size=size, shuffle=shuffle, epochs=5)
    rows = [row for batch in source for row in drawn(batch)]
    assert len(rows) == 5 * 23
    for epoch in range(5):
        part = rows[epoch * 23 : (epoch + 1) * 23]
        assert {which for _, which, _ in part} == {epoch}
        assert sorted(index for _, _, index in part) == list(range(23))
    orders = [[index for _, _, index in rows[epoch * 23 : epoch * 23 + 23]] for epoch in range(5)]
    assert len(set(map(tuple, orders))) == (5 if shuffle else 1)


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("ranks", [1, 3])
def test_the_end(drop_last, ranks):
    options = {"batch_size": 10, "epochs": 2, "drop_last": drop_last}
    sources = all_ranks(SAMPLES, ranks, **options)
    sizes = []
    while sources[0].size(sources[0].consumed):
        sizes.append(len(step(sources)["index"]))
    assert sizes == [10] * 4 + ([] if drop_last else [6])
    for source in sources:
        assert list(source) == []
        assert source.next_batch() is None
    again = BatchSource(SAMPLES, **options)
    again.load_state_dict(saved(sources[0]))
    assert list(again) == []
    with pytest.raises(BatchError, match="no batch after"):
        again.batch_at(46)
    longer = BatchSource(SAMPLES, batch_size=10, epochs=3)
    longer.load_state_dict(saved(again))
    assert sum(len(batch["index"]) for batch in longer) == 69 - again.consumed


def test_resume_at_every_step_up_to_the_last():
    options = {"batch_size": 7, "epochs": 2, "seed": 5}
    source = BatchSource(SAMPLES, **options)
    states = [saved(source)]
    batches = []
    for batch in source:
        batches.append(batch)
        states.append(saved(source))
    assert len(batches) == 7
    for place, state in enumerate(states):
        resumed = BatchSource(SAMPLES, **options)
        resumed.load_state_dict(state)
        rest = list(resumed)
        assert len(rest) == 7 - place
        for found, expected in zip(rest, batches[place:], strict=True):
            assert_same(found, expected)


def test_shares_are_even_to_within_a_row_and_may_be_empty():
    for size in (1, 2, 7, 8, 9):
        sources = all_ranks(SAMPLES, 4, batch_size=size)
        shares = [len(next(source)["index"]) for source in sources]
        assert sum(shares) == size
        assert max(shares) - min(shares) <= 1
        assert max(shares) <= sources[0].largest_share
    assert [len(next(source)["row"]) for source in all_ranks(SAMPLES, 3, batch_size=1)] == [0, 0, 1]


def test_arrays_of_the_caller_are_used_again(tmp_path):
    samples = toy_samples(tmp_path / "toy")
    source = BatchSource(samples, batch_size=RAMP, rank=1, world_size=2, seed=1)
    out = source.allocate({"text": np.int32})
    assert len(out["text"]) == source.largest_share == 7
    twin = BatchSource(samples, batch_size=RAMP, rank=1, world_size=2, seed=1)
    for _ in range(12):
        found = source.next_batch(out)
        assert all(np.shares_memory(found[name], out[name]) for name in found if found[name].size)
        assert found["text"].dtype == np.int32
        assert_same(found, next(twin))
    before = source.consumed
    del out["text"]
    with pytest.raises(SampleError, match="out has types"):
        source.next_batch(out)
    with pytest.raises(SampleError, match="shape"):
        source.next_batch(samples.allocate(3))
    assert source.consumed == before


def test_threads_may_ask_for_batches_at_once():
    source = BatchSource(BLEND, batch_size=50, seed=3)
    starts = [0, 20_000, 40_000, 16_380] * 8
    expected = {start: source.batch_at(start) for start in set(starts)}
    wrong = []

    def work(start):
        for _ in range(10):
            found = source.batch_at(start)
            if any(not np.array_equal(found[name], array) for name, array in expected[start].items()):
                wrong.append(start)

    threads = [threading.Thread(target=work, args=(start,)) for start in starts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_ramps():
    source = BatchSource(SAMPLES, batch_size=RAMP)
    sizes = [len(next(source)["index"]) for _ in range(12)]
    assert sizes == [3, 3, 3, 3, 8, 8, 8, 8, 13, 13, 13, 13]  # a step is looked at where a batch begins
    assert source.largest_share == 13
    assert linear_ramp(32, 128, 32, 3000) == [(0, 32), (1000, 64), (2000, 96), (3000, 128)]
    assert linear_ramp(8, 8, 4, 100) == [(0, 8)]
    steps = BatchSizes(linear_ramp(16, 256, 16, 1001))
    assert [steps.at(consumed) for consumed in (0, 66, 67, 1000, 1001, 10**9)] == [16, 16, 32, 240, 256, 256]


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 40), st.integers(0, 1000))
def test_ramps_are_megatrons(start, increment, count, more):
    """The size is start + increment * (consumed // (samples / count)) until `samples`, in exact arithmetic."""
    samples = count + more + 1
    end = start + increment * count
    sizes = BatchSizes(linear_ramp(start, end, increment, samples))
    for consumed in range(0, samples + 3, 7):
        expected = end if consumed >= samples else start + increment * (consumed * count // samples)
        assert sizes.at(consumed) == expected


def test_rates():
    def rates(**options):
        source = BatchSource(CountedSamples(9), batch_size=4, **options)
        return [batch["rate"].tolist() for batch, _ in zip(source, range(3), strict=False)]

    assert rates() == [[0] * 4] * 3
    assert rates(rate=0.25) == [[250] * 4] * 3
    assert rates(rate=lambda consumed: 0.5 - consumed / 100) == [[500] * 4, [460] * 4, [420] * 4]


DIFFERENT = [
    ({"seed": 8}, {}, r"order\.seed: 7 and 8"),
    ({"shuffle": False}, {}, r"order\.shuffle: true and false"),
    ({"rate": 0.3}, {}, r"rate: null and 0\.3"),
    ({"rate": lambda consumed: 0.3}, {}, 'rate: null and "schedule"'),
    ({}, {"seed": 5}, r"samples\.seed: 1234 and 5"),
    ({}, {"masked_lm_prob": 0.3}, r"samples\.options\.masked_lm_prob: 0\.15 and 0\.3"),
]


@pytest.mark.parametrize(("options", "of_samples", "message"), DIFFERENT, ids=range(len(DIFFERENT)))
def test_other_settings_are_refused_by_name(tmp_path, options, of_samples, message):
    common = {"batch_size": 4, "seed": 7}
    state = saved(BatchSource(toy_samples(tmp_path / "one"), **common))
    other = BatchSource(toy_samples(tmp_path / "two", **of_samples), **{**common, **options})
    with pytest.raises(BatchError, match=message):
        other.load_state_dict(state)
    assert other.consumed == 0


def test_other_data_are_refused_by_name(tmp_path):
    dataset, rows = toy_dataset(tmp_path / "one")
    source = BatchSource(BertSamples(dataset, rows, TOY, max_seq_length=29), batch_size=4)
    changed = rows.copy()
    changed[0, 2] += 1
    state = saved(source)
    with pytest.raises(BatchError, match=r"samples\.rows\.mapping"):
        BatchSource(BertSamples(dataset, changed, TOY, max_seq_length=29), batch_size=4).load_state_dict(state)
    other, _ = toy_dataset(tmp_path / "two", dtype="int32")
    with pytest.raises(BatchError, match=r"samples\.data\.digest"):
        BatchSource(BertSamples(other, rows, TOY, max_seq_length=29), batch_size=4).load_state_dict(state)
    with pytest.raises(BatchError, match=r"samples\.scheme"):
        BatchSource(BLEND, batch_size=4).load_state_dict(state)


def test_batch_sizes_ranks_threads_and_epochs_may_change():
    source = BatchSource(SAMPLES, batch_size=8, epochs=1)
    first = drawn(next(source))
    other = BatchSource(SAMPLES, batch_size=RAMP, rank=0, world_size=1, threads=2, epochs=4, drop_last=True)
    other.load_state_dict(saved(source))
    assert first + drawn(next(other)) == drawn(BatchSource(SAMPLES, batch_size=11).batch_at(0))


def test_states_that_are_none():
    source = BatchSource(SAMPLES, batch_size=8)
    next(source)
    good = saved(source)
    assert len(json.dumps(good)) < 1000
    for bad in (None, [], "state", {}, {"consumed": 3}, {**good, "version": 2}, {**good, "version": "1"}):
        with pytest.raises(BatchError, match="a state"):
            source.load_state_dict(bad)
    for key in good:
        with pytest.raises(BatchError, match="a state with"):
            source.load_state_dict({name: value for name, value in good.items() if name != key})
    for consumed in (-1, 1.5, None, "8", True, 2**62, [8]):
        with pytest.raises(BatchError, match="consumed is"):
            source.load_state_dict({**good, "consumed": consumed})
    tampered = copy.deepcopy(good)
    tampered["settings"]["order"]["seed"] = 99
    with pytest.raises(BatchError, match="changed after it was saved"):
        source.load_state_dict(tampered)
    with pytest.raises(BatchError, match="changed after it was saved"):
        source.load_state_dict({**good, "settings": [1]})
    with pytest.raises(BatchError, match="changed after it was saved"):
        source.load_state_dict({**good, "settings": {"order": b"bytes"}})
    assert source.consumed == 8
    source.load_state_dict(good)


def test_a_state_does_not_change_with_its_source():
    source = BatchSource(SAMPLES, batch_size=8)
    state = source.state_dict()
    state["settings"]["order"]["seed"] = 5
    assert source.state_dict()["settings"]["order"]["seed"] == 1234


def test_a_source_can_be_pickled(tmp_path):
    source = BatchSource(toy_samples(tmp_path / "toy"), batch_size=8)
    next(source)
    copied = pickle.loads(pickle.dumps(source))
    assert_same(next(copied), next(source))
    assert copied.state_dict() == source.state_dict()


REFUSED = [
    ({"batch_size": 0}, "batch_size is 0"),
    ({"batch_size": -4}, "batch_size is -4"),
    ({"batch_size": 2.0}, r"batch_size is 2\.0"),
    ({"batch_size": True}, "batch_size is True"),
    ({"batch_size": None}, "batch_size is None"),
    ({"batch_size": "8"}, "batch_size is '8'"),
    ({"batch_size": []}, "the first begins at 0"),
    ({"batch_size": [(5, 8)]}, "the first begins at 0"),
    ({"batch_size": [(0, 8), (0, 9)]}, "a step at 0 samples after one at 0"),
    ({"batch_size": [(0, 8), (9, 9), (5, 9)]}, "a step at 5 samples after one at 9"),
    ({"batch_size": [(0, 8), 4]}, r"batch_size\[1\] is 4"),
    ({"batch_size": [(0, 0)]}, r"batch_size\[0\]\[1\] is 0"),
    ({"batch_size": [(-1, 4)]}, r"batch_size\[0\]\[0\] is -1"),
    ({"world_size": 0}, "world_size is 0"),
    ({"rank": 2, "world_size": 2}, "rank is 2 of 2"),
    ({"rank": -1}, "rank is -1"),
    ({"seed": -1}, "seed is -1"),
    ({"seed": 1.5}, r"seed is 1\.5"),
    ({"seed": None}, "seed is None"),
    ({"threads": 0}, "threads is 0"),
    ({"epochs": 0}, "epochs is 0"),
    ({"rate": 1.5}, r"rate is 1\.5"),
    ({"rate": float("nan")}, "rate is nan"),
    ({"rate": "0.1"}, "rate is '0.1'"),
    ({"rate": []}, "rate is"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_hostile_arguments(options, message):
    with pytest.raises(BatchError, match=message):
        BatchSource(SAMPLES, **{"batch_size": 4, **options})


def test_hostile_calls():
    with pytest.raises(BatchError, match="no samples"):
        BatchSource(CountedSamples(0), batch_size=4)
    source = BatchSource(SAMPLES, batch_size=4)
    for consumed in (-1, 0.5, None, 2**62):
        with pytest.raises(BatchError, match="consumed is"):
            source.batch_at(consumed)
        with pytest.raises(BatchError, match="consumed is"):
            source.draws(consumed)
    for arguments in ((8, 4, 4, 10), (4, 9, 2, 10), (4, 8, 1, 3), (0, 8, 1, 8), (4, 8, 0, 8), (4, 8, 4, 0)):
        with pytest.raises(BatchError):
            linear_ramp(*arguments)
    assert drawn(source.batch_at(2**61)) == drawn(source.batch_at(2**61))
