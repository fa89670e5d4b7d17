"""How good what was written is: against numbers worked out by hand."""

import math

import pytest
import torch
from denoising_models import MASK, PAD, VOCAB, Mixing, Table, certain

from maskgen.train import TrainError
from maskgen.train.denoising import (
    Tally,
    exact_match,
    infill_accuracy,
    perplexity_by_unmasking,
    seq2seq_exact_match,
    seq2seq_token_accuracy,
)

EOS = 2


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_infilling():
    ids = torch.tensor([[5, 6, 7], [5, 6, 7], [5, 6, 7], [9, 9, 9]])
    targets = torch.tensor([[5, 6, 8], [5, 6, 7], [8, 6, 7], [3, 3, 3]])
    masked = torch.tensor([[1, 1, 0], [0, 1, 1], [1, 1, 1], [0, 0, 0]])
    assert exact_match(ids, targets, masked) == Tally(2, 3)
    assert infill_accuracy(ids, targets, masked) == Tally(6, 7)
    assert (Tally(2, 3) + Tally(1, 5)).share == 3 / 8
    assert infill_accuracy(ids, targets, masked * 7) == Tally(6, 7)  # whatever is not 0
    assert math.isnan(Tally(0, 0).share)
    with pytest.raises(TrainError, match=r"shapes \(4, 3\), \(4, 3\), \(3,\)"):
        exact_match(ids, targets, masked[0])


def test_continuations():
    written = [[5, 6, EOS, 9], [5, 6, 7, EOS], torch.tensor([5, 8, PAD]), []]
    targets = [[5, 6, EOS], [5, 6, EOS], [5, 7], [6, PAD, PAD]]
    assert seq2seq_exact_match(written, targets, eos_id=EOS, pad_id=PAD) == Tally(1, 4)
    assert seq2seq_token_accuracy(written, targets, eos_id=EOS, pad_id=PAD) == Tally(3 + 2 + 1 + 0, 3 + 3 + 2 + 1)
    assert seq2seq_exact_match([[5, 6]], [[5, 6]]) == Tally(1, 1)
    with pytest.raises(TrainError, match="2 rows for 1 targets"):
        seq2seq_token_accuracy([[5], [6]], [[5]])
    assert seq2seq_exact_match([[5, 6, PAD]], [[5, 6]]) == Tally(0, 1)
    assert seq2seq_exact_match([[5, EOS, EOS]], [[5, EOS]], eos_id=EOS, pad_id=EOS) == Tally(1, 1)


def test_perplexity_of_what_is_known_by_place():
    """The context says nothing, so the passes change nothing."""
    table = Table(torch.stack([certain(5, 0.5), certain(6, 0.25), certain(7, 0.125), certain(8, 0.9)]))
    ids = torch.tensor([[5, 6, 7, PAD], [5, 6, 3, 8]])
    for passes in (1, 2, 3, 9):
        found = perplexity_by_unmasking(table, ids, ids != PAD, mask_id=MASK, passes=passes, keep=[3])
        wanted = [-math.log(0.5 * 0.25 * 0.125), -math.log(0.5 * 0.25 * 0.9)]
        assert found.nats.tolist() == pytest.approx(wanted, rel=1e-4)
        assert found.tokens.tolist() == [3, 3]
        assert found.value == pytest.approx(math.exp(sum(wanted) / 6), rel=1e-4)


def test_each_pass_sees_what_those_before_have_shown():
    model = Table(torch.zeros(10, VOCAB))
    ids = torch.arange(3, 12)[None].expand(2, 9)
    perplexity_by_unmasking(model, ids, mask_id=MASK, passes=4, keep=[3])
    masks = torch.stack([call["ids"] == MASK for call in model.calls])
    assert masks.sum(2).tolist() == [[8, 8], [6, 6], [4, 4], [2, 2]]
    assert not (masks[1:] & ~masks[:-1]).any()
    assert not masks[:, :, 0].any()
    assert (masks[1, 0] != masks[1, 1]).any()  # an order for each row
    for call in model.calls:
        assert ((call["ids"] == ids) | (call["ids"] == MASK)).all()


def test_probabilities_of_all_rows_add_up_to_one():
    """So it is a likelihood: of the 16 rows of two tokens from four ids, in the same order."""
    model = Mixing(vocab=5)  # id 0 is the mask
    rows = torch.tensor([[a, b] for a in range(1, 5) for b in range(1, 5)])

    def without_mask(ids, **others):
        logits = model(ids, **others)
        logits[..., MASK] = -torch.inf
        return logits

    for passes in (1, 2):
        found = perplexity_by_unmasking(without_mask, rows, mask_id=MASK, passes=passes, numbers=[7] * 16)
        assert float((-found.nats).exp().sum()) == pytest.approx(1.0)


def test_rows_do_not_depend_on_those_beside_them():
    ids = torch.randint(3, VOCAB, (4, 9), generator=torch.Generator().manual_seed(1))
    whole = perplexity_by_unmasking(Mixing(), ids, mask_id=MASK, passes=3)
    again = perplexity_by_unmasking(Mixing(), ids, mask_id=MASK, passes=3)
    other = perplexity_by_unmasking(Mixing(), ids, mask_id=MASK, passes=3, seed=5)
    assert whole.nats.tolist() == again.nats.tolist() != other.nats.tolist()
    for row in range(4):
        alone = perplexity_by_unmasking(Mixing(), ids[row : row + 1], mask_id=MASK, passes=3, numbers=[row])
        assert float(alone.nats) == pytest.approx(float(whole.nats[row]))


def test_what_cannot_be_measured():
    ids = torch.tensor([[5, MASK]])
    with pytest.raises(TrainError, match="found the mask, id 0"):
        perplexity_by_unmasking(Mixing(), ids, mask_id=MASK, passes=1)
    with pytest.raises(TrainError, match="passes is 0"):
        perplexity_by_unmasking(Mixing(), ids, mask_id=MASK, passes=0)
    with pytest.raises(TrainError, match=r"attention_mask has shape \(1, 3\)"):
        perplexity_by_unmasking(Mixing(), ids.clamp(min=5), torch.ones(1, 3), mask_id=MASK, passes=1)
    with pytest.raises(TrainError, match=r"expected integers \[B, L\]"):
        perplexity_by_unmasking(Mixing(), ids[0], mask_id=MASK, passes=1)
    with pytest.raises(TrainError, match="2 numbers for 1 rows"):
        perplexity_by_unmasking(Mixing(), ids.clamp(min=5), mask_id=MASK, passes=1, numbers=[1, 2])
    nothing = perplexity_by_unmasking(Mixing(), torch.tensor([[5, 5]]), mask_id=MASK, passes=2, keep=[5])
    assert math.isnan(nothing.value)
    never = Table(torch.where(torch.arange(VOCAB) == 5, -1e4, 0.0).expand(2, VOCAB))  # e to the 10,000 is no float
    assert perplexity_by_unmasking(never, torch.tensor([[5, 5]]), mask_id=MASK, passes=1).value == math.inf
