"""ELECTRA around somebody else's networks."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sample_files import TOY, toy_dataset
from torch import nn
from torch.nn import functional
from toy_networks import WIDTH, Encoder, seeded, tokens_of

from maskgen.rows import Chunks
from maskgen.schemes import SchemeSamples
from maskgen.train import MLM, Electra, ElectraResult, TrainError, auc, tie
from maskgen.train.objectives import electra as electra_module
from maskgen.train.objectives import hidden
from maskgen.train.objectives.electra import sample
from maskgen.train.objectives.scores import BINS, histograms

IDS = {"mask_token_id": 3, "pad_token_id": 0, "mask_ignore_token_ids": (1, 2)}


def objective(generator=None, discriminator=None, **options):
    torch.manual_seed(5)
    options = {"num_tokens": 40, "discr_dim": WIDTH, **IDS, **options}
    return Electra(generator or Encoder(logits=True), discriminator or Encoder(seed=1), **options)


def always(logit):
    """A discriminator's head that says the same of every token."""
    head = nn.Linear(WIDTH, 1)
    nn.init.zeros_(head.weight)
    nn.init.constant_(head.bias, logit)
    return head


def padded():
    """Two rows of 12 tokens, one of 5, one of none."""
    tokens = tokens_of(4)
    tokens[2, 5:], tokens[3] = 0, 0
    return tokens


def test_results_have_the_fields_of_electra_pytorch():
    assert ElectraResult._fields == (
        "loss", "mlm_loss", "disc_loss", "gen_acc", "disc_acc", "disc_labels", "disc_predictions"
    )  # fmt: skip
    result = objective()(tokens_of())
    assert result.disc_labels.shape == result.disc_predictions.shape == (3, 12)
    assert all(value.dim() == 0 for value in result[:5])


def test_both_losses():
    electra, tokens = objective(), padded()
    batch = electra.masked(tokens, seeded(1))
    result = electra(batch, generator=seeded(2))
    logits = electra.generator(batch["text"])
    shown = electra.discriminator.seen[-1]["tokens"]
    chosen, real = batch["loss_mask"].bool(), tokens != 0
    assert torch.equal(shown[~chosen], tokens[~chosen])
    assert torch.equal(result.disc_labels, (shown != tokens).float())
    assert result.disc_labels.sum() > 0
    mlm = functional.cross_entropy(logits[chosen], tokens[chosen])
    guesses = electra.discriminator_head(electra.discriminator(shown)).squeeze(2)
    disc = functional.binary_cross_entropy_with_logits(guesses[real], result.disc_labels[real])
    assert torch.allclose(result.mlm_loss, mlm, atol=1e-6)
    assert torch.allclose(result.disc_loss, disc, atol=1e-6)
    assert torch.allclose(result.loss, mlm + 50 * disc, atol=1e-5)
    assert torch.allclose(result.gen_acc, (logits.argmax(2) == tokens)[chosen].float().mean())
    assert torch.equal(result.disc_predictions[real], (guesses > 0).float()[real])
    light = objective(electra.generator, electra.discriminator, disc_weight=3.0, gen_weight=2.0)
    light.discriminator_head = electra.discriminator_head
    assert torch.allclose(light(batch, generator=seeded(2)).loss, 2 * mlm + 3 * disc, atol=1e-5)


def test_what_the_generator_gets_right_is_original():
    generator = Encoder(logits=True)
    with torch.no_grad():
        generator.to_logits.bias[9] = 100.0
    result = objective(generator, mask_prob=0.5)(torch.tensor([[9] * 6 + [8] * 6]), generator=seeded())
    assert result.disc_labels[0, :6].sum() == 0
    assert 0 < result.disc_labels[0, 6:].sum() <= 6
    assert 0 < result.gen_acc < 1


def test_defaults_are_those_of_electra_pytorch():
    electra = Electra(Encoder(), Encoder())
    masking = electra.masking
    assert (masking.rate, masking.mask_share, masking.random_share) == (0.15, 0.85, 0.0)
    assert (masking.mask_id, masking.pad_id, masking.vocab_size) == (2, 0, None)
    assert electra.weights == {"mlm": 1.0, "disc": 50.0}
    assert electra.temperature == 1.0


