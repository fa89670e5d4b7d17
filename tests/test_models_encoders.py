"""Encoders: who sees whom, what a seed makes, what compiles."""

import copy
import itertools

import pytest
import torch
from model_cases import config, discriminator, documents, masked_lm, packed_batch, padded_batch

from maskgen.train.errors import TrainError
from maskgen.train.models import (
    MaskedLm,
    MaskedLmHead,
    attention,
    build_discriminator,
    build_masked_lm,
    encoder_inputs,
    encoders,
    generator_of,
    unpadding,
)

ARCHITECTURES = ["bert", "modern"]
CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def slow_varlen(query, key, value, starts, _starts, longest, _longest):
    """The twin of the kernel: each document for itself, softmax written out."""
    bounds = starts.tolist()
    assert starts.dtype == torch.int32
    parts = []
    for start, end in itertools.pairwise(bounds):
        assert 0 < end - start <= longest
        q, k, v = (each[start:end].transpose(0, 1) for each in (query, key, value))
        weights = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1)
        parts.append((weights @ v).transpose(0, 1))
    return torch.cat(parts)


@pytest.fixture
def flat_everywhere(monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(1)
        return slow_varlen(*arguments)

    monkeypatch.setattr(encoders, "takes_flat", lambda *_: True)
    monkeypatch.setattr(attention, "varlen_attn", counted)
    return calls


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("given", [("positions", "document_ids", "padding_mask"), ("document_ids",)])
def test_a_document_in_a_row_is_a_document_alone(architecture, given):
    network, batch = masked_lm(architecture), packed_batch()
    inputs = {name: batch[name] for name in given}
    logits = network(batch["text"], **inputs)
    assert logits.isfinite().all()
    for row, places in documents(batch):
        alone = network(batch["text"][row, places][None])[0]
        torch.testing.assert_close(logits[row, places], alone, **CLOSE)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_gradient_crosses_documents(architecture):
    network, batch = masked_lm(architecture), packed_batch()
    inputs = encoder_inputs(batch)
    embedded = {}

    def keep(_module, _arguments, output):
        embedded["words"] = output.detach().requires_grad_()
        return embedded["words"]

    network.encoder.word_embeddings.register_forward_hook(keep)
    for row, places in documents(batch):
        logits = network(batch["text"], **inputs)
        logits[row, places].square().sum().backward()
        reached = embedded["words"].grad.abs().sum(-1) > 0
        expected = torch.zeros_like(reached)
        expected[row, places] = True
        assert torch.equal(reached, expected)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_is_never_attended(architecture):
    network, batch = masked_lm(architecture), padded_batch()
    first = network(batch["text"], **encoder_inputs(batch))
    other = dict(batch, text=torch.where(batch["padding_mask"].bool(), batch["text"], 17))
    second = network(other["text"], **encoder_inputs(other))
    real = batch["padding_mask"].bool()
    assert torch.equal(first[real], second[real])
    for row, length in enumerate(batch["padding_mask"].sum(1).tolist()):
        types = {"token_types": batch["types"][row : row + 1, :length]}
        alone = network(batch["text"][row : row + 1, :length], **types)
        torch.testing.assert_close(first[row, :length], alone[0], **CLOSE)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("packed", [False, True])
def test_rows_of_nothing_are_finite(architecture, packed):
    network = masked_lm(architecture)
    batch = packed_batch(rows=((), (4, 3))) if packed else padded_batch((0, 7))
    logits = network(batch["text"], **encoder_inputs(batch))
    assert logits.isfinite().all()
    logits.sum().backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_padding_mask_holds_within_documents_too(architecture):
    """Where the ids of documents say nothing of padding."""
    network, batch = masked_lm(architecture), padded_batch()
    plain = network(batch["text"], **encoder_inputs(batch))
    batch["document_ids"] = torch.zeros_like(batch["text"])
    packed = network(batch["text"], **encoder_inputs(batch))
    real = batch["padding_mask"].bool()
    torch.testing.assert_close(packed[real], plain[real], rtol=1e-5, atol=1e-5)


def test_where_nothing_is_padded_there_is_no_mask():
    batch = padded_batch((20, 20))
    assert "padding_mask" not in encoder_inputs(batch)
    assert "padding_mask" in encoder_inputs(padded_batch((20, 19)))
    assert attention.row_mask(None, None) is None
    on_device = {name: tensor.to("meta") for name, tensor in batch.items()}
    assert "padding_mask" in encoder_inputs(on_device)  # no look at values there
    assert "padding_mask" not in encoder_inputs(on_device | unpadding(batch))


def test_types_of_padding_are_0():
    assert encoder_inputs(padded_batch())["token_types"].max() == 1
    network, batch = masked_lm(), padded_batch()
    plain = {name: tensor for name, tensor in encoder_inputs(batch).items() if name != "token_types"}
    zeros = torch.zeros_like(batch["text"])
    assert torch.equal(network(batch["text"], **plain), network(batch["text"], **plain, token_types=zeros))


@pytest.mark.parametrize("packed", [False, True])
def test_unpadding_says_where_tokens_are(packed):
    batch = packed_batch() if packed else padded_batch((12, 0, 20, 1))
    found = unpadding(batch)
    assert torch.equal(found["unpadded"], batch["padding_mask"].flatten().nonzero().squeeze(1))
    assert found["boundaries"].dtype == torch.int32
    lengths = [5, 9, 4, 20, 3, 3, 7, 1, 12] if packed else [12, 20, 1]
    assert found["boundaries"].diff().tolist() == lengths
    assert found["boundaries"][0] == 0
    if packed:
        del batch["padding_mask"]
        assert all(torch.equal(found[name], each) for name, each in unpadding(batch).items())


@pytest.mark.parametrize("packed", [False, True])
def test_flat_equals_rows(packed, flat_everywhere):
    """The path of CUDA, with its kernel's twin."""
    network = masked_lm("modern")
    batch = packed_batch() if packed else padded_batch()
    real = batch["padding_mask"].bool()
    plain, hints = encoder_inputs(batch), encoder_inputs(batch | unpadding(batch))
    hidden = network.encoder(batch["text"], **plain)
    assert not flat_everywhere
    flat = network.encoder(batch["text"], **hints)
    assert len(flat_everywhere) == 3
    torch.testing.assert_close(flat[real], hidden[real], **CLOSE)
    assert not flat[~real].any()
    gradients = []
    for inputs in (plain, hints):
        network.zero_grad()
        network(batch["text"], **inputs)[real].square().mean().backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_kernel_is_for_cuda_in_half_precision(monkeypatch):
    assert attention.FLAT_DEVICES == ("cuda",)
    tokens, weight = torch.zeros(1), torch.zeros(1)
    assert not attention.takes_flat(tokens, weight.bfloat16())
    monkeypatch.setattr(attention, "FLAT_DEVICES", ("cpu",))
    monkeypatch.setattr(attention, "varlen_attn", slow_varlen)
    assert not attention.takes_flat(tokens, weight)
    assert attention.takes_flat(tokens, weight.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        assert attention.takes_flat(tokens, weight)
    monkeypatch.setattr(attention, "varlen_attn", None)
    assert not attention.takes_flat(tokens, weight.bfloat16())


@pytest.fixture
def opaque_varlen(monkeypatch):
    """The twin as an operator that compilers do not look into, as the kernel is one."""
    with torch.library._scoped_library("maskgen_test", "FRAGMENT") as library:
        arguments = "Tensor query, Tensor key, Tensor value, Tensor starts, Tensor same, SymInt longest, SymInt also"
        library.define(f"varlen({arguments}) -> Tensor")
        library.impl("varlen", slow_varlen, "CPU")
        library.impl("varlen", lambda query, *_: torch.empty_like(query), "Meta")
        monkeypatch.setattr(attention, "FLAT_DEVICES", ("cpu",))
        monkeypatch.setattr(attention, "varlen_attn", torch.ops.maskgen_test.varlen)
        yield


def test_flat_is_one_graph_for_any_number_of_tokens(opaque_varlen):
    encoder = masked_lm("modern").encoder
    batches = [padded_batch(lengths) for lengths in ((12, 5, 20, 1), (20, 19, 18, 17), (3, 3, 3, 3), (7, 1, 9, 20))]
    given = [(batch["text"], encoder_inputs(batch | unpadding(batch))) for batch in batches]
    graphs = []

    def counting(graph, _inputs):
        graphs.append(graph)
        return graph

    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = [encoder(tokens, **inputs) for tokens, inputs in given]
        torch._dynamo.reset()
        compiled = torch.compile(encoder, fullgraph=True, backend=counting)
        found = [compiled(tokens, **inputs) for tokens, inputs in given]
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(one, other, rtol=0.02, atol=0.02)
    assert len(graphs) == 2  # the first shape, then any


def test_every_place_sees_something():
    """A softmax over nothing is NaN in some kernels of attention, 0 in others."""
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0]])
    documents = torch.tensor([[0, 1, -1, -1], [-1, -1, -1, -1]])
    for given in ((mask, None), (mask, documents), (None, documents)):
        assert attention.row_mask(*given).any(-1).all()


