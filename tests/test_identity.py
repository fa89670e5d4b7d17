"""Identities: equal where results are equal, and a difference that names its place."""

import json
import pickle
import shutil

import numpy as np
import pytest
from helpers import write_dataset
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sample_files import TOY, TOY_PIECES, toy_dataset, toy_samples

from maskgen.identity import array_digest, dataset_identity, difference, settings_digest, vocab_digest
from maskgen.samples import BertSamples
from maskgen.vocab import Vocab
from preprocess import IndexedDataset

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_a_description_is_json_and_does_not_depend_on_places_and_engines(tmp_path, kind):
    samples = toy_samples(tmp_path / "one", kind)
    described = samples.describe()
    assert json.loads(json.dumps(described)) == described
    for suffix in (".bin", ".idx", ".json"):
        shutil.copy(tmp_path / f"one{suffix}", tmp_path / f"other{suffix}")
    assert toy_samples(tmp_path / "again", kind).describe() == described
    moved = type(samples)(
        IndexedDataset(tmp_path / "other"), samples.sample_map, TOY, max_seq_length=29, engine="reference",
        **({"max_seq_length_dec": 24} if kind == "t5" else {}),
    )  # fmt: skip
    assert difference(described, moved.describe()) is None
    assert difference(described, pickle.loads(pickle.dumps(samples)).describe()) is None


OPTIONS = [
    ({"masked_lm_prob": 0.2}, "options.masked_lm_prob: 0.15 and 0.2"),
    ({"max_ngrams": 2}, "options.max_ngrams: 3 and 2"),
    ({"seed": 1}, "seed: 1234 and 1"),
    ({"max_seq_length": 30}, "options.max_seq_length: 29 and 30"),
    ({"binary_head": False}, "options.binary_head: true and false"),
    ({"do_whole_word_mask": False}, "options.do_whole_word_mask"),
    ({"favor_longer_ngram": True}, "options.favor_longer_ngram"),
    ({"do_permutation": True}, "options.do_permutation"),
    ({"geometric_dist": True}, "options.geometric_dist"),
    ({"masking_style": "t5"}, 'options.masking_style: "bert" and "t5"'),
    ({"replacement_ids": TOY.ordinary_ids}, "options.replacement_ids"),
]


@pytest.mark.parametrize(("options", "expected"), OPTIONS, ids=str)
def test_every_option_is_part_of_it(tmp_path, options, expected):
    one = toy_samples(tmp_path / "one").describe()
    assert difference(one, toy_samples(tmp_path / "two", **options).describe()).startswith(expected)
    if set(options) & {"max_ngrams", "geometric_dist", "seed"}:
        value = False if "geometric_dist" in options else 2
        one = toy_samples(tmp_path / "one", "t5", **dict.fromkeys(options, value)).describe()
        two = toy_samples(tmp_path / "two", "t5", **dict.fromkeys(options, True if value is False else 3)).describe()
        assert difference(one, two).startswith(expected.split(":")[0])


def test_numbers_of_other_types_say_the_same(tmp_path):
    one = toy_samples(tmp_path / "one", masked_lm_prob=0, max_ngrams=2)
    two = toy_samples(tmp_path / "two", masked_lm_prob=np.float32(0), max_ngrams=np.int16(2), binary_head=np.True_)
    assert difference(one.describe(), two.describe()) is None


def test_data_mapping_and_vocabulary_are_part_of_it(tmp_path):
    dataset, rows = toy_dataset(tmp_path / "one")
    described = BertSamples(dataset, rows, TOY, max_seq_length=29).describe()
    other, _ = toy_dataset(tmp_path / "two", seed=6)
    assert len(other) != len(dataset)
    changed = rows.copy()
    changed[7, 2] += 1
    assert difference(described, BertSamples(dataset, changed, TOY, max_seq_length=29).describe()).startswith(
        "rows.mapping"
    )
    vocab = Vocab([*TOY_PIECES[:-1], "other"], cls_id=2, sep_id=3, mask_id=4, pad_id=0)
    assert difference(described, BertSamples(dataset, rows, vocab, max_seq_length=29).describe()).startswith("vocab")


