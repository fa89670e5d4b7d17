"""Masked language modelling around somebody else's encoder."""

import numpy as np
import pytest
import torch
from sample_files import TOY, toy_dataset, toy_samples
from torch import nn
from torch.nn import functional
from toy_networks import WIDTH, Encoder, seeded, tokens_of

from maskgen.rows import Chunks
from maskgen.schemes import SchemeSamples
from maskgen.train import MLM, TrainError

IDS = {"mask_token_id": 3, "pad_token_id": 0, "mask_ignore_token_ids": (1, 2)}


def objective(encoder=None, **options):
    torch.manual_seed(5)
    return MLM(encoder or Encoder(), **{"dim": WIDTH, "num_tokens": 40, **IDS, **options})


def as_tensors(batch):
    return {name: torch.from_numpy(np.array(array)) for name, array in batch.items()}


def gradients(module):
    return {name: parameter.grad for name, parameter in module.named_parameters()}


def test_the_loss_is_the_mean_over_masked_tokens():
    mlm = objective()
    batch = mlm.masked(tokens_of(), seeded())
    hidden = mlm.transformer(batch["text"])
    rows, places = batch["loss_mask"].nonzero(as_tuple=True)
    expected = functional.cross_entropy(mlm.to_logits(hidden[rows, places]), batch["labels"][rows, places])
    assert torch.allclose(mlm(batch), expected, atol=1e-6)
    everywhere = functional.cross_entropy(mlm.to_logits(hidden).transpose(1, 2), batch["labels"], ignore_index=-1)
    assert torch.allclose(mlm(batch), everywhere, atol=1e-6)


def test_tokens_and_the_same_masks_given_have_the_same_loss():
    mlm, tokens = objective(random_token_prob=0.1), tokens_of()
    batch = mlm.masked(tokens, seeded(8))
    loss = mlm(tokens, generator=seeded(8))
    assert torch.equal(loss, mlm(batch))
    rows = {name: batch[name] for name in ("text", "labels", "loss_mask")}  # as a DataLoader collates samples
    assert torch.equal(loss, mlm(rows))
    assert torch.equal(loss, mlm({"text": batch["text"], "labels": batch["labels"]}))
    assert torch.equal(loss, mlm({name: value.int() for name, value in batch.items()}))
    assert torch.equal(loss, mlm({name: value.numpy() for name, value in batch.items()}))
    assert not torch.equal(loss, mlm(tokens, generator=seeded(9)))


def test_shares_are_those_of_x_clip():
    """replace_prob is a share of what no random id has replaced."""
    masking = objective(replace_prob=0.9, random_token_prob=0.1).masking
    assert (masking.mask_share, masking.random_share) == (pytest.approx(0.81), 0.1)
    masking = objective().masking
    assert (masking.rate, masking.mask_share, masking.random_share) == (0.15, 0.9, 0.0)
    assert (masking.mask_id, masking.pad_id, masking.ignore_ids) == (3, 0, (1, 2))


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "spanbert"])
def test_batches_of_samples(tmp_path, kind):
    if kind == "bert":
        samples = toy_samples(tmp_path / "toy")
    else:
        rows = Chunks(toy_dataset(tmp_path / "toy")[0], 24, seed=1, pad_id=TOY.pad_id)
        samples = SchemeSamples(rows, TOY, kind, seed=1)
    batch = samples.batch([0, 1, 2, 5])
    mlm = objective(Encoder(len(TOY)), num_tokens=len(TOY))
    loss = mlm(as_tensors(batch))
    assert torch.equal(loss, mlm(batch))
    loss.backward()
    counts, measured = mlm.counts(batch), mlm.measure(batch)
    assert counts["mlm"] == batch["loss_mask"].sum() > 0
    assert torch.equal(measured.loss(mlm.weights, counts), loss)