def test_tokens_and_the_same_masks_given_have_the_same_losses(tmp_path):
    electra, tokens = objective(random_token_prob=0.1), padded()
    rng = seeded(3)
    batch = electra.masked(tokens, rng)  # what is sampled goes on from there
    for one, other in zip(electra(batch, generator=rng), electra(tokens, generator=seeded(3)), strict=True):
        assert torch.equal(one, other)
    rows = Chunks(toy_dataset(tmp_path / "toy")[0], 24, seed=1, pad_id=TOY.pad_id)
    ready = SchemeSamples(rows, TOY, "electra", seed=1).batch([0, 1, 2])
    electra = objective(Encoder(len(TOY), logits=True), Encoder(len(TOY)), num_tokens=len(TOY))
    results = [electra(ready, generator=seeded(4)) for _ in range(2)]
    assert torch.equal(results[0].loss, results[1].loss)
    counts = electra.counts(ready)
    assert counts == {"mlm": ready["loss_mask"].sum(), "disc": ready["padding_mask"].sum()}
    measured = electra.measure(ready, generator=seeded(4))
    assert torch.equal(measured.loss(electra.weights, counts), results[0].loss)


def test_heads_on_vectors():
    """A generator's head sees masked places only; a discriminator's all of them."""
    generator, discriminator = Encoder(), Encoder(seed=1)
    shapes = []
    generator_head, discriminator_head = nn.Linear(WIDTH, 40), nn.Sequential(nn.Linear(WIDTH, 1), nn.Flatten(1))
    for head in (generator_head, discriminator_head):
        head.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape)))
    electra = Electra(
        generator, discriminator, generator_head=generator_head, discriminator_head=discriminator_head, **IDS
    )
    electra(tokens_of(3, 20)).loss.backward()
    assert shapes == [(9, 40), (3, 20)]
    with pytest.raises(TrainError, match="two heads"):
        objective(discriminator_head=discriminator_head)


def test_a_discriminator_that_gives_logits():
    whole = nn.Sequential(Encoder(seed=1), nn.Linear(WIDTH, 1))
    electra = objective(discriminator=whole, discr_dim=-1)
    electra(tokens_of()).loss.backward()
    with pytest.raises(TrainError, match="Encoder returned 16 numbers a token; expected one logit"):
        objective(discr_dim=-1)(tokens_of())


@pytest.mark.parametrize("layer", ["blocks.1", 3, "norm"])
def test_a_hidden_layer_of_the_discriminator(layer):
    electra = objective(discr_layer=layer)
    first = electra(tokens_of(), generator=seeded())
    assert torch.equal(electra(tokens_of(), generator=seeded()).loss, first.loss)
    at_the_end = objective()(tokens_of(), generator=seeded()).disc_loss
    assert torch.equal(first.disc_loss, at_the_end) == (layer != "blocks.1")
    with pytest.raises(TrainError, match="without a head"):
        objective(discr_layer=layer, discr_dim=-1)


def test_keywords_reach_both_networks_with_a_hidden_layer():
    """The extractor of electra-pytorch calls its network with the tokens alone."""
    electra = objective(discr_layer="norm", encoder_inputs=lambda batch: {"shift": batch["padding_mask"].float()})
    electra(tokens_of(), scale=2.0)
    for network in (electra.generator, electra.discriminator):
        assert network.seen[-1]["scale"] == 2.0
        assert network.seen[-1]["shift"].shape == (3, 12)


def test_hooks_are_gone_after_each_pass():
    """One that stays keeps activations, and is copied with the network."""
    electra = objective(discr_layer="blocks.1")
    electra(tokens_of())
    with pytest.raises(TypeError):
        hidden.run(electra.discriminator, tokens_of(), {"no_such_keyword": 1}, "blocks.1")
    assert not any(module._forward_hooks for module in electra.modules())
    copied = copy.deepcopy(electra.discriminator)
    assert not any(module._forward_hooks for module in copied.modules())


def test_a_hidden_layer_inside_of_what_is_compiled_is_refused():
    encoder = Encoder()
    encoder.compile(backend="eager")
    with pytest.raises(TrainError, match="inside of a compiled module"):
        hidden.run(encoder, tokens_of(), {}, "norm")
    with pytest.raises(TrainError, match="inside of a compiled module"):
        hidden.run(torch.compile(Encoder(), backend="eager"), tokens_of(), {}, "_orig_mod.norm")


def test_leading_vectors_of_both_networks():
    generator = nn.Sequential(Encoder(cls=True), nn.Linear(WIDTH, 40))
    electra = objective(generator, Encoder(cls=True, seed=1), drop_leading=1)
    assert electra(tokens_of()).disc_labels.shape == (3, 12)
    with pytest.raises(TrainError, match="set drop_leading"):
        objective(generator, Encoder(cls=True, seed=1))(tokens_of())
    with pytest.raises(TrainError, match="set drop_leading"):
        objective(discriminator=Encoder(cls=True, seed=1))(tokens_of())


