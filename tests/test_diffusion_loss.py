"""Losses of masked diffusion, against what plain torch computes place by place."""

import copy
import math

import pytest
import torch
from torch.nn import functional
from toy_networks import WIDTH, Encoder, seeded, tokens_of

from maskgen.schemes.draws import Draws
from maskgen.schemes.masked_diffusion import MaskedDiffusion as Scheme
from maskgen.train import TrainError
from maskgen.train.diffusion import DiffusionLoss, MaskedDiffusion, positions_of, subs
from maskgen.train.diffusion.weights import noise_of
from maskgen.vocab import Vocab

PAD, SPECIAL, MASK = 0, 2, 4
IDS = {"mask_token_id": MASK, "pad_token_id": PAD, "mask_ignore_token_ids": (1, 2)}


def a_batch(rows=5, length=12, seed=3):
    """Rows of different lengths with a special token in front, in XLM's names, masked by hand."""
    tokens = tokens_of(rows, length, seed=seed)
    tokens[:, 0] = SPECIAL
    lengths = torch.tensor([length, length - 3, 5, 2, length])[:rows]
    real = torch.arange(length) < lengths[:, None]
    tokens = torch.where(real, tokens, PAD)
    levels = torch.tensor([0.9, 0.2, 0.5, 0.7, 0.0])[:rows]
    chosen = real & (tokens != SPECIAL) & (torch.rand(rows, length, generator=seeded(seed)) < levels[:, None])
    return {
        "input_ids": torch.where(chosen, MASK, tokens),
        "attention_mask": real.long(),
        "target_ids": tokens,
        "weights": 1 / levels.clamp(min=0.1),
    }


def logits_of(batch, vocab=40, seed=9):
    rows, length = batch["input_ids"].shape
    return torch.randn(rows, length, vocab, generator=seeded(seed), dtype=torch.float64).requires_grad_()


def xlm_twin(logits, batch, *, visible=False, padding=False, per_sequence=False):
    total, places, of_rows = 0.0, 0, []
    for row in range(len(logits)):
        of_row, masks = 0.0, 0
        for place in range(logits.shape[1]):
            masked = bool(batch["input_ids"][row, place] == MASK)
            real = bool(batch["attention_mask"][row, place])
            masks += masked
            if masked or (real and visible) or (not real and padding):
                places += 1
                target = batch["target_ids"][row, place]
                of_row = of_row - torch.log_softmax(logits[row, place], -1)[target]
        total, of_rows = total + of_row, [*of_rows, of_row / (masks + 1)]
    return sum(of_rows) / len(of_rows) if per_sequence else total / places


@pytest.mark.parametrize("per_sequence", [False, True])
@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize("visible", [False, True])
def test_xlm_is_the_plain_loss_in_all_its_options(visible, padding, per_sequence):
    batch, options = a_batch(), {"on_visible": visible, "on_padding": padding, "per_sequence": per_sequence}
    loss, logits = DiffusionLoss(mask_id=MASK, weighting="xlm", **options), logits_of(batch)
    expected = xlm_twin(logits, batch, visible=visible, padding=padding, per_sequence=per_sequence)
    assert torch.allclose(loss(logits, batch), expected, rtol=1e-6)  # weights of rows are float32
    ours = torch.autograd.grad(loss(logits, batch), logits)[0]
    theirs = torch.autograd.grad(expected, logits)[0]
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("weighting", ["llada", "mdlm"])
def test_weighted_losses_are_the_plain_ones(weighting):
    batch = a_batch()
    logits = logits_of(batch)
    total, maskable = 0.0, 0
    for row, place in batch["attention_mask"].nonzero().tolist():
        target = batch["target_ids"][row, place]
        if target == SPECIAL:
            continue
        maskable += 1
        if batch["input_ids"][row, place] == MASK:
            exponentials = logits[row, place].exp()
            whole = exponentials.sum() - (exponentials[MASK] if weighting == "mdlm" else 0)
            total = total + batch["weights"][row].double() * (whole.log() - logits[row, place, target])
    loss = DiffusionLoss(mask_id=MASK, weighting=weighting, special_ids=(PAD, SPECIAL))
    assert torch.allclose(loss(logits, batch), total / maskable, rtol=1e-6)


@pytest.mark.parametrize("weighting", ["xlm", "llada", "mdlm"])
def test_no_batch_is_written_to(weighting):
    """XLM's loss puts -100 into the targets of its batch."""
    batch = a_batch()
    before = copy.deepcopy(batch)
    objective = MaskedDiffusion(Encoder(logits=True), weighting=weighting, **IDS)
    first = objective(batch)
    DiffusionLoss(mask_id=MASK, weighting=weighting)(logits_of(batch), batch)
    assert all(torch.equal(batch[name], before[name]) for name in before)
    assert torch.equal(objective(batch), first)