def test_a_batch_in_parts_is_the_batch():
    """With the counts of the whole, whatever part has how many masks."""
    mlm = objective()
    batch = mlm.masked(torch.cat([tokens_of(2), torch.zeros(1, 12, dtype=torch.int64)]), seeded())
    rows = {name: batch[name] for name in ("text", "labels", "loss_mask", "padding_mask")}
    mlm(rows).backward()
    whole = {name: grad.clone() for name, grad in gradients(mlm).items()}
    mlm.zero_grad()
    counts = mlm.counts(rows)
    for part in (slice(0, 1), slice(1, 3)):
        mlm.measure({name: value[part] for name, value in rows.items()}).loss(mlm.weights, counts).backward()
    for name, grad in gradients(mlm).items():
        assert torch.allclose(grad, whole[name], atol=1e-6), name


def test_leading_vectors_are_dropped_only_when_asked():
    """Dropping the first one of an encoder without a CLS vector would move every label by one."""
    with_cls, without = Encoder(cls=True), Encoder()
    tokens = tokens_of()
    with pytest.raises(TrainError, match=r"shape \[3, 13, 16\] for tokens \[3, 12\]; .* drop_leading=0"):
        objective(with_cls)(tokens)
    with pytest.raises(TrainError, match="drop_leading=1"):
        objective(without, drop_leading=1)(tokens)
    mlm = objective(with_cls, drop_leading=1)
    batch = mlm.masked(tokens, seeded())
    hidden = with_cls(batch["text"])[:, 1:].flatten(0, 1)[batch["masked_positions"]]
    assert torch.allclose(mlm(batch), functional.cross_entropy(mlm.to_logits(hidden), batch["masked_labels"]))


def test_the_head_sees_masked_places_only():
    shapes = []
    mlm = objective()
    mlm.to_logits.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape)))
    mlm(tokens_of(3, 20))
    assert shapes == [(9, 40)]


def test_without_a_masked_token_the_loss_is_0_and_so_are_gradients():
    """A mean over nothing is NaN, and NaN stays in the weights."""
    mlm = objective()
    for tokens in (torch.zeros(2, 12, dtype=torch.int64), torch.full((2, 12), 1), torch.zeros(0, 12).long()):
        mlm.zero_grad()
        loss = mlm(tokens)
        assert loss.item() == 0
        loss.backward()
        assert all(torch.equal(grad, torch.zeros_like(grad)) for grad in gradients(mlm).values())


def test_a_row_of_padding_among_others():
    mlm = objective()
    tokens = torch.cat([tokens_of(2), torch.zeros(1, 12, dtype=torch.int64)])
    loss = mlm(tokens, generator=seeded())
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(grad).all() for grad in gradients(mlm).values())
    assert mlm.masked(tokens)["masked_counts"].tolist() == [2, 2, 0]


def test_keywords_reach_the_transformer():
    encoder = Encoder()
    mlm = objective(encoder, encoder_inputs=lambda batch: {"shift": batch["padding_mask"].float(), "scale": 3.0})
    mlm(tokens_of())
    assert encoder.seen[-1]["scale"] == 3.0
    assert encoder.seen[-1]["shift"].shape == (3, 12)
    mlm(tokens_of(), scale=2.0)
    assert encoder.seen[-1]["scale"] == 2.0
    mlm.measure(mlm.masked(tokens_of()), scale=4.0, shift=None)
    assert (encoder.seen[-1]["scale"], encoder.seen[-1]["shift"]) == (4.0, None)


def test_a_hidden_layer_by_index_or_name():
    encoder, tokens = Encoder(), tokens_of()
    inner = encoder.words(tokens) + encoder.places(torch.arange(12))
    for block in encoder.blocks:
        inner = block(inner)
    batch = {"text": tokens, "labels": tokens}
    for layer, vectors in (("blocks.1", inner), ("norm", encoder(tokens)), (3, encoder(tokens)), (-1, encoder(tokens))):
        mlm = objective(encoder, hidden_layer=layer)
        expected = functional.cross_entropy(mlm.to_logits(vectors).flatten(0, 1), tokens.flatten())
        for _ in range(2):
            assert torch.allclose(mlm(batch), expected, atol=1e-6), layer


