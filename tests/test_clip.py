"""CLIP: every option, alone and together; what it refuses; what the objective tells the training loop."""

import dataclasses
import itertools
import re

import numpy as np
import pytest
import torch
from clip_cases import EOS, MASK, MLM, PAD, TINY, batch, gradients, tiny
from doc_pages import ROOT, run_page
from torch import nn

from maskgen.train.clip import CLIP, ClipConfig, ClipObjective
from maskgen.train.clip.losses import contrastive_rows
from maskgen.train.errors import TrainError
from maskgen.train.models import Encoder, EncoderConfig
from maskgen.train.optimizers import build_optimizer

CAUSAL = {"text_causal_mask": True, "text_eos_id": EOS}
OPTIONS = {
    "plain": {},
    "rotary": {"text_rotary_pos_emb": True},
    "causal": CAUSAL,
    "causal rotary": CAUSAL | {"text_rotary_pos_emb": True},
    "checkpointing": {"checkpoint_during_training": True},
}
LOSSES = {
    "mlm": MLM,
    "simsiam": {"use_visual_ssl": True},
    "simclr": {"use_visual_ssl": True, "visual_ssl_type": "simclr"},
    "both": MLM | {"use_visual_ssl": True, "visual_ssl_hidden_layer": "transformer.layers.0"},
}
GRAINS = {"coarse": {}, "fine": {"use_all_token_embeds": True}}
EXTRAS = {"one projection": {}, "two": {"extra_latent_projection": True, "decoupled_contrastive_learning": True}}


def drawn(seed=3):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("grain", GRAINS)
@pytest.mark.parametrize("options", OPTIONS)
def test_shapes_and_gradients_of_every_combination(options, grain, extra):
    for losses, regularisation in itertools.product(LOSSES, (0.0, 0.3)):
        given = OPTIONS[options] | GRAINS[grain] | EXTRAS[extra] | LOSSES[losses]
        clip, data = tiny(**given, sim_reg_loss_weight=regularisation), batch()
        text, images = data["text"], data["images"]
        found = clip(text, images, keep_all_patches=True)
        assert found.shape == ((4, 6, 16) if grain == "fine" else (4,))
        latents = clip(text, images, return_latents=True)
        assert len(latents) == (4 if extra == "two" else 2)
        assert latents[0].shape == ((4, 6, 6) if grain == "fine" else (4, 6))
        assert latents[1].shape == ((4, 8, 6) if grain == "fine" else (4, 6))  # half of the patches
        assert torch.allclose(latents[0].norm(dim=-1), torch.ones(()))
        encoded = clip(text, images, return_encodings=True)
        assert encoded[0].shape == (4, 6 if "causal" in options else 7, 8)
        assert encoded[1].shape[0::2] == (4, 12)
        assert clip.similarities(text, images).shape == (4, 4)
        assert clip.similarities(text, images, text_to_image=False).shape == (4, 4)
        loss = clip(text, images, return_loss=True, aug_text=text.flip(0), aug_image=[images.flip(3), images])
        loss.backward()
        assert loss.shape == ()
        assert torch.isfinite(loss)
        assert gradients(clip).keys() == dict(clip.named_parameters()).keys()  # DDP wants each one used
        build_optimizer(clip, lr=0.1)  # which checks that each is in one group


