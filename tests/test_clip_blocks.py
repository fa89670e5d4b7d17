"""The transformers of CLIP against plain twins in numpy, and what their masks, positions and patches promise."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from maskgen.train.clip.blocks import Attention, Transformer
from maskgen.train.clip.text import TextTransformer
from maskgen.train.clip.vision import VisionTransformer, patch_dropout, patches
from maskgen.train.errors import TrainError
from maskgen.train.models.attention import Rows, rotation

SIZES = {"depth": 2, "heads": 2, "dim_head": 6}


def texts(rows=3, length=5, seed=0):
    """Ids 1 to 9, with a last row that is padded (0)."""
    ids = torch.from_numpy(np.random.default_rng(seed).integers(1, 10, (rows, length)))
    ids[-1, 3:] = 0
    return ids


def text_encoder(**options):
    torch.manual_seed(1)
    return TextTransformer(8, **{"num_tokens": 10, "max_seq_len": 7} | SIZES | options).double()


def image_encoder(**options):
    torch.manual_seed(1)
    return VisionTransformer(8, **{"image_size": 6, "patch_size": 2} | SIZES | options).double()


# The twins: one row at a time, one head at a time, in numpy.


def normed(x, weight):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * weight


def turned(x, base=10_000.0):
    """Each half-pair of row p turned by p * base^(-2 i / size)."""
    half = x.shape[1] // 2
    angles = np.arange(len(x))[:, None] * base ** (-np.arange(half) / half)
    real, imaginary = x[:, :half], x[:, half:]
    z = (real + 1j * imaginary) * np.exp(1j * angles)
    return np.concatenate((z.real, z.imag), 1)


def twin(network, x, seen, rotary):
    """The transformer on one row [L, dim]; `seen` [L, L]."""
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    x = normed(x, state["norm_in.weight"])
    for number in range(len(network.layers)):
        own = {name.split(".", 2)[2]: value for name, value in state.items() if name.startswith(f"layers.{number}.")}
        y = normed(x, own["attention_norm.weight"]) @ own["attention.qkv.weight"].T
        q, k, v = np.split(y, 3, axis=1)
        heads = []
        for head in range(2):
            part = slice(6 * head, 6 * head + 6)
            qh, kh = (turned(each[:, part]) if rotary else each[:, part] for each in (q, k))
            scores = np.where(seen, qh @ kh.T / math.sqrt(6), -np.inf)
            scores = np.exp(scores - scores.max(1, keepdims=True))
            heads.append(scores / scores.sum(1, keepdims=True) @ v[:, part])
        x = x + normed(np.concatenate(heads, 1) @ own["attention.out.0.weight"].T, own["attention.out.1.weight"])
        value, gate = np.split(normed(x, own["ff_norm.weight"]) @ own["feed_forward.up.weight"].T, 2, axis=1)
        gelu = gate * 0.5 * (1 + np.vectorize(math.erf)(gate / math.sqrt(2)))
        x = x + normed(value * gelu, own["feed_forward.norm.weight"]) @ own["feed_forward.down.weight"].T
    return normed(x, state["norm_out.weight"])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("rotary", [False, True])
def test_texts_are_encoded_as_the_twin_does(rotary, causal):
    encoder, text = text_encoder(rotary_pos_emb=rotary, causal=causal), texts()
    mask = text != 0
    with torch.no_grad():
        found = encoder(text, mask).numpy()
    state = {name: value.numpy() for name, value in encoder.state_dict().items()}
    for row in range(len(text)):
        x = state["token_emb.weight"][text[row]]
        keys = mask[row].numpy()
        if not rotary:
            x = x + state["abs_pos_emb.weight"][: len(x)]
        if not causal:  # a learned CLS before the tokens, which everybody sees
            x, keys = np.concatenate((state["cls_token"][None], x)), np.concatenate(([True], keys))
        seen = np.broadcast_to(keys, (len(x), len(x)))
        if causal:
            seen = (seen & np.tri(len(x), dtype=bool)) | np.eye(len(x), dtype=bool)
        assert np.allclose(found[row], twin(encoder.transformer, x, seen, rotary), atol=1e-6)


def test_images_are_encoded_as_the_twin_does():
    encoder = image_encoder().eval()
    images = torch.from_numpy(np.random.default_rng(2).random((2, 3, 6, 6)))
    with torch.no_grad():
        found = encoder(images).numpy()
    state = {name: value.numpy() for name, value in encoder.state_dict().items()}
    for row, image in enumerate(images.numpy()):
        cut = [image[:, y : y + 2, x : x + 2].transpose(1, 2, 0).ravel() for y in (0, 2, 4) for x in (0, 2, 4)]
        x = np.stack(cut) @ state["patch_emb.weight"].T + state["pos_emb.weight"]
        x = twin(encoder.transformer, x, np.ones((9, 9), bool), False)
        first = x.mean(0) @ state["to_cls.weight"].T
        assert np.allclose(found[row], np.concatenate((first[None], x)), atol=1e-10)


def test_rotary_positions_are_of_queries_and_keys_alone():
    # Only then does moving everything by as many places change nothing.
    torch.manual_seed(0)
    attention, hidden = Attention(8, heads=2, dim_head=6).double(), torch.randn(2, 5, 8, dtype=torch.float64)
    here, there = (
        attention(hidden, Rows(None), rotation(torch.arange(start, start + 5)[None], 6, 10_000.0))
        for start in (0, 1000)
    )
    assert torch.allclose(here, there, atol=1e-5)
    assert not torch.allclose(here, attention(hidden, Rows(None)), atol=1e-3)


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_padding_changes_nothing(rotary, causal):
    encoder, text = text_encoder(rotary_pos_emb=rotary, causal=causal), texts()
    mask = text != 0
    other = text.clone()
    other[~mask] = 7
    leading = 0 if causal else 1
    found, same = encoder(text, mask), encoder(other, mask)
    assert found.shape == (3, 5 + leading, 8)
    assert encoder.leading == leading
    kept = torch.nn.functional.pad(mask, (leading, 0), value=True)
    assert torch.equal(found[kept], same[kept])
    assert causal or not torch.allclose(found[kept], encoder(other)[kept])
    assert torch.isfinite(encoder(text, torch.zeros_like(mask))).all()  # not even a row without tokens


@pytest.mark.parametrize("rotary", [False, True])
def test_causal_texts_do_not_look_ahead(rotary):
    encoder, text = text_encoder(rotary_pos_emb=rotary, causal=True), texts()[:2]
    other = text.clone()
    other[:, 3:] = 9 - other[:, 3:]
    assert torch.equal(encoder(text)[:, :3], encoder(other)[:, :3])
    assert not torch.equal(encoder(text)[:, 3:], encoder(other)[:, 3:])


def test_no_linear_has_a_bias():
    for encoder in (text_encoder(), image_encoder()):
        assert not [name for name, _ in encoder.named_parameters() if name.endswith("bias")]


def test_softmax_is_in_float32_in_half_precision():
    # Scores 256 and 257 are the same number in bfloat16: a softmax in that type would give both keys a half.
    attention = Attention(2, heads=1, dim_head=2).bfloat16()
    with torch.no_grad():
        attention.qkv.weight.copy_(torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1], [1, 0], [0, 1]]))
        attention.out = nn.Identity()
        query = torch.tensor([[[math.sqrt(2) * 16, 16.0], [16, math.sqrt(2) * 16]]]).bfloat16()
        found = attention(query, Rows(None)).float()
    x = query.double()
    expected = (x @ x.transpose(1, 2) / math.sqrt(2)).softmax(-1) @ x
    assert torch.allclose(found, expected.float(), rtol=1e-2)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_checkpointing_changes_nothing(dropout):
    results = []
    for again in (False, True):
        torch.manual_seed(5)
        network = Transformer(8, **SIZES, attn_dropout=dropout, ff_dropout=dropout, checkpoint_during_training=again)
        hidden = torch.randn(2, 5, 8, requires_grad=True)
        network(hidden, torch.ones(2, 5)).square().sum().backward()
        results.append([hidden.grad, *(each.grad for each in network.parameters())])
    assert all(torch.equal(first, second) for first, second in zip(*results, strict=True))


def test_checkpointing_computes_layers_twice():
    calls = []
    network = Transformer(8, **SIZES, checkpoint_during_training=True)
    network.layers[0].feed_forward.register_forward_pre_hook(lambda *_: calls.append(1))
    network(torch.randn(2, 5, 8)).sum().backward()
    assert len(calls) == 2
    network.eval()(torch.randn(2, 5, 8)).sum().backward()
    assert len(calls) == 3


def test_patches_are_those_of_the_image_row_by_row():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert patches(image, 2)[0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]


@pytest.mark.parametrize(("share", "kept"), [(0.5, 4), (0.25, 6), (0.9, 1), (0.99, 1), (0.0, 9)])
def test_patch_dropout_keeps_so_many_in_training(share, kept):
    encoder, images = image_encoder(patch_dropout=share), torch.rand(2, 3, 6, 6, dtype=torch.float64)
    assert encoder(images).shape == (2, 1 + kept, 8)
    assert encoder(images, keep_all_patches=True).shape == (2, 10, 8)
    assert encoder.eval()(images).shape == (2, 10, 8)
    assert image_encoder(cls_token=False, patch_dropout=share)(images).shape == (2, kept, 8)


def test_patch_dropout_draws_from_its_generator_sets_without_repeats():
    hidden = torch.arange(9.0).view(1, 9, 1).expand(400, 9, 1)
    found, again = (patch_dropout(hidden, 0.5, torch.Generator().manual_seed(3))[..., 0] for _ in range(2))
    assert torch.equal(found, again)
    assert all(len(set(row)) == 4 for row in found.tolist())
    counts = torch.bincount(found.flatten().long(), minlength=9)
    assert (counts - 400 * 4 / 9).abs().max() < 50  # five deviations


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: text_encoder(depth=0), "depth 0"),
        (lambda: text_encoder(dim_head=7, rotary_pos_emb=True), "even number"),
        (lambda: text_encoder(ff_mult=0), "ff_mult 0"),
        (lambda: text_encoder(num_tokens=0), "num_tokens 0"),
        (lambda: text_encoder()(torch.ones(1, 8, dtype=torch.long)), "texts of 8 tokens"),
        (lambda: text_encoder()(torch.ones(1, 4)), "expected a tensor of ids"),
        (lambda: text_encoder()(texts(), torch.ones(3, 6)), "a mask of the shape"),
        (lambda: image_encoder(patch_size=4), "patches of 4"),
        (lambda: image_encoder(patch_dropout=1.0), "patch dropout 1.0"),
        (lambda: image_encoder(channels=0), "channels 0"),
        (lambda: image_encoder()(torch.zeros(1, 3, 6, 6, dtype=torch.uint8)), "torch.uint8"),
        (lambda: image_encoder()(torch.zeros(1, 1, 6, 6)), r"expected \[B, 3, 6, 6\]"),
    ],
)
def test_what_does_not_fit_is_said(make, message):
    with pytest.raises(TrainError, match=message):
        make()