def test_of_a_layer_that_is_used_again_the_last_output_counts():
    encoder = Encoder()
    encoder.blocks[1] = encoder.blocks[0]
    twice = objective(encoder, hidden_layer="blocks.0")
    last = objective(encoder, hidden_layer="blocks")  # a list, which is not called itself
    batch = twice.masked(tokens_of(), seeded())
    vectors = encoder.words(batch["text"]) + encoder.places.weight[: batch["text"].shape[1]]
    logits = twice.to_logits(encoder.blocks[0](encoder.blocks[0](vectors))).flatten(0, 1)[batch["masked_positions"]]
    assert torch.allclose(twice(batch), functional.cross_entropy(logits, batch["masked_labels"]))
    with pytest.raises(TrainError, match="was not called"):
        last(batch)


def test_id_0_is_a_label_like_others():
    mlm = objective(pad_token_id=4)
    labels = torch.tensor([[-1, 0, -100, 7]])
    assert mlm.counts({"text": tokens_of(1, 4), "labels": labels})["mlm"] == 2


def test_layers_that_are_not_there():
    for layer, message in (("block.1", "no module is named 'block.1'; .* words, places"), (7, "has 4 children")):
        with pytest.raises(TrainError, match=message):
            objective(hidden_layer=layer)
    with pytest.raises(TrainError, match="layer 2 was not called by Encoder"):
        objective(hidden_layer=2)(tokens_of())  # the list of blocks


def test_a_head_of_ones_own():
    head = nn.Sequential(nn.Linear(WIDTH, 8), nn.GELU(), nn.Linear(8, 40))
    mlm = MLM(Encoder(), head=head, **IDS)
    mlm(tokens_of()).backward()
    assert head[0].weight.grad.abs().sum() > 0
    with pytest.raises(TrainError, match="no head"):
        MLM(Encoder(), dim=WIDTH)