def test_the_discriminator_does_not_teach_the_generator():
    electra = objective(gen_weight=0.0)
    electra(tokens_of()).loss.backward()
    assert all(not parameter.grad.any() for parameter in electra.generator.parameters())
    assert all(parameter.grad is not None for parameter in electra.discriminator.parameters())


def test_without_a_token_the_losses_are_0_and_so_are_gradients():
    electra = objective()
    for tokens in (torch.zeros(2, 12, dtype=torch.int64), torch.zeros(0, 12, dtype=torch.int64)):
        electra.zero_grad()
        result = electra(tokens)
        assert torch.stack(result[:5]).tolist() == [0.0] * 5
        result.loss.backward()
        assert all(not parameter.grad.any() for parameter in electra.parameters())


def test_without_a_masked_token_there_is_no_nan():
    electra = objective()
    result = electra(torch.full((2, 12), 1))
    result.loss.backward()
    assert (result.mlm_loss, result.gen_acc) == (0, 0)
    assert result.disc_loss > 0  # every token is an original one, which is something to learn
    assert all(torch.isfinite(parameter.grad).all() for parameter in electra.parameters())


def test_accuracy_is_over_real_tokens():
    """Not a half each for masked and other places, and padding is no success."""
    tokens = padded()
    for logit in (-1.0, 1.0):
        electra = objective(discr_dim=-1, discriminator_head=always(logit))
        result = electra(tokens, generator=seeded(1))
        changed = result.disc_labels[tokens != 0].mean()
        assert 0 < changed < 0.3
        assert torch.allclose(result.disc_acc, changed if logit > 0 else 1 - changed)
        assert not result.disc_predictions[tokens == 0].any()
        assert not result.disc_labels[tokens == 0].any()


def test_figures_precision_and_recall():
    electra, tokens = objective(), padded()
    batch = electra.masked(tokens, seeded(1))
    result = electra(batch, generator=seeded(2))
    figures = electra.measure(batch, generator=seeded(2)).figures
    labels, guesses = (value[tokens != 0].bool() for value in (result.disc_labels, result.disc_predictions))
    assert int(figures["disc_true_positive"]) == int((labels & guesses).sum())
    assert int(figures["disc_predicted_positive"]) == int(guesses.sum())
    assert int(figures["disc_positive"]) == int(labels.sum()) == int(figures["disc_histogram_replaced"].sum())
    assert int(figures["disc_histogram_original"].sum()) == int((~labels).sum())
    assert {value.dtype for value in figures.values()} == {torch.int64}
    shown = electra.summary(figures, electra.counts(batch))
    assert shown["disc_accuracy"] == pytest.approx(float(result.disc_acc))
    assert shown["mlm_accuracy"] == pytest.approx(float(result.gen_acc))
    assert shown["disc_recall"] == int((labels & guesses).sum()) / int(labels.sum())
    assert shown["disc_precision"] == int((labels & guesses).sum()) / int(guesses.sum())
    nothing = electra.measure(electra.masked(torch.zeros_like(tokens)))
    assert all(
        value != value
        for value in electra.summary(nothing.figures, {"mlm": torch.zeros(1), "disc": torch.zeros(1)}).values()
    )


@given(st.lists(st.tuples(st.integers(-90, 90), st.booleans(), st.booleans()), max_size=60))
def test_auc_is_that_of_all_pairs(tokens):
    logits = torch.tensor([[value / 5 for value, _, _ in tokens]])
    replaced, real = (torch.tensor([[each[i] for each in tokens]], dtype=torch.bool) for i in (1, 2))
    found = auc(*histograms(logits, replaced, real))
    high = [max(-80, min(80, value)) for value, label, counted in tokens if label and counted]
    low = [max(-80, min(80, value)) for value, label, counted in tokens if not label and counted]
    pairs = [(a > b) + (a == b) / 2 for a in high for b in low]
    assert found == pytest.approx(sum(pairs) / len(pairs)) if pairs else found != found


def test_auc_of_parts_is_that_of_their_sums():
    logits = torch.randn(2, 500, generator=seeded())
    replaced = torch.rand(2, 500, generator=seeded(1)) < torch.sigmoid(logits)
    real = torch.ones(2, 500, dtype=torch.bool)
    whole = histograms(logits, replaced, real)
    parts = [histograms(logits[i : i + 1], replaced[i : i + 1], real[i : i + 1]) for i in range(2)]
    assert auc(*whole) == auc(parts[0][0] + parts[1][0], parts[0][1] + parts[1][1])
    assert 0.6 < auc(*whole) < 0.8
    nan = torch.tensor([[float("nan"), float("inf"), -float("inf")]])
    assert histograms(nan, torch.ones(1, 3), torch.ones(1, 3))[0].nonzero().flatten().tolist() == [0, BINS - 1]