@pytest.mark.parametrize("grain", GRAINS)
def test_the_loss_is_that_of_latents_and_weights(grain):
    clip, data = tiny(**GRAINS[grain], **EXTRAS["two"], sim_reg_loss_weight=0.3, visual_patch_dropout=0.0), batch()
    other = {"aug_text": data["text"].flip(0), "aug_image": data["images"].flip(3)}
    with torch.no_grad():
        loss = clip(data["text"], data["images"], return_loss=True, **other).item()
        views = [
            [clip(text, images, return_latents=True) for images in (data["images"], other["aug_image"])]
            for text in (data["text"], other["aug_text"])
        ]
    scale, terms = clip.scale.item(), []
    for row, text in zip(views, (data["text"], other["aug_text"]), strict=True):
        for t, i, t_extra, i_extra in row:
            there, back = (np.zeros((4, 4)) for _ in range(2))
            for x, y in itertools.product(range(4), repeat=2):
                if grain == "fine":
                    kept = (text[x] != PAD).numpy()
                    there[x, y] = (t[x].numpy()[kept] @ i[y].numpy().T).max(1).mean()
                    back[y, x] = (t_extra[x].numpy()[kept] @ i_extra[y].numpy().T).max(0).mean()
                else:
                    there[x, y], back[y, x] = t[x] @ i[y], t_extra[x] @ i_extra[y]
            rows = [contrastive_rows(torch.from_numpy(each) * scale, 0, True).mean().item() for each in (there, back)]
            terms.append(np.mean(rows))
    t, i, t_extra, i_extra = views[0][0]
    mask = data["padding_mask"][..., None] if grain == "fine" else 1
    squares = []
    for texts, images in ((t, i), (t_extra, i_extra)):
        if grain == "fine":
            texts, images = (nn.functional.normalize(each.sum(1), dim=-1) for each in (texts * mask, images))
        difference = (texts @ texts.T - images @ images.T).square()
        squares.append((difference.sum() - difference.diagonal().sum()).item() / 12)
    expected = 0.9 * terms[0] + 0.1 * np.mean(terms[1:]) + 0.3 * np.mean(squares)
    assert loss == pytest.approx(expected, rel=1e-4)


def test_masked_captions_are_the_mlm_of_the_text_encoder():
    for options in ({}, CAUSAL):
        clip, data = tiny(**MLM, **options), batch()
        inputs = {"mask": data["padding_mask"]}
        masked = clip.mlm.masked(data["text"], drawn())
        vectors = clip.text_transformer(masked["text"], data["padding_mask"])[:, clip.text_leading :]
        chosen = masked["labels"] >= 0
        expected = nn.functional.cross_entropy(clip.mlm.to_logits(vectors[chosen]), data["text"][chosen])
        assert clip.mlm.measure(masked, **inputs).sums["mlm"].item() / chosen.sum() == pytest.approx(expected.item())
        measured = clip.measure(data["text"], data["images"], generator=drawn())
        counts = clip.counts(data["text"], data["padding_mask"])
        assert counts["mlm"] == chosen.sum()
        assert measured.sums["mlm"].item() / counts["mlm"] == pytest.approx(expected.item(), rel=1e-5)
        assert not (masked["text"][data["text"] == EOS] == MASK).any() or not options


def test_the_mask_id_has_no_default():
    with pytest.raises(TrainError, match="use_mlm without mlm_mask_token_id"):
        tiny(use_mlm=True)


def test_weights_add_up_and_have_their_defaults():
    both = MLM | {"use_visual_ssl": True}
    assert tiny(**both).weights() == pytest.approx({"contrastive": 0.9, "mlm": 0.05, "visual_ssl": 0.05})
    found = tiny(**both, sim_reg_loss_weight=2.0).weights(multiview=True)
    assert found == pytest.approx(
        {"contrastive": 0.8, "multiview": 0.1, "mlm": 0.05, "visual_ssl": 0.05, "regularisation": 2.0}
    )


def test_a_given_visual_ssl_counts_without_its_flag():
    class Ssl(nn.Module):
        def forward(self, images):
            return images.sum() * 0 + 7.0

    clip, data = tiny(visual_ssl=Ssl(), image_ssl_loss_weight=0.5), batch()
    plain = tiny()
    assert clip.weights()["visual_ssl"] == 0.5
    pair = [each.eval()(data["text"], data["images"], return_loss=True).item() for each in (clip, plain)]
    assert pair[0] == pytest.approx(0.5 * pair[1] + 3.5)