class Wrapped(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.encoder, self.how = Encoder(), how

    def forward(self, tokens):
        return self.how(self.encoder(tokens))


class Output:
    def __init__(self, vectors):
        self.last_hidden_state = vectors


def test_outputs_of_other_libraries():
    plain = objective(Wrapped(lambda vectors: vectors))
    loss = plain(tokens_of(), generator=seeded())
    for how in (lambda vectors: (vectors, None), Output, lambda vectors: [vectors]):
        plain.transformer.how = how
        assert torch.equal(plain(tokens_of(), generator=seeded()), loss)
    plain.transformer.how = lambda vectors: {"vectors": vectors}
    with pytest.raises(TrainError, match="Wrapped returned a dict"):
        plain(tokens_of())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_are_in_full_precision_under_autocast(dtype):
    mlm = objective()
    with torch.no_grad():
        mlm.to_logits.bias[7] = 300.0  # sums of such losses in half precision would be infinite
    labels = torch.full((8, 128), 9)
    with torch.autocast("cpu", dtype):
        loss = mlm({"text": tokens_of(8, 128), "labels": labels})
        measured = mlm.measure({"text": tokens_of(8, 128), "labels": labels})
    assert loss.dtype == measured.sums["mlm"].dtype == torch.float32
    assert measured.sums["mlm"] > 70_000
    loss.backward()
    assert all(torch.isfinite(grad).all() for grad in gradients(mlm).values())


def test_a_model_in_half_precision():
    mlm = objective().to(torch.bfloat16)
    assert mlm(tokens_of()).dtype == torch.float32


def test_the_order_of_pairs(tmp_path):
    mlm = objective(Encoder(len(TOY)), num_tokens=len(TOY), pair_head=nn.Linear(WIDTH, 2), pair_weight=0.5)
    batch = as_tensors(toy_samples(tmp_path / "toy").batch([0, 1, 2, 5]))
    counts, measured = mlm.counts(batch), mlm.measure(batch)
    logits = mlm.pair_head(mlm.transformer(batch["text"])[:, 0])
    pairs = functional.cross_entropy(logits, batch["is_random"])
    assert counts["pairs"] == 4
    assert torch.allclose(measured.sums["pairs"] / 4, pairs)
    assert measured.figures["pairs_correct"] == (logits.argmax(1) == batch["is_random"]).sum()
    assert mlm.weights == {"mlm": 1.0, "pairs": 0.5}
    assert torch.allclose(mlm(batch), measured.sums["mlm"] / counts["mlm"] + 0.5 * pairs)
    assert set(mlm.summary(measured.figures, counts)) == {"mlm_accuracy", "pairs_accuracy"}
    with pytest.raises(TrainError, match="without is_random"):
        mlm(tokens_of())


def test_the_head_of_pairs_sees_the_very_first_vector(tmp_path):
    """Which is the network's own where it puts one before the tokens."""
    encoder = Encoder(len(TOY), cls=True)
    mlm = objective(encoder, num_tokens=len(TOY), pair_head=nn.Linear(WIDTH, 2), drop_leading=1)
    batch = as_tensors(toy_samples(tmp_path / "toy").batch([0, 1, 2, 5]))
    logits = mlm.pair_head(encoder(batch["text"])[:, 0])
    expected = functional.cross_entropy(logits, batch["is_random"], reduction="sum")
    assert torch.allclose(mlm.measure(batch).sums["pairs"], expected)


def test_weights_of_masked_diffusion(tmp_path):
    """sum(weights x cross-entropy) / (rows x length), as the scheme says."""
    rows = Chunks(toy_dataset(tmp_path / "toy")[0], 24, seed=1, pad_id=TOY.pad_id)
    batch = SchemeSamples(rows, TOY, "masked-diffusion", seed=1).batch([0, 1, 2])
    mlm = objective(Encoder(len(TOY)), num_tokens=len(TOY))
    logits = mlm.to_logits(mlm.transformer(torch.from_numpy(batch["text"])))
    losses = functional.cross_entropy(
        logits.transpose(1, 2), torch.from_numpy(batch["labels"]), ignore_index=-1, reduction="none"
    )
    expected = (losses * torch.from_numpy(batch["weights"])[:, None]).sum() / (3 * 24)
    assert torch.allclose(mlm(batch), expected.float())
    assert mlm.measure(batch).figures["mlm_places"] == batch["loss_mask"].sum()


def test_figures_are_sums_to_add_up():
    mlm = objective()
    with torch.no_grad():
        mlm.to_logits.weight.zero_()
        mlm.to_logits.bias[9] = 5.0
    labels = torch.tensor([[9, 9, -1, 8]])
    batch = {"text": tokens_of(1, 4), "labels": labels}
    measured = mlm.measure(batch)
    assert {name: int(value) for name, value in measured.figures.items()} == {"mlm_correct": 2, "mlm_places": 3}
    assert mlm.summary(measured.figures, mlm.counts(batch)) == {"mlm_accuracy": 2 / 3}
    assert not any(value.requires_grad for value in measured.figures.values())


def test_names_in_a_state_are_those_of_x_clip():
    names = set(objective().state_dict())
    assert {"to_logits.weight", "to_logits.bias", "transformer.words.weight"} <= names
    assert {name.split(".")[0] for name in names} == {"transformer", "to_logits"}


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"text_enc": [[1]], "labels": [[1]]}, "samples with a decoder"),
        ({}, "a batch with nothing"),
        ({"input_ids": [[1]], "labels": [[1]]}, "a batch with input_ids, labels"),
        ({"text": [[1]]}, "a batch without labels"),
        ({"text": [1], "labels": [1]}, "expected a tensor of ids"),
    ],
)
def test_other_batches_are_refused(batch, message):
    with pytest.raises(TrainError, match=message):
        objective()({name: torch.tensor(value) for name, value in batch.items()})


@pytest.mark.parametrize("name", ["mask_prob", "replace_prob", "random_token_prob"])
def test_bad_shares_are_refused_under_their_own_names(name):
    with pytest.raises(TrainError, match=f"{name} is 2"):
        objective(**{name: 2})