def test_losses_are_computed_in_float32():
    batch = a_batch()
    half = logits_of(batch).detach().bfloat16()
    loss = DiffusionLoss(mask_id=MASK, weighting="xlm")
    assert loss(half, batch).dtype == torch.float32
    assert torch.equal(loss(half, batch), loss(half.float(), batch))


@pytest.mark.parametrize("weighting", ["xlm", "llada", "mdlm"])
def test_without_a_mask_the_loss_is_0_and_so_are_gradients(weighting):
    batch = a_batch()
    batch["input_ids"] = batch["target_ids"]
    objective = MaskedDiffusion(Encoder(logits=True), weighting=weighting, **IDS)
    loss = objective(batch)
    loss.backward()
    assert loss == 0
    assert all(each.grad is None or not each.grad.any() for each in objective.parameters())


def test_positions_count_tokens_wherever_padding_is():
    mask = torch.tensor([[1, 1, 1, 0], [0, 0, 1, 1], [0, 1, 1, 0]])
    assert positions_of(mask).tolist() == [[0, 1, 2, 2], [0, 0, 0, 1], [0, 0, 1, 1]]
    assert positions_of(mask.bool()).equal(positions_of(mask))


def test_subs_has_nothing_on_mask_and_carries_visible_tokens_over():
    batch = a_batch()
    answers = subs(logits_of(batch), batch["input_ids"], MASK).detach()
    assert torch.allclose(answers.exp().sum(-1), torch.ones(answers.shape[:2], dtype=torch.float64))
    masked = batch["input_ids"] == MASK
    assert (answers[masked][:, MASK] == -math.inf).all()
    shown = functional.one_hot(batch["input_ids"][~masked], answers.shape[-1])
    assert torch.equal(answers[~masked].exp(), shown.double())
    loss = DiffusionLoss(mask_id=MASK, weighting="mdlm", special_ids=(PAD, SPECIAL))(logits_of(batch), batch)
    everywhere = -answers.gather(-1, batch["target_ids"][..., None]).squeeze(-1)  # 0 at visible tokens
    maskable = (batch["attention_mask"].bool() & (batch["target_ids"] != SPECIAL)).sum()
    assert torch.allclose(loss, (everywhere.sum(1) * batch["weights"].double()).sum() / maskable)


def test_weights_are_those_of_the_schedules():
    """MDLM's is -alpha' / (1 - alpha) by finite differences; LLaDA's 1 / p, and p is what is drawn."""
    eps = 1e-3
    drawn = noise_of("mdlm", 1000, seeded(), torch.device("cpu"))

    def alpha(time):
        return 1 - (1 - eps) * time

    time = drawn.times.double()
    slope = (alpha(time + 1e-6) - alpha(time - 1e-6)) / 2e-6
    assert torch.allclose(drawn.weights.double(), -slope / (1 - alpha(time)), rtol=1e-5)
    assert torch.allclose(drawn.shares.double(), 1 - alpha(time), atol=1e-6)
    drawn = noise_of("llada", 1000, seeded(), torch.device("cpu"))
    assert torch.allclose(drawn.shares, (1 - eps) * drawn.times + eps)
    assert torch.allclose(drawn.weights, 1 / drawn.shares)


@pytest.mark.parametrize("kind", ["llada", "mdlm"])
def test_noise_on_the_device_is_that_of_the_scheme(kind):
    scheme = Scheme(Vocab(["[PAD]", "[MASK]", "a", "##b"], pad_id=0, mask_id=1), 8, kind=kind, strata=1)
    times, shares, weights = map(torch.from_numpy, scheme.levels(Draws(1, 0, torch.arange(50).numpy()), None))
    slope = (shares[1] - shares[0]) / (times[1] - times[0])
    drawn = noise_of(kind, 50, seeded(), torch.device("cpu"))
    expected = shares[0] + slope * (drawn.times.double() - times[0])
    assert torch.allclose(drawn.shares.double(), expected, atol=1e-6)
    assert torch.allclose((drawn.weights * drawn.shares).double(), (weights * shares).mean(), atol=1e-6)


def test_times_of_mdlm_have_low_discrepancy():
    times = noise_of("mdlm", 64, seeded(), torch.device("cpu"), eps=1e-9).times
    assert sorted((times * 64).floor().tolist()) == list(range(64))
    alone = noise_of("llada", 64, seeded(), torch.device("cpu")).times
    assert len(set((alone * 64).floor().tolist())) < 64


