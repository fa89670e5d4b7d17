"""XLM's model by its own parameters, in the loop, in a DataLoader, and what becomes of it."""

import json

import numpy as np
import pytest
import torch
from model_cases import shaken
from sample_files import TOY, toy_dataset
from torch.utils.data import DataLoader
from toy_networks import seeded
from train_runs import records, tiny, write_corpus

from maskgen.collators import (
    DefaultCollator,
    DocumentExamples,
    InfillingCollator,
    PackedCollator,
    Seq2SeqCollator,
    Seq2SeqTrainCollator,
)
from maskgen.datasets import collated
from maskgen.train import Predictor, TrainError, loop
from maskgen.train.data import open_data
from maskgen.train.diffusion import DiffusionLoss, MaskedDiffusion, RotaryTransformerMLMModel
from maskgen.train.distributed import World
from maskgen.train.models import encoder_inputs, load_pretrained, save_pretrained
from maskgen.train.optimizers import build_optimizer
from maskgen.train.setup import build_networks

SHAPE = {"num_embeddings": 64, "d_model": 32, "num_layers": 2, "nhead": 2, "padding_idx": 0, "mask_idx": 4}
IDS = {"mask_token_id": 4, "pad_token_id": 0, "mask_ignore_token_ids": TOY.special_ids}


def model(**changes):
    return RotaryTransformerMLMModel(**{**SHAPE, "dropout": 0.0, **changes})


def test_the_parameters_are_those_of_xlm():
    config = model(dropout=0.2, layer_norm_eps=1e-6, max_length=77).masked_lm.config
    assert (config.hidden_size, config.layers, config.heads, config.vocab_size) == (32, 2, 2, 64)
    assert (config.intermediate_size, config.max_positions, config.dropout, config.norm_eps) == (128, 77, 0.2, 1e-6)
    assert model(dim_feedforward=48).masked_lm.config.intermediate_size == 48
    network = model(rotary_emb_dim=16).masked_lm
    assert network.head.decoder.weight.shape == network.encoder.word_embeddings.weight.shape
    assert network.head.decoder.weight is not network.encoder.word_embeddings.weight
    assert not torch.equal(network.head.decoder.weight, network.encoder.word_embeddings.weight)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"activation": "relu"}, "activation is 'relu'; expected 'gelu'"),
        ({"rotary_emb_dim": 64}, "rotary_emb_dim is 64, and heads are of 16"),
        ({"mask_idx": 0}, "mask_idx is 0; expected an id below 64 that is not padding_idx"),
        ({"nhead": 3}, "heads is 3"),
    ],
)
def test_what_the_encoder_cannot_do_is_an_error(changes, said):
    with pytest.raises(TrainError, match=said):
        model(**changes)
    with pytest.raises(TrainError, match="token_type_ids"):
        model()(torch.ones(1, 2, dtype=torch.long), token_type_ids=torch.zeros(1, 2, dtype=torch.long))


def test_logits_do_not_depend_on_where_padding_is_and_see_both_sides():
    network = shaken(model())
    tokens = torch.randint(20, 60, (1, 6), generator=seeded())
    alone = network(tokens)
    padding = torch.zeros(1, 3, dtype=torch.long)
    left, right = torch.cat([padding, tokens], 1), torch.cat([tokens, padding], 1)
    assert torch.allclose(network(left, left != 0)[:, 3:], alone, atol=1e-5)
    assert torch.allclose(network(right, (right != 0).long())[:, :6], alone, atol=1e-5)
    gap = torch.cat([tokens[:, :2], padding, tokens[:, 2:]], 1)
    assert torch.allclose(network(gap, gap != 0)[gap != 0], alone[0], atol=1e-5)
    apart = torch.tensor([[0, 2, 4, 6, 8, 10]])
    assert not torch.allclose(network(tokens, positions=apart), alone, atol=1e-4)
    other = tokens.clone()
    other[0, 5] = 19
    assert not torch.allclose(network(other)[:, 0], alone[:, 0], atol=1e-6)


def test_weight_decay_skips_norms_and_biases():
    network = model()
    optimizer = build_optimizer(network, "adamw", lr=1e-3, weight_decay=0.1)
    decayed = {id(each) for group in optimizer.param_groups if group["weight_decay"] for each in group["params"]}
    plain = {id(each) for group in optimizer.param_groups if not group["weight_decay"] for each in group["params"]}
    for name, parameter in network.named_parameters():
        assert (id(parameter) in plain) == ("norm" in name or name.endswith("bias")), name
        assert (id(parameter) in decayed) != (id(parameter) in plain)


def test_it_is_saved_as_hugging_face_has_it(tmp_path):
    network = shaken(model()).eval()
    save_pretrained(network.masked_lm, tmp_path)
    loaded = load_pretrained(tmp_path).eval()
    tokens = torch.randint(20, 60, (2, 7), generator=seeded())
    assert torch.equal(loaded(tokens), network(tokens))
    assert not json.loads((tmp_path / "config.json").read_text())["tie_word_embeddings"]