def test_samples_follow_the_softmax():
    probabilities = torch.tensor([0.5, 0.3, 0.15, 0.05])
    for temperature in (1.0, 2.0):
        expected = functional.softmax(probabilities.log() / temperature, 0)
        ids = sample(probabilities.log().expand(100_000, 4), temperature, (), seeded(2))
        for id_, share in enumerate(expected.tolist()):
            count = int((ids == id_).sum())
            assert abs(count - share * 100_000) < 5 * (100_000 * share * (1 - share)) ** 0.5
    logits = torch.randn(100, 40, generator=seeded())
    assert torch.equal(sample(logits, 0.0, (), seeded()), logits.argmax(1))
    assert torch.equal(sample(logits, 1e-30, (), seeded()), logits.argmax(1))
    with pytest.raises(TrainError, match="temperature is -1"):
        objective(temperature=-1)


class Undecided(nn.Module):
    """All of 8192 ids are as likely, in half precision."""

    def forward(self, tokens):
        return torch.zeros(*tokens.shape, 8192, dtype=torch.float16)


def test_samples_of_a_generator_in_half_precision_follow_the_softmax():
    """In float16, 1e-9 is 0, and noise has so few values that the first of many equal ids would be taken."""
    electra = objective(Undecided(), Encoder(8192), never_sampled=(), mask_prob=1.0)
    electra(tokens_of(16, 128), generator=seeded(1))
    low = int((electra.discriminator.seen[-1]["tokens"] < 4096).sum())
    assert abs(low - 1024) < 5 * 512**0.5


def test_samples_are_drawn_in_full_precision(monkeypatch):
    """And noise of exactly 0, which can be, lets no id through that may not be sampled."""
    drawn = []
    monkeypatch.setattr(electra_module, "sample", lambda *given: drawn.append(given) or sample(*given))
    objective(Undecided(), Encoder(8192))(tokens_of(2, 16), generator=seeded(1))
    ((scores, *others),) = drawn
    assert scores.dtype == torch.float32
    monkeypatch.setattr(torch.Tensor, "exponential_", lambda tensor, **_: tensor.zero_())
    assert (sample(scores, *others) == 4).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_are_in_full_precision_under_autocast(dtype):
    electra = objective(discr_dim=-1, discriminator_head=always(90.0))
    with torch.autocast("cpu", dtype):
        result = electra(tokens_of(8, 128))
        sums = electra.measure(electra.masked(tokens_of(8, 128))).sums
    assert {value.dtype for value in (*sums.values(), *result[:5])} == {torch.float32}
    assert sums["disc"] > 70_000
    result.loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in electra.parameters())


def test_networks_in_half_precision():
    electra = objective().to(torch.bfloat16)
    result = electra(tokens_of())
    assert {value.dtype for value in (result.loss, result.mlm_loss, result.disc_loss)} == {torch.float32}
    result.loss.backward()


def test_special_ids_are_never_sampled():
    tokens = tokens_of(64, 64)
    generator = Encoder(logits=True)
    with torch.no_grad():
        generator.to_logits.bias[:5] = 50.0
    electra = objective(generator)
    assert electra.never_sampled == (0, 1, 2, 3)
    electra(tokens)
    shown = electra.discriminator.seen[-1]["tokens"]
    assert set(shown[shown != tokens].tolist()) == {4}
    everything = objective(generator, never_sampled=())
    everything(tokens)
    assert set(everything.discriminator.seen[-1]["tokens"].flatten().tolist()) >= {0, 1, 2, 3}
    with pytest.raises(TrainError, match="holds every id"):
        objective(generator, never_sampled=range(99))(tokens)