def test_objective_and_loss_agree_and_raw_tokens_are_masked_by_a_generator():
    for weighting in ("xlm", "llada", "mdlm"):
        encoder = Encoder(seed=1)
        objective = MaskedDiffusion(encoder, head=torch.nn.Linear(WIDTH, 40), weighting=weighting, **IDS)
        tokens = tokens_of(8)
        tokens[:, 0] = SPECIAL
        tokens[0, 6:] = PAD
        batch = objective.masked(tokens, seeded(5))
        assert torch.equal(objective(tokens, generator=seeded(5)), objective(batch))
        assert not torch.equal(objective(tokens, generator=seeded(6)), objective(batch))
        everywhere = objective.to_logits(encoder(batch["text"]))
        assert torch.allclose(objective(batch), objective.loss(everywhere, batch), atol=1e-5)
        masked = batch["text"] == MASK
        assert torch.equal(batch["labels"][masked], tokens[masked])
        assert (batch["labels"][~masked] == -1).all()
        assert not (masked & ((tokens == SPECIAL) | (tokens == PAD))).any()


def test_each_row_is_masked_to_its_own_share():
    objective = MaskedDiffusion(Encoder(), weighting="mdlm", **IDS)
    batch = objective.masked(tokens_of(20, 4000), seeded())
    found = (batch["text"] == MASK).double().mean(1)
    assert (found - 0.999 * batch["t"]).abs().max() < 0.05


def test_the_bound_is_the_same_sum_for_every_weighting():
    batch = a_batch()
    bounds = []
    for weighting in ("xlm", "llada"):
        objective = MaskedDiffusion(Encoder(logits=True, seed=2), weighting=weighting, **IDS)
        counts, measured = objective.counts(batch), objective.measure(batch)
        bounds.append(objective.summary(measured.figures, counts)["bound"])
    assert bounds[0] == pytest.approx(bounds[1])
    assert bounds[1] == pytest.approx(objective(batch).item())


def test_accuracy_is_that_of_masks_whatever_is_paid_for():
    batch, found = a_batch(), []
    for visible in (False, True):
        objective = MaskedDiffusion(Encoder(logits=True, seed=2), weighting="xlm", on_visible=visible, **IDS)
        with torch.no_grad():  # most of what is visible is right, as nothing is but the word itself
            for block in objective.transformer.blocks:
                block.feed_forward[2].weight.zero_()
            objective.transformer.to_logits.weight.copy_(objective.transformer.words.weight)
        found.append(objective.measure(batch).figures)
    assert found[0]["diffusion_places"] == found[1]["diffusion_places"] == (batch["input_ids"] == MASK).sum()
    assert found[0]["diffusion_correct"] == found[1]["diffusion_correct"]


def test_parts_of_a_batch_have_the_loss_of_the_whole():
    for options in ({"weighting": "xlm", "per_sequence": True}, {"weighting": "xlm"}, {"weighting": "llada"}):
        objective, batch = MaskedDiffusion(Encoder(logits=True), **options, **IDS), a_batch()
        parts = [{name: value[rows] for name, value in batch.items()} for rows in (slice(0, 2), slice(2, 5))]
        total = sum(objective.counts(part)["diffusion"] for part in parts)
        losses = [objective.measure(part).loss(objective.weights, {"diffusion": total}) for part in parts]
        assert torch.allclose(sum(losses), objective(batch), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"weighting": "ddpm"}, "weighting is 'ddpm'; expected one of llada, mdlm, xlm"),
        ({"on_visible": True}, "on_visible with the weighting llada; expected xlm"),
        ({"pad_token_id": MASK}, "both 4"),
    ],
)
def test_what_contradicts_itself(options, said):
    with pytest.raises(TrainError, match=said):
        MaskedDiffusion(Encoder(), **{**IDS, **options})


def test_batches_that_do_not_fit():
    objective, batch = MaskedDiffusion(Encoder(logits=True), **IDS), a_batch()
    with pytest.raises(TrainError, match="a batch without weights, and the weighting llada"):
        objective({name: value for name, value in batch.items() if name != "weights"})
    with pytest.raises(TrainError, match="without target_ids of the same shape"):
        objective({"input_ids": batch["input_ids"], "target_ids": batch["target_ids"][:, 1:]})
    with pytest.raises(TrainError, match=r"attention_mask has shape \(5, 11\), input_ids have \(5, 12\)"):
        objective({**batch, "attention_mask": batch["attention_mask"][:, 1:]})