def test_causal_texts_are_their_end():
    clip, data = tiny(**CAUSAL), batch()
    other = data["text"].clone()
    ends = (other == EOS).int().argmax(1)
    for row, end in enumerate(ends):
        other[row, end + 1 :] = 3
    found, same = (clip(text, data["images"], return_latents=True)[0] for text in (data["text"], other))
    assert torch.allclose(found, same, atol=1e-6)
    encoded = clip.encode_text(data["text"])[torch.arange(4), ends]
    assert torch.allclose(found, nn.functional.normalize(clip.to_text_latent(encoded), dim=-1))
    cut = torch.where(data["text"] == EOS, PAD, data["text"])  # no end: the last token
    expected = clip.encode_text(cut)[torch.arange(4), (ends - 1).clamp(min=0)]
    found = clip(cut, data["images"], return_latents=True)[0]
    assert torch.allclose(found, nn.functional.normalize(clip.to_text_latent(expected), dim=-1))


def test_extra_projections_answer_the_other_way():
    clip, data = tiny(extra_latent_projection=True).eval(), batch()
    pairs = (data["text"], data["images"])
    there, back = (clip(*pairs, text_to_image=way) for way in (True, False))
    latents = clip(*pairs, return_latents=True)
    assert torch.allclose(there, (latents[0] * latents[1]).sum(1) * clip.scale)
    assert torch.allclose(back, (latents[2] * latents[3]).sum(1) * clip.scale)
    new = CLIP(**TINY, extra_latent_projection=True)
    assert torch.equal(new.to_text_latent.weight, new.to_text_latent_extra.weight)
    assert new.to_text_latent.weight is not new.to_text_latent_extra.weight


@pytest.mark.parametrize("which", ["text", "image"])
def test_a_frozen_encoder_has_no_gradient_and_its_projection_learns(which):
    clip, data = tiny(), batch()
    names = {"text": ("text_transformer", "to_text_latent"), "image": ("visual_transformer", "to_visual_latent")}
    frozen, projection = names[which]
    clip(data["text"], data["images"], return_loss=True, **{f"freeze_{which}_encoder": True}).backward()
    found = gradients(clip)
    assert not [name for name in found if name.startswith(frozen)]
    assert {name.split(".")[0] for name in found} == {
        projection, "temperature", *(name for pair in names.values() for name in pair if name != frozen)
    }  # fmt: skip
    assert found[f"{projection}.weight"].abs().sum() > 0
    assert all(part.training for part in clip.modules())
    objective = ClipObjective(clip, **{f"freeze_{which}_encoder": True})
    trained = {id(each) for group in build_optimizer(objective, lr=0.1).param_groups for each in group["params"]}
    assert not trained & {id(each) for each in getattr(clip, frozen).parameters()}
    assert id(getattr(clip, projection).weight) in trained


def test_a_frozen_image_encoder_keeps_all_patches():
    clip, data = tiny(), batch()
    frozen, whole = (
        clip(data["text"], data["images"], return_latents=True, **option)[1]
        for option in ({"freeze_image_encoder": True}, {"keep_all_patches": True})
    )
    assert torch.equal(frozen, whole)


def test_the_scale_is_learned_up_to_its_largest():
    clip = tiny(initial_scale=10.0, largest_scale=20.0)
    assert clip.scale.item() == pytest.approx(10)
    with torch.no_grad():
        clip.temperature.fill_(1000.0)
    clip.scale.sum().backward()
    assert clip.scale.item() == pytest.approx(20, rel=1e-3)
    assert clip.temperature.grad.item() == pytest.approx(20, rel=1e-3)  # so that it finds its way back
    clip(*(batch()[name] for name in ("text", "images")), return_loss=True).backward()
    assert all(torch.isfinite(each).all() for each in gradients(clip).values())


