"""Masking of token tensors: exact counts, nothing else touched, shares and positions as they should be."""

import copy
import pickle
from fractions import Fraction
from math import ceil, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sample_files import TOY, toy_samples

from maskgen import DeviceMasking
from maskgen.on_device import KEYS, choose, ids_on, meant
from maskgen.train import TrainError

PAD, CLS, SEP, MASK = 0, 1, 2, 3
OPTIONS = {"mask_id": MASK, "pad_id": PAD, "vocab_size": 40, "ignore_ids": (CLS, SEP)}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@st.composite
def cases(draw):
    rows, length = draw(st.integers(0, 4)), draw(st.integers(0, 40))
    seed = draw(st.integers(0, 2**32 - 1))
    special = draw(st.floats(0, 1))
    random = np.random.RandomState(seed)
    ids = np.where(random.random_sample((rows, length)) < special, 0, 4) + random.randint(0, 4, (rows, length))
    return torch.from_numpy(ids.astype(np.int64).reshape(rows, length)), seed


@given(cases(), st.fractions(0, 1, max_denominator=200), st.sampled_from([(1, 0), (0.8, 0.1), (0, 1), (0.2, 0.3)]))
def test_every_row_has_exactly_its_share_and_nothing_else_changes(case, rate, shares):
    tokens, seed = case
    masking = DeviceMasking(**OPTIONS, rate=float(rate), mask_share=shares[0], random_share=shares[1])
    batch = masking(tokens, generator=seeded(seed))
    chosen = batch["loss_mask"].bool()
    maskable = tokens > MASK
    assert batch["masked_counts"].tolist() == [ceil(rate * n) for n in maskable.sum(1).tolist()]
    assert torch.equal(chosen.sum(1), batch["masked_counts"])
    assert not (chosen & ~maskable).any()
    assert torch.equal(batch["text"][~chosen], tokens[~chosen])
    assert torch.equal(batch["labels"], torch.where(chosen, tokens, -1))
    put = batch["text"][chosen & (batch["text"] != tokens)]
    assert ((put > MASK) | (put == MASK)).all()
    assert torch.equal(batch["padding_mask"], (tokens != PAD).long())
    assert torch.equal(batch["lengths"], batch["padding_mask"].sum(1))
    places = batch["masked_positions"]
    assert torch.equal(places, chosen.flatten().nonzero().squeeze(1))
    assert torch.equal(batch["masked_labels"], tokens.flatten()[places])
    assert {value.dtype for value in batch.values()} == {torch.int64}


def test_left_padding_does_not_add_masks():
    """Where a rank is compared with a count over positions, these rows get 20."""
    tokens = torch.cat([torch.zeros(5, 64, dtype=torch.int64), torch.full((5, 64), 7)], 1)
    batch = DeviceMasking(**OPTIONS)(tokens, generator=seeded())
    assert batch["masked_counts"].tolist() == [10] * 5
    assert not batch["loss_mask"][:, :64].any()


def test_early_ignored_tokens_do_not_add_masks():
    tokens = torch.full((4, 128), 7)
    tokens[:, :40] = CLS
    assert DeviceMasking(**OPTIONS)(tokens)["masked_counts"].tolist() == [ceil(0.15 * 88)] * 4


def test_a_row_of_padding_has_no_masks():
    tokens = torch.tensor([[PAD] * 128, [7] * 128])
    batch = DeviceMasking(**OPTIONS)(tokens, generator=seeded())
    assert batch["masked_counts"].tolist() == [0, 20]
    assert batch["text"][0].tolist() == [PAD] * 128


def test_only_selected_positions_change():
    """Random ids do not go to tokens that no label is for."""
    tokens = torch.randint(4, 40, (50, 64), generator=seeded())
    batch = DeviceMasking(**OPTIONS, mask_share=0.0, random_share=1.0)(tokens, generator=seeded(1))
    changed = batch["text"] != tokens
    assert not (changed & ~batch["loss_mask"].bool()).any()
    assert changed.sum() > 0.9 * batch["loss_mask"].sum()


