"""Batches of masks on rows of the caller's tokens: the engines' equality, and what is refused."""

import types

import numpy as np
import pytest
from helpers import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgen import create_masked_lm_predictions
from maskgen.samples import RowMasker, SampleError
from maskgen.vocab import Vocab

PIECES = (GOLDEN / "bert-base-uncased-vocab.txt").read_text(encoding="utf-8").splitlines()
VOCAB = Vocab(PIECES, cls_id=101, sep_id=102, mask_id=103, pad_id=0)
SMALL = Vocab(
    ["[PAD]", "[CLS]", "[SEP]", "[MASK]", *"abc", "##d", "##e", "##f"], cls_id=1, sep_id=2, mask_id=3, pad_id=0
)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_engines_are_equal(data):
    rows, columns = data.draw(st.integers(0, 9)), data.draw(st.integers(0, 60))
    rng = np.random.RandomState(data.draw(st.integers(0, 2**32 - 1)))
    tokens = rng.randint(0, len(SMALL), (rows, columns)).astype(data.draw(st.sampled_from("bBhHiIq")))
    lengths = rng.randint(0, columns + 1, rows) if data.draw(st.booleans()) else None
    seeds = rng.randint(0, 2**32, rows, np.uint64) + data.draw(st.sampled_from([0, 2**32]))
    options = {
        "masked_lm_prob": data.draw(st.sampled_from([0, 0.15, 0.5, 1])),
        "max_predictions": data.draw(st.sampled_from([None, 0, 0.5, 3, 7.3])),
        "max_ngrams": data.draw(st.sampled_from([1, 3, 20])),
        "do_whole_word_mask": data.draw(st.booleans()),
        "do_permutation": data.draw(st.booleans()),
        "geometric_dist": data.draw(st.booleans()),
        "masking_style": data.draw(st.sampled_from(["bert", "t5"])),
        "replacement_ids": data.draw(st.sampled_from([None, [4], [9, 4, 4]])),
        "max_seq_length": max(1, columns + data.draw(st.sampled_from([0, 5]))),
    }
    expected = RowMasker(SMALL, engine="reference", **options).batch(tokens, seeds, lengths)
    masker = RowMasker(SMALL, **options)
    out = masker.allocate(rows, {"text": np.int16, "labels": np.int8, "loss_mask": bool, "masked_counts": np.int32})
    for array in out.values():
        array.fill(1)
    for found in (masker.batch(tokens, seeds, lengths, threads=3), masker.batch(tokens, seeds, lengths, out=out)):
        assert set(found) == set(expected)
        for name, array in expected.items():
            assert np.array_equal(found[name], array), name