def test_encoders_of_others():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(20, 8)

        def forward(self, text, mask=None):
            assert mask is not None
            return self.embed(text)

    class Unmasked(Words):
        def forward(self, text):
            return self.embed(text).mean(1)

    image = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 12))
    data = batch()
    pairs = (data["text"], data["images"])
    clip = tiny(text_encoder=Words(), image_encoder=image, text_has_cls_token=False, **MLM)
    clip(*pairs, return_loss=True).backward()
    assert gradients(clip)["text_transformer.embed.weight"].abs().sum() > 0
    assert tiny(text_encoder=Unmasked(), text_encode_without_mask=True, image_encoder=image)(*pairs).shape == (4,)
    fine = tiny(text_encoder=Words(), text_has_cls_token=False, image_encoder=image, use_all_token_embeds=True)
    with pytest.raises(TrainError, match="image encoder that returns"):
        fine(*pairs)


def test_an_encoder_of_the_project_is_a_text_encoder():
    config = EncoderConfig("modern", vocab_size=20, hidden_size=8, layers=1, heads=2, intermediate_size=16)
    data = batch()
    for grain in GRAINS.values():
        clip = tiny(text_encoder=Encoder(config), **MLM, **grain)
        assert clip.text_leading == 0
        clip(data["text"], data["images"], return_loss=True).backward()
        assert gradients(clip)["text_transformer.layers.0.up.weight"].abs().sum() > 0


def test_downsampled_patches():
    clip, data = tiny(use_all_token_embeds=True, downsample_image_embeds=True, visual_patch_dropout=0.0), batch()
    latents = clip(data["text"], data["images"], return_latents=True)[1]
    assert latents.shape == (4, 4, 6)
    patches = clip.encode_image(data["images"]).transpose(1, 2).reshape(4, 12, 4, 4)
    expected = clip.to_visual_latent.project(clip.to_visual_latent.halve(patches)).flatten(2).transpose(1, 2)
    assert torch.allclose(latents, nn.functional.normalize(expected, dim=-1))


