"""Two ranks with half of a batch each have the loss and the gradients of one process with all of it."""

import clip_cases
import pytest
import torch
from clip_cases import batch, gradients, tiny
from ranks import run_ranks

from maskgen.train.clip import ClipObjective

CASES = {
    "coarse": {},
    "options": {"decoupled_contrastive_learning": True, "extra_latent_projection": True, "sim_reg_loss_weight": 0.2},
    "simclr": {"use_visual_ssl": True, "visual_ssl_type": "simclr", "still": True},
    "fine-grained": {"use_all_token_embeds": True, "extra_latent_projection": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(3, 3), (4, 2)], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_two_ranks_are_one_process(tmp_path, case, sizes):
    options, whole = CASES[case], batch(6)
    clip = tiny(visual_patch_dropout=0.0, **options)
    objective = ClipObjective(clip)
    loss = objective(whole)
    loss.backward()
    expected, measured = gradients(clip), objective.measure(whole)
    summary = objective.summary(measured.figures, objective.counts(whole))
    for found in run_ranks(tmp_path, 2, clip_cases.on_ranks, tmp_path / "store", options, sizes):
        assert found["loss"] == pytest.approx(loss.item(), rel=1e-5)
        assert found["objective"] == pytest.approx(loss.item(), rel=1e-5)
        assert found["summary"] == pytest.approx(summary)
        for kind in ("gradients", "summed"):
            assert found[kind].keys() == expected.keys()
            for name, gradient in expected.items():
                assert torch.allclose(found[kind][name].float(), gradient, rtol=1e-3, atol=1e-6), (kind, name)


@pytest.mark.slow
def test_fsdp_trains_as_ddp(tmp_path):
    ddp, fsdp = (
        run_ranks(tmp_path, 2, clip_cases.losses_on_ranks, tmp_path / f"store-{mode}", mode) for mode in ("ddp", "fsdp")
    )
    assert ddp[0] == ddp[1] == pytest.approx(fsdp[0], rel=1e-5)
    assert ddp[0][2] < ddp[0][0]
