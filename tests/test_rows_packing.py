"""The planner of rows: native and twin equal, what best-fit promises, memory and hostile calls; ``maskgen pack``."""

import json

import numpy as np
import pytest
from helpers import write_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgen import _native, cli
from maskgen.rows.packing import ROW_OF_EACH, plan_rows

STRATEGIES = sorted(ROW_OF_EACH)


def planned(sizes, engine="native", **changes):
    arguments = {"seq_length": 16, "specials": 0, "split_long": True, "strategy": "best-fit", **changes}
    return plan_rows(np.array(sizes, np.int64), engine=engine, **arguments)


def assert_engines_agree(sizes, **arguments):
    native, twin = planned(sizes, **arguments), planned(sizes, "reference", **arguments)
    for one, other in ((native.pieces, twin.pieces), (native.row_starts, twin.row_starts)):
        assert one.dtype == other.dtype == np.int64
        assert one.shape == other.shape
        assert np.array_equal(one, other)
    return native


@given(
    sizes=st.lists(st.one_of(st.integers(0, 20), st.integers(0, 300)), max_size=60),
    seq_length=st.one_of(st.integers(3, 20), st.integers(3, 70_000)),
    specials=st.integers(0, 2),
    split_long=st.booleans(),
    strategy=st.sampled_from(STRATEGIES),
)
@settings(max_examples=400, deadline=None)
def test_engines_agree_and_rows_are_sound(sizes, seq_length, specials, split_long, strategy):
    plan = assert_engines_agree(
        sizes, seq_length=seq_length, specials=specials, split_long=split_long, strategy=strategy
    )
    room = seq_length - specials
    assert (np.diff(plan.row_starts) > 0).all()
    assert (plan.row_starts[0], plan.row_starts[-1]) == (0, len(plan.pieces))
    lengths = [min(room, sizes[place] - offset) for place, offset in plan.pieces.tolist()]
    kept = [size if split_long else min(size, room) for size in sizes]
    assert sum(lengths) == sum(kept)
    assert len({tuple(piece) for piece in plan.pieces.tolist()}) == len(plan.pieces)
    firsts = []
    for first, last in zip(plan.row_starts, plan.row_starts[1:], strict=False):
        row = plan.pieces[first:last].tolist()
        assert sum(lengths[first:last]) + specials * len(row) <= seq_length
        assert row == sorted(row)
        firsts.append(row[0])
    assert firsts == sorted(firsts)


@pytest.mark.parametrize("seq_length", [63, 64, 65, 4095, 4096, 4097, 262143, 262145])
def test_engines_agree_where_the_tree_of_spaces_grows(seq_length):
    random = np.random.RandomState(seq_length)
    sizes = (seq_length * random.random_sample(300) ** 3).astype(np.int64)
    sizes[:4] = seq_length, seq_length - 1, 1, 0
    assert_engines_agree(sizes, seq_length=seq_length)


def test_best_fit_leaves_no_two_rows_that_fit_into_one():
    random = np.random.RandomState(3)
    sizes = random.randint(1, 17, 2000)
    plan = planned(sizes)
    filled = np.add.reduceat(sizes[plan.pieces[:, 0]], plan.row_starts[:-1])
    filled.sort()
    assert filled[0] + filled[1] > 16
    # First-fit and best-fit decreasing need at most 11/9 of the least number of rows, plus one.
    assert len(filled) <= 11 / 9 * sizes.sum() / 16 + 1


def test_sequential_begins_a_row_only_where_it_must():
    random = np.random.RandomState(4)
    sizes = random.randint(1, 17, 500)
    plan = planned(sizes, strategy="sequential")
    assert np.array_equal(plan.pieces[:, 0], np.arange(500))
    filled = np.add.reduceat(sizes, plan.row_starts[:-1])
    assert (filled[:-1] + sizes[plan.row_starts[1:-1]] > 16).all()