@pytest.mark.parametrize("workers", [0, 2])
def test_collators_in_a_dataloader(tmp_path, workers):
    examples = DocumentExamples(toy_dataset(tmp_path / "toy")[0], prefix_sequences=1)
    network = shaken(model()).eval()
    for collator in (DefaultCollator(TOY, 40), Seq2SeqTrainCollator(TOY, 16, 30), Seq2SeqCollator(TOY, 16, 30)):
        loader = DataLoader(examples, 8, collate_fn=collated(collator), num_workers=workers)
        batches = list(loader)
        assert sum(len(batch["input_ids"]) for batch in batches) == len(examples)
        assert np.array_equal(batches[0]["input_ids"].numpy(), collator([examples[i] for i in range(8)])["input_ids"])
        batch = batches[0]
        logits = network(batch["input_ids"], batch["attention_mask"], batch["positions"])
        objective = MaskedDiffusion(
            network.masked_lm.encoder, head=network.masked_lm.head, encoder_inputs=encoder_inputs, **IDS
        )
        assert torch.allclose(objective(batch), objective.loss(logits, batch), rtol=1e-4)
        assert objective.counts(batch)["diffusion"] == batch["maskable"].sum()


def test_layouts_of_prefix_and_suffix_have_one_loss(tmp_path):
    """Left-padded prefixes get the positions that they have without padding: cumsum of the mask, minus 1."""
    examples = list(DocumentExamples(toy_dataset(tmp_path / "toy")[0], prefix_sequences=1))[:8]
    network, loss = shaken(model()).eval(), DiffusionLoss(mask_id=4, weighting="xlm")
    losses = []
    for collator in (Seq2SeqTrainCollator(TOY, 16, 30), Seq2SeqCollator(TOY, 16, 30)):
        batch = {name: torch.from_numpy(array) for name, array in collator(examples).items()}
        losses.append(loss(network(batch["input_ids"], batch["attention_mask"]), batch))
    assert torch.allclose(*losses, rtol=1e-5)


def test_packed_examples_have_the_loss_that_they_have_alone(tmp_path):
    examples = list(DocumentExamples(toy_dataset(tmp_path / "toy")[0]))[:12]
    network = shaken(model()).eval().masked_lm
    for weighting in ("llada", "mdlm", "xlm"):
        objective = MaskedDiffusion(
            network.encoder, head=network.head, encoder_inputs=encoder_inputs, weighting=weighting, **IDS
        )
        alone, packed = DefaultCollator(TOY, 80)(examples), PackedCollator(TOY, 80)(examples)
        assert len(packed["input_ids"]) < len(alone["input_ids"])
        assert torch.allclose(objective(packed), objective(alone), rtol=1e-4)
    stretches = objective(InfillingCollator(TOY, 80)(examples))  # without weights, for which xlm does not ask
    assert stretches.isfinite()


def run(settings):
    with World.start("cpu") as world:
        return loop.train(settings, world)


@pytest.mark.parametrize("weighting", ["xlm", "mdlm"])
def test_a_run_reports_the_bound_and_leaves_a_model(tmp_path, weighting):
    settings = tiny(tmp_path, *write_corpus(tmp_path), objective="diffusion", diffusion_weighting=weighting, steps=3)
    run(settings)
    (validation,) = records(tmp_path / "run", "validation")
    assert validation["bound"] > 0
    if weighting == "mdlm":
        assert validation["bound"] == pytest.approx(validation["loss"], rel=1e-5)
    data = open_data(settings)
    assert data.samples.scheme.kind == ("mdlm" if weighting == "mdlm" else "llada")
    # The bound again, level by level, by a model that is loaded from the folder.
    network = load_pretrained(tmp_path / "run" / "model").eval()
    paid, maskable, levels = 0.0, 0, []
    for batch in data.fixed_batches():
        masked = batch["loss_mask"].bool()
        levels.append(masked.sum() / batch["lengths"].sum())
        logits = network(batch["text"], **encoder_inputs(batch)).detach()
        if weighting == "mdlm":
            logits[..., data.vocab.mask_id] = -torch.inf
        losses = torch.nn.functional.cross_entropy(logits[masked], batch["labels"][masked], reduction="none")
        paid += float((losses * batch["weights"][:, None].expand_as(masked)[masked]).sum())
        special = torch.tensor(sorted(data.vocab.special_ids - {data.vocab.mask_id}))
        maskable += int((~torch.isin(batch["text"], special)).sum())
    assert len(levels) == 8
    assert levels == sorted(levels)
    assert levels[0] < 0.15 < 0.75 < levels[-1]
    assert validation["bound"] == pytest.approx(paid / maskable, rel=1e-4)
    (offers,) = Predictor.load(tmp_path / "run").top(["w1 [MASK] w3"], 3)
    assert len(offers[0]) == 3


def test_losses_are_float32_under_autocast(tmp_path):
    settings = tiny(tmp_path, *write_corpus(tmp_path), objective="diffusion")
    data = open_data(settings)
    objective = build_networks(settings, data.vocab).objective
    batch = {name: torch.from_numpy(array) for name, array in data.samples.batch([0, 1]).items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert objective.measure(batch).sums["diffusion"].dtype == torch.float32