def test_a_row_is_what_one_call_gives():
    """The seed of a row is that of numpy's RandomState."""
    tokens = np.random.RandomState(1).randint(1000, len(VOCAB), (5, 64))
    tokens[:, 0], tokens[:, -1] = 101, 102
    batch = RowMasker(VOCAB, max_seq_length=64, max_predictions=9.6).batch(tokens, range(40, 45))
    for row in range(5):
        rng = np.random.RandomState(40 + row)
        one = create_masked_lm_predictions(tokens[row], range(len(VOCAB)), PIECES, 0.15, 101, 102, 103, 9.6, rng)
        assert batch["text"][row].tolist() == one.tokens
        assert np.flatnonzero(batch["loss_mask"][row]).tolist() == one.positions
        assert batch["labels"][row][one.positions].tolist() == one.labels
    assert np.array_equal(batch["labels"].ravel()[batch["masked_positions"]], batch["masked_labels"])
    assert batch["masked_counts"].sum() == len(batch["masked_labels"])


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": np.zeros((2, 9), int)}, r"shape \(2, 9\); expected integers in rows of at most max_seq_length 8"),
        ({"tokens": np.zeros((2, 4))}, "tokens are float64"),
        ({"tokens": np.zeros(4, int)}, r"of the shape \(4,\)"),
        ({"tokens": np.array([[5, 10], [5, 5]])}, "row 0: token 10 at position 1 is not in the vocabulary of 10 ids"),
        ({"tokens": np.array([[5, 5], [-1, 5]])}, "row 1: token -1 at position 0"),
        ({"tokens": np.full((2, 4), 2**64 - 1, np.uint64)}, "row 0: token -1"),
        ({"seeds": [1]}, r"seeds are int64 of the shape \(1,\)"),
        ({"seeds": [0.5, 1.5]}, "seeds are float64"),
        ({"lengths": [1, 5]}, "lengths are from 1 to 5; expected 0 to the 4 columns"),
        ({"lengths": [-1, 4]}, "lengths are from -1 to 4"),
        ({"lengths": [1.5, 2.5]}, r"lengths are float64 of the shape \(2,\)"),
        ({"threads": 0}, "threads is 0"),
        ({"out": {}}, "out has"),
    ],
)
def test_arguments(engine, changes, message):
    masker = RowMasker(SMALL, max_seq_length=8, engine=engine)
    with pytest.raises(ValueError, match=message):
        masker.batch(**{"tokens": np.full((2, 4), 5), "seeds": [1, 2], **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": "fast"}, "engine is 'fast'"),
        ({"masked_lm_prob": "0.1"}, "masked_lm_prob is '0.1'"),
        ({"max_predictions": "3"}, "max_predictions is '3'"),
        ({"max_predictions": -1}, "max_predictions is -1"),
        ({"max_predictions": float("nan")}, "max_predictions is nan"),
        ({"masked_lm_prob": 2}, "masked_lm_prob is 2"),
        ({"max_seq_length": 0}, "max_seq_length is 0"),
        ({"replacement_ids": []}, "replacement_ids are"),
    ],
)
def test_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        RowMasker(SMALL, **{"max_seq_length": 8, **changes})


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_arrays_of_every_integer_type(engine):
    masker = RowMasker(SMALL, max_seq_length=8, engine=engine, masked_lm_prob=0.5)
    tokens, seeds, lengths = np.array([[5, 6, 7, 8], [8, 7, 6, 5]]), [3, 120], [4, 3]
    expected = masker.batch(tokens, seeds, lengths)
    for dtype in ("i1", "u1", ">i2", "<u2", ">i4", "<u4", ">i8", "<u8", ">u8"):
        found = masker.batch(tokens.astype(dtype), np.array(seeds, dtype), np.array(lengths, dtype))
        assert all(np.array_equal(found[name], expected[name]) for name in expected), dtype
    modulo = masker.batch(tokens, np.array([2**32 + 3, 2**64 - 2**32 + 120], np.uint64), lengths)
    assert all(np.array_equal(modulo[name], expected[name]) for name in expected)
    out = types.MappingProxyType(masker.allocate(2))
    assert masker.batch(tokens, seeds, lengths, out=out)["text"] is out["text"]
    assert masker.batch(np.empty((0, 4), int), [], [])["text"].shape == (0, 8)


def test_more_threads_than_there_can_be():
    masker = RowMasker(SMALL, max_seq_length=2)
    tokens = np.full((100_000, 2), 5)
    assert masker.batch(tokens, np.arange(len(tokens)), threads=2**70)["text"].shape == tokens.shape


def test_a_vocabulary_of_another_kind():
    with pytest.raises(ValueError, match="vocab is a dict; expected a Vocab"):
        RowMasker({}, max_seq_length=8)


def test_a_vocabulary_without_a_mask():
    with pytest.raises(ValueError, match="no id for mask"):
        RowMasker(Vocab(["[PAD]", "[CLS]", "[SEP]", "a", "##b"], cls_id=1, sep_id=2, pad_id=0), max_seq_length=8)


def test_errors_are_expected_ones():
    assert issubclass(SampleError, ValueError)