def test_rotary_angles_of_far_places_are_exact():
    with torch.autocast("cpu", torch.bfloat16):
        turned = attention.rotation(torch.tensor([[8191]]), 64, 10_000.0)
    angles = 8191 * 10_000.0 ** -(torch.arange(0, 64, 2, dtype=torch.float64) / 64)
    torch.testing.assert_close(turned.cosine.flatten().double(), angles.cos(), rtol=0.0, atol=1e-3)
    torch.testing.assert_close(turned.sine.flatten().double(), angles.sin(), rtol=0.0, atol=1e-3)


def test_rotary_depends_on_distances_alone():
    network, batch = masked_lm("modern"), packed_batch(rows=((20,),))
    places = torch.arange(20)[None]
    torch.testing.assert_close(
        network(batch["text"], positions=places), network(batch["text"], positions=places + 15), **CLOSE
    )
    assert not torch.allclose(network(batch["text"], positions=places), network(batch["text"], positions=places * 2))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rows_longer_than_positions_are_refused(architecture):
    with pytest.raises(TrainError, match=r"41 tokens .* 40 positions"):
        masked_lm(architecture)(torch.zeros(1, 41, dtype=torch.long))


@pytest.mark.parametrize("build", [build_masked_lm, build_discriminator])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_are_a_function_of_the_seed(architecture, build):
    state = torch.get_rng_state()
    one, same, other = (build(config(architecture), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    moved = 0
    for (name, a), b, c in zip(one.named_parameters(), same.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), name
        assert a.abs().max() <= 0.04 or "norm" in name, name
        moved += not torch.equal(a, c)
        if a.dim() == 1:
            assert (a == (1.0 if "norm.weight" in name else 0.0)).all(), name
        elif architecture == "modern" and (name.endswith(("attention.out.weight", "down.weight"))):
            assert a.std().item() == pytest.approx(0.88 * 0.02 / 6**0.5, rel=0.1), name
        else:
            assert a.std().item() == pytest.approx(0.88 * 0.02, rel=0.1 if a.numel() > 100 else 0.5), name
    assert moved > 10


def test_the_decoder_is_the_embedding_whatever_becomes_of_it():
    network = masked_lm()
    names = [name for name, _ in network.named_parameters()]
    assert "head.bias" in names
    assert not any("decoder" in name for name in names)
    batch = padded_batch()
    copied = copy.deepcopy(network).double()
    torch.testing.assert_close(
        copied(batch["text"]).float(), network(batch["text"]), rtol=1e-4, atol=1e-4
    )  # and the copy's decoder is the copy's
    shared = torch.nn.Parameter(torch.zeros(61, 32))
    network.encoder.word_embeddings.weight = shared
    assert torch.equal(network(batch["text"])[0, 0], network.head.bias)
    untied = masked_lm(tie_embeddings=False)
    untied.encoder.word_embeddings.weight = shared
    assert not torch.equal(untied(batch["text"])[0, 0], untied.head.bias)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_parameter_of_training_gets_a_gradient(architecture):
    """Of both networks of ELECTRA with shared embeddings, and of the head for pairs."""
    whole = config(architecture, embedding_size=16 if architecture == "bert" else 0, heads=4)
    small = build_masked_lm(generator_of(whole, 0.5))
    large = build_discriminator(whole)
    small.encoder.word_embeddings.weight = large.encoder.word_embeddings.weight
    batch = padded_batch()
    inputs = encoder_inputs(batch)
    (small(batch["text"], **inputs).logsumexp(-1).sum() + large(batch["text"], **inputs).square().sum()).backward()
    for network in (small, large):
        assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []
    pairs = build_masked_lm(config(), pairs=True)
    assert pairs.pair_logits(batch["text"], **inputs).shape == (4, 2)
    pairs.pair_logits(batch["text"], **inputs)[:, 0].sum().backward()
    assert pairs.pair_head.pooler.weight.grad.abs().sum() > 0


def test_heads_that_there_are_not():
    with pytest.raises(TrainError, match="no head for pairs"):
        masked_lm().pair_logits(padded_batch()["text"])
    with pytest.raises(TrainError, match="head for pairs on architecture modern"):
        MaskedLm(config("modern"), pairs=True)
    with pytest.raises(TrainError, match="embedding_size 16 and hidden_size 32"):
        MaskedLm(config(embedding_size=16), pairs=True)


def test_the_head_takes_chosen_places_alone():
    network, batch = masked_lm(), padded_batch()
    hidden = network.encoder(batch["text"])
    places = torch.tensor([3, 0, 25])
    torch.testing.assert_close(
        network.head(hidden.flatten(0, 1)[places]), network(batch["text"]).flatten(0, 1)[places], **CLOSE
    )
    assert isinstance(network.head, MaskedLmHead)
    assert discriminator()(batch["text"]).shape == batch["text"].shape


def test_dropout_is_for_training():
    for architecture, drops in (("bert", {"attention_dropout": 0.5}), ("bert", {"dropout": 0.5}),
                                ("modern", {"dropout": 0.5})):  # fmt: skip
        network, tokens = masked_lm(architecture, **drops), padded_batch()["text"]
        assert torch.equal(network(tokens), network(tokens))
        network.train()
        assert not torch.equal(network(tokens), network(tokens))


def test_batches_of_decoders_are_refused():
    for function in (encoder_inputs, unpadding):
        with pytest.raises(TrainError, match="text_enc, labels; expected one with text"):
            function({"text_enc": torch.zeros(1, 1), "labels": torch.zeros(1, 1)})
    batch = packed_batch()
    with pytest.raises(TrainError, match=r"document_ids of shape \(3, 20\) for tokens of shape \(4, 20\)"):
        encoder_inputs(batch | {"document_ids": batch["document_ids"][:3]})


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("make", [padded_batch, packed_batch])
def test_the_encoder_is_one_graph(architecture, make):
    batch = make()
    encoder = masked_lm(architecture).encoder
    inputs = encoder_inputs(batch | unpadding(batch))
    expected = encoder(batch["text"], **inputs)
    torch._dynamo.reset()
    compiled = torch.compile(encoder, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(batch["text"], **inputs), expected, **CLOSE)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")  # PyTorch's own use
@pytest.mark.parametrize(("architecture", "make"), [("bert", padded_batch), ("modern", packed_batch)])
def test_the_compiled_encoder_gives_the_same(architecture, make):
    batch = make()
    encoder = masked_lm(architecture).encoder
    inputs = encoder_inputs(batch)
    expected = encoder(batch["text"], **inputs)
    expected.square().sum().backward()
    gradients = {name: parameter.grad.clone() for name, parameter in encoder.named_parameters()}
    encoder.zero_grad()
    torch._dynamo.reset()
    names = list(encoder.state_dict())
    encoder.compile(fullgraph=True)
    found = encoder(batch["text"], **inputs)
    torch.testing.assert_close(found, expected, **CLOSE)
    found.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-4, atol=1e-4)
    assert list(encoder.state_dict()) == names
