"""Encoders on a GPU against the same on the CPU: both layouts, compiled and not. Run with -m gpu."""

import pytest
import torch
from model_cases import documents, masked_lm, packed_batch, padded_batch

from maskgen.train.models import attention, encoder_inputs, encoders, unpadding

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"),  # PyTorch's own
]
SIZES = {"hidden_size": 64, "heads": 4, "intermediate_size": 96, "max_positions": 64}
BF16 = {"rtol": 0.05, "atol": 0.05}


def on_device(batch):
    return {name: tensor.cuda() for name, tensor in batch.items()}


def bf16():
    return torch.autocast("cuda", torch.bfloat16)


@pytest.fixture
def counted(monkeypatch):
    """How often the kernel for sequences of different lengths was called."""
    calls = []
    kernel = attention.varlen_attn
    if kernel is None:
        pytest.skip("this PyTorch has no torch.nn.attention.varlen")

    def call(*arguments):
        calls.append(1)
        return kernel(*arguments)

    monkeypatch.setattr(attention, "varlen_attn", call)
    return calls


@pytest.mark.parametrize("architecture", ["bert", "modern"])
@pytest.mark.parametrize("make", [padded_batch, packed_batch, lambda: padded_batch((20, 20))])
def test_float32_is_that_of_the_cpu(architecture, make):
    network, batch = masked_lm(architecture, **SIZES), make()
    expected = network(batch["text"], **encoder_inputs(batch))
    ready = on_device(batch | unpadding(batch))
    found = network.cuda()(ready["text"], **encoder_inputs(ready))
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("make", [padded_batch, packed_batch])
def test_flat_in_bf16_is_rows_in_float32(make, counted):
    network, batch = masked_lm("modern", **SIZES), make()
    real = batch["padding_mask"].bool()
    network(batch["text"], **encoder_inputs(batch))[real].square().mean().backward()
    expected = network.encoder(batch["text"], **encoder_inputs(batch))
    gradients = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    network.zero_grad()
    network.cuda()
    ready = on_device(batch | unpadding(batch))
    with bf16():
        found = network.encoder(ready["text"], **encoder_inputs(ready))
        assert len(counted) == 3
        network(ready["text"], **encoder_inputs(ready))[ready["padding_mask"].bool()].float().square().mean().backward()
    torch.testing.assert_close(found.float().cpu()[real], expected[real], **BF16)
    assert not found[~ready["padding_mask"].bool()].any()
    for name, parameter in network.named_parameters():
        error = (parameter.grad.cpu() - gradients[name]).norm() / gradients[name].norm()
        assert error < 0.1, (name, error)


def test_flat_documents_do_not_see_each_other(counted):
    network, batch = masked_lm("modern", **SIZES).cuda(), packed_batch()
    ready = on_device(batch | unpadding(batch))
    with torch.no_grad(), bf16():
        before = network(ready["text"], **encoder_inputs(ready))
        for row, places in documents(batch):
            changed = dict(ready, text=ready["text"].clone())
            changed["text"][row, places] = 17
            after = network(changed["text"], **encoder_inputs(changed))
            same = ready["padding_mask"].bool().clone()
            same[row, places] = False
            assert torch.equal(before[same], after[same])
            assert not torch.equal(before[row, places], after[row, places])
    assert counted


@pytest.mark.parametrize("architecture", ["bert", "modern"])
def test_one_graph_for_batches_with_different_numbers_of_tokens(architecture):
    network = masked_lm(architecture, **SIZES).cuda()
    batches = [padded_batch(lengths) for lengths in ((12, 5, 20, 1), (20, 19, 18, 17), (3, 3, 3, 3), (7, 1, 9, 20))]
    inputs = [on_device(batch | unpadding(batch)) for batch in batches]
    with torch.no_grad(), bf16():
        expected = [network.encoder(ready["text"], **encoder_inputs(ready)) for ready in inputs]
        torch._dynamo.reset()
        network.encoder.compile(fullgraph=True)
        with torch._dynamo.config.patch(error_on_recompile=False, recompile_limit=3):
            found = [network.encoder(ready["text"], **encoder_inputs(ready)) for ready in inputs]
    for one, other, ready in zip(expected, found, inputs, strict=True):
        real = ready["padding_mask"].bool()
        torch.testing.assert_close(one[real].float(), other[real].float(), **BF16)


def test_a_batch_of_padding_alone():
    network, batch = masked_lm("modern", **SIZES).cuda(), padded_batch((0, 0))
    ready = on_device(batch | unpadding(batch))
    with torch.no_grad(), bf16():
        assert network(ready["text"], **encoder_inputs(ready)).isfinite().all()


def test_the_layout_is_chosen_by_device_and_type():
    tokens = torch.zeros(1, device="cuda")
    assert not encoders.takes_flat(tokens, tokens)
    assert encoders.takes_flat(tokens, tokens.half()) == (attention.varlen_attn is not None)
    with bf16():
        assert encoders.takes_flat(tokens, tokens) == (attention.varlen_attn is not None)