def test_weights_are_a_function_of_options_and_seed():
    state = torch.get_rng_state()
    first, again, other = CLIP(**TINY), CLIP(ClipConfig(**TINY)), CLIP(**TINY, seed=2)
    assert torch.equal(state, torch.get_rng_state())
    pairs = list(zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    assert all(torch.equal(*pair) for pair in pairs)
    assert not torch.equal(first.to_text_latent.weight, other.to_text_latent.weight)
    assert ClipConfig.from_json(first.config.to_json()) == first.config


def test_masks_views_and_patches_are_functions_of_the_generator():
    clip, data = tiny(**MLM, use_visual_ssl=True), batch()
    objective = ClipObjective(clip, image_views=1)
    first, again, other = (objective(data, generator=drawn(seed)).item() for seed in (1, 1, 2))
    assert first == again != other


def test_the_objective_is_the_models_loss():
    clip, data = tiny(**MLM, visual_patch_dropout=0.0), batch()
    objective = ClipObjective(clip, text_views=1, image_views=2)
    more = {"aug_text": data["text"].flip(0)[None], "aug_images": torch.stack([data["images"].flip(3)] * 2)}
    expected = clip(
        data["text"], data["images"], return_loss=True, aug_text=more["aug_text"][0],
        aug_image=list(more["aug_images"]), generator=drawn(),
    )  # fmt: skip
    assert objective(data | more, generator=drawn()).item() == pytest.approx(expected.item())
    measured, counts = objective.measure(data | more, drawn()), objective.counts(data | more)
    assert measured.sums.keys() == counts.keys() == objective.weights.keys()
    assert {name: int(value) for name, value in counts.items()} == {
        "contrastive": 4, "multiview": 4, "mlm": int(clip.counts(data["text"])["mlm"])
    }  # fmt: skip
    summary = objective.summary(measured.figures, counts)
    assert summary.keys() == {"text_to_image_accuracy", "image_to_text_accuracy", "mlm_accuracy"}
    assert all(0 <= share <= 1 for share in summary.values())
    objective.check_micro_batches(1)
    with pytest.raises(TrainError, match="2 micro-batches"):
        objective.check_micro_batches(2)


def test_bfloat16_autocast_has_losses_in_float32():
    clip, data = tiny(**MLM, use_all_token_embeds=True), batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = clip(data["text"], data["images"], return_loss=True)
    assert loss.dtype == torch.float32
    loss.backward()


def test_the_page_runs_and_its_tests_exist(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names, _ = run_page("docs/clip.md", capsys)
    assert torch.isfinite(names["loss"])
    assert names["text_latents"].shape == names["image_latents"].shape == (4, 16)
    assert gradients(names["clip"])["to_text_latent.weight"].abs().sum() > 0
    with pytest.raises(TrainError):
        names["objective"].check_micro_batches(2)
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs/clip.md").read_text())
    tests = "".join(path.read_text() for path in ROOT.glob("tests/test_clip*.py"))
    assert len(named) == 9
    for name in named:
        assert f"def {name}(" in tests, name


def test_every_option_is_on_the_page():
    text = (ROOT / "docs/clip.md").read_text()
    prefixes = ("dim_", "text_", "visual_", "mlm_")
    for field in dataclasses.fields(ClipConfig):
        assert f"`{field.name}`" in text or field.name.startswith(prefixes), field.name


def run(clip=None, **options):
    data = batch()
    return (clip or tiny())(data["text"], data["images"], **options)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: tiny(use_mlm=True, mlm_mask_token_id=20), "mask_id"),
        (lambda: tiny(text_causal_mask=True), "without text_eos_id"),
        (lambda: tiny(text_eos_id=0), "expected two ids"),
        (lambda: tiny(visual_ssl_type="byol"), "visual_ssl_type 'byol'"),
        (lambda: tiny(downsample_image_embeds=True), "without use_all_token_embeds"),
        (lambda: tiny(downsample_image_embeds=True, use_all_token_embeds=True), "visual_patch_dropout 0.5"),
        (lambda: tiny(visual_has_cls_token=False), "nothing would stand for an image"),
        (lambda: tiny(text_encode_without_mask=True), "without a text_encoder"),
        (lambda: tiny(dim_latent=0), "dim_latent is 0"),
        (lambda: tiny(sim_reg_loss_weight=-1), "sim_reg_loss_weight"),
        (lambda: tiny(initial_scale=200.0), "initial_scale 200"),
        (lambda: tiny(text_depth=2), "no option 'text_depth'"),
        (lambda: tiny(**MLM, text_ssl_loss_weight=1.0), "less than 1 together"),
        (lambda: CLIP(ClipConfig(**TINY), dim_text=4), "a config, and dim_text"),
        (lambda: run(return_loss=True, return_latents=True), "more than one of return_loss"),
        (lambda: run(aug_image=torch.zeros(4, 3, 8, 8)), "views without return_loss"),
        (lambda: run(return_loss=True, aug_image=torch.zeros(3, 3, 8, 8)), "aug_image of the shape"),
        (lambda: run(tiny(multiview_loss_weight=0.0), return_loss=True, aug_text=batch()["text"]), "loss_weight 0"),
        (lambda: run(tiny(**MLM), return_loss=True, freeze_text_encoder=True), "frozen text encoder with use_mlm"),
        (lambda: ClipObjective(tiny(use_visual_ssl=True), freeze_image_encoder=True), "frozen image encoder"),
        (lambda: tiny().measure(batch()["text"][:2], batch()["images"]), "2 texts and 4 images"),
        (lambda: ClipObjective(tiny(), text_views=-1), "text_views is -1"),
        (lambda: ClipObjective(tiny())({"text": batch()["text"]}), "expected text and images"),
        (lambda: ClipObjective(tiny(), text_views=1)(batch()), "0 views in aug_text; expected 1"),
    ],
)
def test_what_does_not_fit_is_said(wrong, message):
    with pytest.raises(TrainError, match=message):
        wrong()