def test_a_hundred_million_tokens_in_one_document():
    plan = planned([10**8], seq_length=1024, specials=2)
    assert len(plan.pieces) == -(-(10**8) // 1022)
    assert plan.pieces[-1].tolist() == [0, 10**8 // 1022 * 1022]


def test_what_does_not_fit_into_memory_is_a_memory_error():
    with pytest.raises(MemoryError, match="raise seq_length"):
        planned([2**62], seq_length=3)


@pytest.mark.parametrize(("change", "message"), [
    ({"sizes": np.array([3, -1])}, r"sizes\[1\] is -1"),
    ({"sizes": np.array([2**62, 2**62, 2**62]), "seq_length": 1}, "2\\^63 - 1"),
    ({"sizes": np.zeros((2, 2), np.int64)}, "one dimension"),
    ({"seq_length": 0}, "seq_length is 0"),
    ({"seq_length": 2**24 + 1}, "expected 1 to 2"),
    ({"specials": 16}, "16 special tokens"),
    ({"specials": -1}, "-1 special tokens"),
    ({"strategy": "worst"}, "strategy is worst"),
])  # fmt: skip
def test_hostile_calls_of_the_native_planner(change, message):
    arguments = {
        "sizes": np.array([3, 4]), "seq_length": 16, "specials": 0, "split_long": True, "strategy": "best-fit",
        "memory_limit": 1 << 30,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        _native.plan_rows(**arguments | change)
    with pytest.raises(TypeError):
        _native.plan_rows(**arguments | {"sizes": np.array([0.5])})


def gathering(**changes):
    """A sound call: two rows of the tokens 0 to 9, changed."""
    arguments = {
        "tokens": np.arange(10, dtype=np.uint16),
        "row_starts": np.array([0, 2, 3]),
        "starts": np.array([0, 4, 7]),
        "counts": np.array([2, 3, 3]),
        "specials": np.array([0, 6, 0], np.uint8),
        "ids": (-1, 11, 12, -1),
        "pad_id": 99,
        "out": {"tokens": np.zeros((2, 8), np.int64), "lengths": np.zeros(2, np.int64)},
        "threads": 2,
    }
    return _native.gather_rows(**arguments | changes), (arguments | changes)["out"]


def test_native_gathering():
    failed, out = gathering()
    assert failed == -1
    assert out["tokens"].tolist() == [[0, 1, 11, 4, 5, 6, 12, 99], [7, 8, 9, 99, 99, 99, 99, 99]]
    assert out["lengths"].tolist() == [7, 3]
    assert gathering(tokens=np.array([0, 1, 2, 3, -4, 5, 6, 7, 8, -9]))[0] == 1


TOKENS, LENGTHS = np.zeros((2, 8), np.int64), np.zeros(2, np.int64)


@pytest.mark.parametrize("change", [
    {"row_starts": np.array([0, 3, 2])},
    {"row_starts": np.array([1, 2, 3])},
    {"row_starts": np.array([0, 2, 2**62])},
    {"row_starts": np.array([0, 1, 2])},
    {"row_starts": np.array([], np.int64)},
    {"starts": np.array([0, 4, -1])},
    {"starts": np.array([0, 4, 8])},
    {"starts": np.array([0, 4, 2**63 - 1])},
    {"starts": np.array([0, 4])},
    {"counts": np.array([2, -3, 3])},
    {"counts": np.array([2, 2**63 - 1, 3])},
    {"counts": np.array([5, 4, 3])},
    {"specials": np.array([15, 15, 0], np.uint8)},
    {"specials": np.array([15], np.uint8)},
    {"tokens": np.zeros((2, 8), np.uint16)},
    {"tokens": np.arange(10) / 2},
    {"tokens": np.arange(20)[::2]},
    {"out": {"tokens": np.zeros((3, 8), np.int64), "lengths": LENGTHS}},
    {"out": {"tokens": np.zeros((2, 6), np.int64), "lengths": LENGTHS}},
    {"out": {"tokens": np.zeros(16, np.int64), "lengths": LENGTHS}},
    {"out": {"tokens": TOKENS.astype(np.int16), "lengths": LENGTHS}},
    {"out": {"tokens": TOKENS.astype(float), "lengths": LENGTHS}},
    {"out": {"tokens": TOKENS.T.copy().T, "lengths": LENGTHS}},
    {"out": {"tokens": TOKENS, "lengths": np.zeros(1, np.int64)}},
    {"out": {"tokens": TOKENS, "lengths": LENGTHS, "document_ids": TOKENS.copy(), "positions": LENGTHS}},
])  # fmt: skip
def test_hostile_calls_of_native_gathering(change):
    with pytest.raises(ValueError, match=r"expected|must|the dataset has|are not|longer than|rows have"):
        gathering(**change)


# --- maskgen pack


@pytest.fixture
def prefix(tmp_path):
    return write_dataset(tmp_path / "corpus", [[[1] * size] for size in (3, 8, 5, 2, 2, 0, 19)])


def test_the_command_compares_strategies(prefix, capsys):
    assert cli.main(["pack", prefix, "--seq-length", "8"]) == 0
    printed = capsys.readouterr().out
    for line in (
        "documents   7, rows of 8",
        "best-fit    5 rows, 97.50% full, 1.60 pieces a row, 1 documents cut",
        "sequential  7 rows, 69.64% full, 1.14 pieces a row, 1 documents cut",
        "chunks      5 rows, 97.50% full, 2 documents cut",
        "documents   8 rows, 60.94% full, 1.00 pieces a row, 1 documents cut",
    ):
        assert line in printed


def test_the_command_as_json(prefix, capsys):
    flags = ["--seq-length", "9", "--add-special", "7", "8", "--strategy", "best-fit", "--split", "1,1", "--json"]
    assert cli.main(["pack", prefix, *flags]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["documents"] == [0, 4]
    (rows,) = facts["rows"]
    # Three, seven and one of the cut eight, five, and two, each with two more: 5 9 3 7 4.
    assert (rows["kind"], rows["rows"], rows["entries"], rows["pieces"]) == ("best-fit", 4, 28, 5)
    assert rows["cut_documents"] == 1


@pytest.mark.parametrize(("flags", "message"), [
    (["--seq-length", "0"], "seq_length is 0"),
    (["--seq-length", "8", "--part", "test"], "give both or neither"),
    (["--seq-length", "8", "--split", "x"], "split is 'x'"),
    (["--seq-length", "8", "--add-special", "-1", "2"], "add_special is"),
])  # fmt: skip
def test_the_command_explains_what_it_refuses(prefix, capsys, flags, message):
    assert cli.main(["pack", prefix, *flags]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
