"""Configurations: checked when they are made; sizes by name."""

import dataclasses
import json

import pytest
import torch

from maskgen.train.errors import TrainError
from maskgen.train.models import Discriminator, EncoderConfig, MaskedLm, generator_of

GOOD = {"vocab_size": 100, "hidden_size": 32, "layers": 2, "heads": 4, "intermediate_size": 64}


def parameters(make):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in make().parameters())


def test_there_and_back_as_json():
    config = EncoderConfig("modern", **GOOD, max_positions=77, pad_id=None, rotary_base=5e4, tie_embeddings=False)
    assert EncoderConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert config.embedding_size == 32
    assert not config.factorised
    assert config.head_size == 8
    assert EncoderConfig("bert", **GOOD, embedding_size=8).factorised


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "gpt"}, r"architecture is 'gpt'; expected bert or modern; correct it"),
        ({"vocab_size": 0}, r"vocab_size is 0; expected a whole number from 1 to 16777216"),
        ({"vocab_size": "100"}, r"vocab_size is '100'"),
        ({"layers": 10**9}, r"layers is 1000000000"),
        ({"layers": True}, r"layers is True"),
        ({"hidden_size": 33}, r"heads is 4; expected a divisor of hidden_size 33"),
        ({"hidden_size": 32.0}, r"hidden_size is 32.0"),
        ({"max_positions": -1}, r"max_positions is -1"),
        ({"dropout": 1.0}, r"dropout is 1.0; expected a number at least 0, below 1"),
        ({"attention_dropout": "0"}, r"attention_dropout is '0'"),
        ({"norm_eps": 0.0}, r"norm_eps is 0.0; expected a number above 0"),
        ({"norm_eps": float("nan")}, r"norm_eps is nan"),
        ({"rotary_base": float("inf")}, r"rotary_base is inf"),
        ({"initializer_range": None}, r"initializer_range is None"),
        ({"pad_id": 100}, r"pad_id is 100; expected a whole number from 0 to 99"),
        ({"tie_embeddings": 1}, r"tie_embeddings is 1; expected True or False"),
        ({"architecture": "modern", "attention_dropout": 0.1}, r"attention_dropout is 0.1; expected 0 for .* modern"),
        ({"architecture": "modern", "hidden_size": 12}, r"heads is 4; expected heads of an even size, not of 3"),
        ({"architecture": "modern", "embedding_size": 8, "tie_embeddings": False}, r"tie_embeddings is False"),
        ({"hidden_size": [1] * 100}, r"hidden_size is \[1, 1, .*\.\.\.; expected"),
    ],
)
def test_what_cannot_be_is_one_line(change, message):
    with pytest.raises(TrainError, match=f"^{message}") as caught:
        EncoderConfig(**{"architecture": "bert", **GOOD, **change})
    assert "\n" not in str(caught.value)


def test_unknown_and_missing_fields():
    with pytest.raises(TrainError, match="a field 'depth'; expected architecture, vocab_size"):
        EncoderConfig.from_json({"architecture": "bert", **GOOD, "depth": 3})
    with pytest.raises(TrainError, match="has no heads"):
        EncoderConfig.from_json({"architecture": "bert", **{name: GOOD[name] for name in GOOD if name != "heads"}})
    with pytest.raises(TrainError, match="size is 'huge'; expected one of tiny, small, base, large"):
        EncoderConfig.of_size("huge", vocab_size=10)
    with pytest.raises(TrainError, match="architecture is 'gpt'"):
        EncoderConfig.of_size("tiny", architecture="gpt", vocab_size=10)


@pytest.mark.parametrize(
    ("architecture", "size", "millions"),
    [
        # BERT-base and -large with their masked-LM heads, ELECTRA-small, ModernBERT-base and -large, of 30,522 ids.
        ("bert", "tiny", 4.4),
        ("bert", "small", 13.5),
        ("bert", "base", 109.5),
        ("bert", "large", 335.2),
        ("modern", "tiny", 4.3),
        ("modern", "small", 15.8),
        ("modern", "base", 134.4),
        ("modern", "large", 375.5),
    ],
)
def test_sizes(architecture, size, millions):
    config = EncoderConfig.of_size(size, architecture=architecture, vocab_size=30522)
    assert parameters(lambda: MaskedLm(config)) / 1e6 == pytest.approx(millions, abs=0.05)
    assert config.dropout == (0.1 if architecture == "bert" else 0.0)
    assert config.head_size == 64


def test_fields_may_replace_those_of_a_size():
    config = EncoderConfig.of_size("small", vocab_size=10, max_positions=99, embedding_size=0, dropout=0.0, pad_id=3)
    assert (config.max_positions, config.embedding_size, config.dropout, config.pad_id) == (99, 256, 0.0, 3)


@pytest.mark.parametrize(
    ("size", "share", "widths"),
    [
        ("tiny", None, (64, 1, 256, 128)),
        ("small", None, (64, 1, 256, 128)),
        ("base", None, (256, 4, 1024, 768)),
        ("large", None, (256, 4, 1024, 1024)),
        ("base", 0.5, (384, 6, 1536, 768)),
        ("small", 1, (256, 4, 1024, 128)),
    ],
)
def test_generators(size, share, widths):
    config = EncoderConfig.of_size(size, vocab_size=30522)
    generator = generator_of(config, share)
    found = (generator.hidden_size, generator.heads, generator.intermediate_size, generator.embedding_size)
    assert found == widths
    fields = ("hidden_size", "heads", "intermediate_size", "embedding_size")
    assert dataclasses.replace(generator, **{name: getattr(config, name) for name in fields}) == config


def test_electra_small_is_as_large_as_published():
    """14 million parameters, as Google counts the discriminator."""
    config = EncoderConfig.of_size("small", vocab_size=30522)
    assert parameters(lambda: Discriminator(config)) / 1e6 == pytest.approx(13.5, abs=0.1)


@pytest.mark.parametrize("share", [0, -1, 2, "1", 0.01, float("nan"), True])
def test_shares_that_cannot_be(share):
    with pytest.raises(TrainError, match="share is"):
        generator_of(EncoderConfig.of_size("base", vocab_size=30522), share)
