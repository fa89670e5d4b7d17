"""Samples under the names of Hugging Face models."""

import numpy as np
import pytest
from sample_files import toy_samples

from maskgen.samples import SampleError, to_hf


def test_bert(tmp_path):
    samples = toy_samples(tmp_path / "toy")
    batch = samples.batch(range(8))
    found = to_hf(batch)
    assert list(found) == ["input_ids", "attention_mask", "token_type_ids", "labels"]
    assert found["input_ids"] is batch["text"]
    assert found["attention_mask"] is batch["padding_mask"]
    assert np.array_equal(found["labels"] == -100, batch["loss_mask"] == 0)
    assert np.array_equal(found["labels"][batch["loss_mask"] == 1], batch["masked_labels"])
    with_head = to_hf(batch, next_sentence=True)
    assert np.array_equal(with_head.pop("next_sentence_label"), batch["is_random"])
    assert list(with_head) == list(found)
    for row in range(8):
        for name, array in to_hf(samples[row], next_sentence=True).items():
            expected = batch["is_random"] if name == "next_sentence_label" else found[name]
            assert np.array_equal(array, expected[row]), name


def test_a_padding_id_is_no_type():
    batch = {"text": [2, 4, 3, 9], "types": [0, 0, 1, 9], "labels": [-1, 5, -1, -1], "loss_mask": [0, 1, 0, 0],
             "padding_mask": [1, 1, 1, 0], "is_random": 1, "truncated": 0}  # fmt: skip
    found = to_hf(batch)
    assert found["token_type_ids"].tolist() == [0, 0, 1, 0]
    assert found["labels"].tolist() == [-100, 5, -100, -100]


def test_t5(tmp_path):
    samples = toy_samples(tmp_path / "toy", "t5")
    batch = samples.batch(range(8))
    found = to_hf(batch)
    assert list(found) == ["input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask", "labels"]
    assert np.array_equal(found["attention_mask"].sum(1), batch["lengths"])
    assert np.array_equal(found["decoder_attention_mask"].sum(1), batch["lengths_dec"])
    assert np.array_equal(found["labels"][found["labels"] != -100], batch["masked_labels"])
    for row in range(8):
        for name, array in to_hf(samples[row], pad_id=0).items():
            assert np.array_equal(array, found[name][row]), name
    with pytest.raises(SampleError, match=r"pass vocab\.pad_id"):
        to_hf(samples[0])
    with pytest.raises(SampleError, match="next_sentence"):
        to_hf(batch, next_sentence=True)
    empty = {**samples[0], "text_enc": np.zeros(29, np.int64)}
    assert to_hf(empty, pad_id=0)["attention_mask"].sum() == 0


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_narrow_types_become_int64(tmp_path, kind):
    samples = toy_samples(tmp_path / "toy", kind)
    narrow = samples.allocate(3, {"labels": np.int8, "loss_mask": np.bool_, "padding_mask": np.uint8})
    expected = to_hf(samples.batch([1, 2, 3]))
    for name, array in to_hf(samples.batch([1, 2, 3], out=narrow)).items():
        assert array.dtype == np.int64
        assert np.array_equal(array, expected[name]), name


def test_something_else():
    with pytest.raises(SampleError, match="a batch with input_ids; expected"):
        to_hf({"input_ids": [1]})
    with pytest.raises(SampleError, match="nothing"):
        to_hf({})