def test_random_ids_are_never_special():
    tokens = torch.full((200, 64), 39)
    options = OPTIONS | {"rate": 1.0, "mask_share": 0.0, "random_share": 1.0}
    inserted = set(DeviceMasking(**options)(tokens, generator=seeded())["text"].flatten().tolist())
    assert inserted == set(range(4, 40))
    some = DeviceMasking(**options, ordinary_ids=[5, 39, PAD, MASK])
    assert set(some(tokens, generator=seeded())["text"].flatten().tolist()) == {5, 39}


def test_a_mask_in_the_text_is_not_chosen():
    assert not DeviceMasking(**OPTIONS, rate=1.0)(torch.full((2, 9), MASK))["loss_mask"].any()


def test_ordinary_ids_are_those_that_may_be_chosen():
    masking = DeviceMasking(mask_id=4, pad_id=0, vocab_size=len(TOY), rate=1.0, ordinary_ids=TOY.ordinary_ids)
    tokens = torch.arange(len(TOY)).unsqueeze(0)
    assert masking(tokens)["masked_labels"].tolist() == TOY.ordinary_ids.tolist()


def test_the_share_is_the_number_that_was_written():
    """0.07 x 100 is above 7 in floating point; so is 0.55 x 100, 0.14 x 50 ..."""
    wrong = 0
    for percent in range(1, 101):
        maskable = torch.ones(1, 400, dtype=torch.bool)
        for count in (20, 50, 100, 400):
            maskable[:, count:] = False
            found = int(choose(maskable, percent / 100).sum())
            assert found == ceil(Fraction(percent, 100) * count)
            wrong += found != ceil(percent / 100 * count)
            maskable[:] = True
    assert wrong
    assert (meant(1 / 3), meant(0.0), meant(1.0)) == (Fraction(1, 3), 0, 1)
    assert int(choose(torch.ones(1, 9, dtype=torch.bool), 1e-12).sum()) == 1


def test_a_rate_for_one_call():
    masking = DeviceMasking(**OPTIONS)
    tokens = torch.full((2, 100), 9)
    assert masking(tokens, rate=0.3)["masked_counts"].tolist() == [30, 30]
    assert masking(tokens)["masked_counts"].tolist() == [15, 15]


def test_the_same_generator_gives_the_same_bits():
    masking = DeviceMasking(**OPTIONS, mask_share=0.8, random_share=0.1)
    tokens = torch.randint(0, 40, (20, 64), generator=seeded())
    one, same, other = (masking(tokens, generator=seeded(seed)) for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["text"], other["text"])
    state = torch.get_rng_state()
    masking(tokens, generator=seeded())
    assert torch.equal(torch.get_rng_state(), state)


def test_tokens_stay_as_they_are():
    tokens = torch.randint(0, 40, (20, 64), generator=seeded(), dtype=torch.int32)
    before = tokens.clone()
    batch = DeviceMasking(**OPTIONS)(tokens)
    assert torch.equal(tokens, before)
    assert batch["text"].dtype == torch.int64


def within_five_sigma(count, total, share):
    return abs(count - share * total) <= 5 * sqrt(total * share * (1 - share))


@pytest.mark.parametrize(("mask", "random"), [(0.9, 0.0), (0.8, 0.1), (0.5, 0.5), (0.1, 0.2)])
def test_shares(mask, random):
    tokens = torch.full((2000, 100), 39)
    masking = DeviceMasking(**OPTIONS, rate=0.5, mask_share=mask, random_share=random)
    batch = masking(tokens, generator=seeded(7))
    chosen = batch["text"][batch["loss_mask"].bool()]
    total = 100_000
    assert len(chosen) == total
    assert within_five_sigma(int((chosen == MASK).sum()), total, mask)
    others = int(((chosen != MASK) & (chosen != 39)).sum())
    assert within_five_sigma(others, total, random * 35 / 36)  # 36 ordinary ids, and one of them is the original
    for id_ in range(4, 39):
        assert within_five_sigma(int((chosen == id_).sum()), total, random / 36)


def test_every_position_and_every_pair_is_as_likely_as_another():
    rows, maskable = 40_000, [1, 2, 5, 6, 7, 9]
    tokens = torch.full((rows, 10), PAD)
    tokens[:, maskable] = 8
    chosen = DeviceMasking(**OPTIONS, rate=0.5)(tokens, generator=seeded(9))["loss_mask"].bool()
    assert chosen.sum() == 3 * rows
    for place in maskable:
        assert within_five_sigma(int(chosen[:, place].sum()), rows, 3 / 6)
        for other in maskable:
            if other > place:
                both = int((chosen[:, place] & chosen[:, other]).sum())
                assert within_five_sigma(both, rows, 3 * 2 / (6 * 5))