def test_the_same_generator_of_random_numbers_gives_the_same_bits():
    electra = objective(random_token_prob=0.1)
    one, same, other = (electra(tokens_of(), generator=seeded(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.loss, other.loss)


def test_every_parameter_is_there_once_and_moves_in_one_step():
    """An optimizer that is given an iterator which was read before gets nothing of it."""
    electra = objective(tie_embeddings=True)
    parameters = list(electra.parameters())
    assert len({id(parameter) for parameter in parameters}) == len(parameters)
    named = dict(electra.named_parameters(remove_duplicate=False))
    assert {id(parameter) for parameter in named.values()} == {id(parameter) for parameter in parameters}
    assert any("norm" in name for name in named)
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.AdamW(electra.parameters(), lr=0.1)
    electra(tokens_of(8, 40)).loss.backward()
    optimizer.step()
    assert not any(torch.equal(old, new) for old, new in zip(before, parameters, strict=True))


def test_embeddings_are_tied_only_when_asked():
    electra = objective()
    assert electra.generator.words.weight is not electra.discriminator.words.weight
    electra = objective(tie_embeddings=True)
    for name in ("words", "places"):
        assert getattr(electra.generator, name).weight is getattr(electra.discriminator, name).weight
    electra = objective(tie_embeddings=["words"])
    assert electra.generator.words.weight is electra.discriminator.words.weight
    assert electra.generator.places.weight is not electra.discriminator.places.weight
    electra(tokens_of()).loss.backward()


def test_an_output_layer_that_uses_the_embedding_stays_tied():
    generator, discriminator, head = Encoder(), Encoder(seed=1), nn.Linear(WIDTH, 40)
    head.weight = generator.words.weight
    electra = Electra(generator, discriminator, generator_head=head, discr_dim=WIDTH, tie_embeddings=True, **IDS)
    assert electra.generator_head.weight is generator.words.weight is discriminator.words.weight
    before = discriminator.words.weight.detach().clone()
    electra(tokens_of()).loss.backward()
    torch.optim.SGD(electra.parameters(), 0.1).step()
    assert not torch.equal(before, generator.words.weight)


def test_what_cannot_be_tied():
    with pytest.raises(TrainError, match=r"words is \[40, 8\] in the generator and \[40, 16\]"):
        tie(Encoder(width=8), Encoder())
    with pytest.raises(TrainError, match="no embedding has the same name"):
        tie(nn.Sequential(nn.Embedding(40, 8)), Encoder())
    with pytest.raises(TrainError, match="named 'token_emb'"):
        tie(Encoder(), Encoder(), ["token_emb"])
    with pytest.raises(TrainError, match="words has the parameters"):
        tie(Encoder(), Encoder(), [("words", "norm")])
    generator, discriminator = nn.Sequential(nn.Embedding(40, WIDTH)), Encoder()
    assert tie(generator, discriminator, [("0", "words")]) == ["0"]
    assert generator[0].weight is discriminator.words.weight
    assert tie(Encoder(cls=True), Encoder(cls=True), ["cls", "words.weight"]) == ["cls", "words.weight"]


def test_batches_that_it_cannot_take():
    electra = objective()
    batch = electra.masked(tokens_of())
    with pytest.raises(TrainError, match="without padding_mask"):
        electra({"text": batch["text"], "labels": batch["labels"]})
    with pytest.raises(TrainError, match="with weights"):
        electra({**batch, "weights": torch.ones(3)})
    with pytest.raises(TrainError, match=r"named 'blocks\.9'"):
        objective(discr_layer="blocks.9")


def test_networks_of_hugging_face():
    import transformers  # takes seconds

    shape = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.ElectraConfig(**shape, embedding_size=16, intermediate_size=32)
    generator, discriminator = transformers.ElectraForMaskedLM(config), transformers.ElectraForPreTraining(config)
    electra = Electra(
        generator,
        discriminator,
        tie_embeddings=True,
        encoder_inputs=lambda batch: {"attention_mask": batch["padding_mask"]},
        **IDS,
    )
    words = generator.get_input_embeddings().weight
    assert words is discriminator.get_input_embeddings().weight
    assert words is generator.get_output_embeddings().weight
    electra(padded()).loss.backward()
    assert words.grad.abs().sum() > 0
    bert = transformers.BertModel(transformers.BertConfig(**shape, intermediate_size=32))
    assert torch.isfinite(MLM(bert, dim=16, num_tokens=40, **IDS)(tokens_of()))


def test_compiled_networks_fit():
    electra = objective()
    expected = electra(tokens_of(), generator=seeded()).loss
    for network in (electra.generator, electra.discriminator):
        network.compile(backend="eager")
    assert torch.equal(electra(tokens_of(), generator=seeded()).loss, expected)


@pytest.mark.gpu
def test_on_a_gpu():
    electra = objective(tie_embeddings=True).cuda()
    tokens = padded().cuda()
    with torch.autocast("cuda", torch.bfloat16):
        one, same = (electra(tokens, generator=torch.Generator("cuda").manual_seed(1)) for _ in range(2))
    one.loss.backward()
    assert torch.equal(one.disc_labels, same.disc_labels)
    assert torch.allclose(one.loss, same.loss)
    assert all(torch.isfinite(parameter.grad).all() for parameter in electra.parameters())
    with pytest.raises(TrainError, match="the generator is on cpu"):
        electra(tokens, generator=seeded())