@pytest.mark.parametrize("with_sidecar", [True, False])
def test_one_token_is_enough(tmp_path, with_sidecar):
    texts = [[[1, 2, 3], [4]], [[5, 6]]]
    found = []
    for name, token in (("one", 6), ("two", 7), ("three", 6)):
        texts[1][0][1] = token
        write_dataset(tmp_path / name, texts)
        if not with_sidecar:
            (tmp_path / f"{name}.json").unlink()
        found.append(dataset_identity(IndexedDataset(tmp_path / name)))
    assert found[0] == found[2]
    assert difference(found[0], found[1]).startswith("digest:")
    assert found[0]["digest_of"] == ("sidecar" if with_sidecar else "index")
    assert (found[0]["tokens"], found[0]["sequences"], found[0]["documents"]) == (6, 3, 2)


def test_a_stale_sidecar_does_not_hide_other_tokens(tmp_path):
    write_dataset(tmp_path / "one", [[[1, 2, 3]]])
    before = dataset_identity(IndexedDataset(tmp_path / "one"))
    sidecar = (tmp_path / "one.json").read_bytes()
    write_dataset(tmp_path / "one", [[[1, 2, 4]]])
    (tmp_path / "one.json").write_bytes(sidecar)
    assert dataset_identity(IndexedDataset(tmp_path / "one")) != before


@given(
    arrays(st.sampled_from(["u1", "<i4", ">i4", "<u8", "?"]), array_shapes(max_dims=3, max_side=4)),
    st.integers(0, 10**6),
)
def test_digests_of_arrays(array, place):
    digest = array_digest(array)
    assert array_digest(np.asfortranarray(array)) == digest
    assert array_digest(array.astype(array.dtype.newbyteorder())) == digest
    assert array_digest(np.repeat(array, 2, axis=-1)[..., ::2]) == digest
    other = array.copy()
    other.flat[place % array.size] = not other.flat[place % array.size]
    assert (array_digest(other) == digest) == np.array_equal(array, other)
    assert array_digest(array[None]) != digest


def test_digests_of_long_arrays_see_every_chunk():
    array = np.zeros(3_000_000, np.uint32)
    seen = {array_digest(array)}
    for place in (0, 1_048_575, 1_048_576, 2_999_999):
        array[place] = 1
        seen.add(array_digest(array))
    assert len(seen) == 5
    assert array_digest(np.zeros((0, 3), np.uint32)) != array_digest(np.zeros((0, 2), np.uint32))


def test_digests_of_vocabularies():
    def make(**changes):
        options = {"cls_id": 2, "sep_id": 3, "mask_id": 4, "pad_id": 0, "sentinel_ids": range(7, 20)}
        return vocab_digest(Vocab(**({"pieces": TOY_PIECES} | options | changes)))

    assert make(name="another name") == make()
    word_starts = np.ones(len(TOY_PIECES), bool)
    changes = [
        {"pieces": [*TOY_PIECES, "x"]},
        {"bos_id": 5},
        {"sentinel_ids": [7, 8]},
        {"special_ids": [1]},
        {"word_starts": word_starts},
    ]
    assert len({make(), *(make(**change) for change in changes)}) == 6


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"a": 1}, {"a": 1}, None),
        ({"a": (1, 2)}, {"a": [1, 2]}, None),
        ({"a": np.int64(1)}, {"a": 1}, None),
        ({"a": float("nan")}, {"a": float("nan")}, None),
        ({"a": 1}, {"a": True}, "a: 1 and true"),
        ({"a": None}, {}, "a: null and nothing"),
        ({}, {"a": {"b": 1}}, 'a: nothing and {"b": 1}'),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "a[1].b: 2 and 3"),
        ({"a": [1]}, {"a": [1, 2]}, "a: 1 entries and 2"),
        ({"z": 1, "a": 1}, {"z": 2, "a": 2}, "z: 1 and 2"),
        ({"a": "x" * 200}, {"a": 1}, 'a: "' + "x" * 76 + "... and 1"),
    ],
)
def test_differences(one, other, expected):
    assert difference(one, other) == expected


@given(JSON, JSON)
def test_no_difference_is_equal_text(one, other):
    one, other = {"a": one}, {"a": other}
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (difference(one, other) is None) == same
    assert (settings_digest(one) == settings_digest(other)) == same