def test_which_id_is_put_does_not_depend_on_the_place():
    tokens = torch.full((30_000, 4), 39)
    options = OPTIONS | {"rate": 1.0, "mask_share": 0.5, "random_share": 0.25}
    text = DeviceMasking(**options)(tokens, generator=seeded(3))["text"]
    for place in range(4):
        assert within_five_sigma(int((text[:, place] == MASK).sum()), 30_000, 0.5)
    both = int(((text[:, 0] == MASK) & (text[:, 1] == MASK)).sum())
    assert within_five_sigma(both, 30_000, 0.25)


def test_names_are_those_of_samples(tmp_path):
    batch = toy_samples(tmp_path / "toy").batch([0, 1])
    found = DeviceMasking(**OPTIONS)(torch.from_numpy(batch["text"]))
    assert set(found) <= set(batch)
    assert all(found[name].dim() == batch[name].ndim for name in found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask_id": None}, "mask_id: None is no id"),
        ({"mask_id": 40}, "mask_id: 40 is no id; .* below the vocabulary's size, 40"),
        ({"mask_id": PAD}, "mask_id and pad_id are both 0"),
        ({"pad_id": -1}, "pad_id: -1 is no id"),
        ({"pad_id": True}, "pad_id: True is no id"),
        ({"ignore_ids": [1, 99]}, "ignore_ids: 99"),
        ({"ordinary_ids": [40]}, "ordinary_ids: 40"),
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"rate": 1.5}, "rate is 1.5"),
        ({"rate": "0.15"}, "rate is '0.15'"),
        ({"mask_share": float("nan")}, "mask_share is nan"),
        ({"mask_share": 0.8, "random_share": 0.3}, "more than 1 together"),
        ({"vocab_size": None, "random_share": 0.1}, "random_share is 0.1 without vocab_size"),
        ({"vocab_size": None, "ordinary_ids": [9]}, "ordinary_ids without vocab_size"),
        ({"random_share": 0.1, "ordinary_ids": []}, "every id is special"),
    ],
)
def test_bad_settings_are_one_line(change, message):
    with pytest.raises(TrainError, match=message) as error:
        DeviceMasking(**OPTIONS | change)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("tokens", [torch.zeros(3), torch.zeros(3, dtype=torch.int64), torch.zeros(2, 3), [[1, 2]]])
def test_what_is_no_rows_of_ids_is_refused(tokens):
    with pytest.raises(TrainError, match="expected a tensor of ids"):
        DeviceMasking(**OPTIONS)(tokens)


def test_bad_rate_and_generator_of_a_call():
    masking = DeviceMasking(**OPTIONS)
    with pytest.raises(TrainError, match="rate is -1"):
        masking(torch.full((1, 4), 9), rate=-1)
    with pytest.raises(TrainError, match="the generator is on cpu and the tokens are on meta"):
        masking(torch.zeros(1, 4, dtype=torch.int64, device="meta"), generator=seeded())


def test_settings_are_values():
    masking = DeviceMasking(**OPTIONS)
    masking(torch.full((1, 4), 9))
    assert pickle.loads(pickle.dumps(masking)) == copy.deepcopy(masking) == DeviceMasking(**OPTIONS)
    with pytest.raises(AttributeError):
        masking.rate = 0.5
    assert ids_on((1, 2), torch.device("cpu")) is ids_on((1, 2), torch.device("cpu"))
    assert KEYS < 2**63


@pytest.mark.gpu
def test_on_a_gpu():
    masking = DeviceMasking(**OPTIONS, mask_share=0.8, random_share=0.1)
    tokens = torch.randint(0, 40, (64, 512), device="cuda")
    one, same = (masking(tokens, generator=torch.Generator("cuda").manual_seed(3)) for _ in range(2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert one["masked_counts"].tolist() == [ceil(Fraction(15, 100) * n) for n in (tokens > MASK).sum(1).tolist()]
    assert {value.device.type for value in one.values()} == {"cuda"}
