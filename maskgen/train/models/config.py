"""What an encoder is made of: checked when it is written down, long before it costs memory or time.

size by name | numbers | JSON --> EncoderConfig --> build_masked_lm, build_discriminator
                                       `--generator_of--> the smaller network of ELECTRA
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maskgen.train.errors import TrainError

ARCHITECTURES = ("bert", "modern")
# Largest values that are taken seriously: a file that claims more is damaged, and finding out must not cost memory.
LARGEST = {
    "vocab_size": 1 << 24, "hidden_size": 1 << 16, "layers": 1024, "heads": 1024, "intermediate_size": 1 << 18,
    "max_positions": 1 << 24, "embedding_size": 1 << 16, "type_vocab_size": 1 << 10,
}  # fmt: skip
SIZES: Mapping[str, Mapping[str, Mapping[str, int]]] = {
    "bert": {
        "tiny": {"hidden_size": 128, "layers": 2, "heads": 2, "intermediate_size": 512},
        "small": {"hidden_size": 256, "layers": 12, "heads": 4, "intermediate_size": 1024, "embedding_size": 128},
        "base": {"hidden_size": 768, "layers": 12, "heads": 12, "intermediate_size": 3072},
        "large": {"hidden_size": 1024, "layers": 24, "heads": 16, "intermediate_size": 4096},
    },
    "modern": {
        "tiny": {"hidden_size": 128, "layers": 2, "heads": 2, "intermediate_size": 256},
        "small": {"hidden_size": 256, "layers": 12, "heads": 4, "intermediate_size": 512},
        "base": {"hidden_size": 768, "layers": 22, "heads": 12, "intermediate_size": 1152},
        "large": {"hidden_size": 1024, "layers": 28, "heads": 16, "intermediate_size": 2624},
    },
}
# What is usual beside the sizes: BERT's own settings, and those of ModernBERT.
USUAL: Mapping[str, Mapping[str, Any]] = {
    "bert": {"dropout": 0.1, "attention_dropout": 0.1, "norm_eps": 1e-12},
    "modern": {"norm_eps": 1e-5},
}


@dataclass(frozen=True)
class EncoderConfig:
    """An encoder: "bert" (post-norm, learned positions) or "modern" (rotary, pre-norm, GEGLU, no biases).

    `embedding_size` 0 is that of `hidden_size`; another one is ELECTRA's factorised embedding. `type_vocab_size` is for
    bert alone, `rotary_base` for modern alone. Modern encoders drop nothing from attention: its kernels cannot.
    """

    architecture: str
    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    max_positions: int = 512
    embedding_size: int = 0
    type_vocab_size: int = 2
    dropout: float = 0.0
    attention_dropout: float = 0.0
    norm_eps: float = 1e-12
    pad_id: int | None = 0
    rotary_base: float = 10_000.0
    initializer_range: float = 0.02
    tie_embeddings: bool = True

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise _wrong("architecture", self.architecture, " or ".join(ARCHITECTURES))
        for name, largest in LARGEST.items():
            smallest = 0 if name in ("embedding_size", "type_vocab_size") else 1
            _check_integer(name, getattr(self, name), smallest, largest)
        if not self.embedding_size:
            object.__setattr__(self, "embedding_size", self.hidden_size)
        if self.hidden_size % self.heads:
            raise _wrong("heads", self.heads, f"a divisor of hidden_size {self.hidden_size}")
        if self.architecture == "modern" and self.head_size % 2:
            raise _wrong("heads", self.heads, f"heads of an even size, not of {self.head_size}, which rotary turns")
        for name in ("dropout", "attention_dropout"):
            _check_number(name, getattr(self, name), 0.0, 1.0, "at least 0, below 1")
        for name in ("norm_eps", "rotary_base", "initializer_range"):
            _check_number(name, getattr(self, name), 0.0, math.inf, "above 0")
            if not getattr(self, name):
                raise _wrong(name, getattr(self, name), "a number above 0")
        if self.architecture == "modern" and self.attention_dropout:
            raise _wrong("attention_dropout", self.attention_dropout, "0 for the architecture modern")
        if self.pad_id is not None:
            _check_integer("pad_id", self.pad_id, 0, self.vocab_size - 1)
        if not isinstance(self.tie_embeddings, bool):
            raise _wrong("tie_embeddings", self.tie_embeddings, "True or False")
        if not self.tie_embeddings and self.factorised and self.architecture == "modern":
            raise _wrong("tie_embeddings", False, "True where embedding_size is not hidden_size in modern encoders")

    @property
    def head_size(self) -> int:
        """How many numbers one head has."""
        return self.hidden_size // self.heads

    @property
    def factorised(self) -> bool:
        """Whether embeddings have a size of their own."""
        return self.embedding_size != self.hidden_size

    @classmethod
    def of_size(cls, size: str, *, architecture: str = "bert", vocab_size: int, **others: Any) -> "EncoderConfig":
        """A size by name: tiny, small, base or large; `others` are fields that replace its own.

        >>> EncoderConfig.of_size("base", vocab_size=30522).layers
        12
        """
        if architecture not in SIZES:
            raise _wrong("architecture", architecture, " or ".join(SIZES))
        if size not in SIZES[architecture]:
            raise _wrong("size", size, f"one of {', '.join(SIZES[architecture])}")
        facts = {**SIZES[architecture][size], **USUAL[architecture], **others}
        return cls.from_json({"architecture": architecture, "vocab_size": vocab_size, **facts})

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "EncoderConfig":
        """What to_json gave: unknown fields are errors, missing ones too unless they have a default."""
        known = {field.name: field.default is dataclasses.MISSING for field in dataclasses.fields(cls)}
        for name in facts:
            if name not in known:
                raise TrainError(f"the encoder has a field {name!r}; expected {', '.join(known)}; correct its name")
        for name, needed in known.items():
            if needed and name not in facts:
                raise TrainError(f"the encoder has no {name}; expected a value for it; add it")
        return cls(**facts)


def generator_of(config: EncoderConfig, share: float | None = None) -> EncoderConfig:
    """The generator that ELECTRA trains beside a discriminator of this configuration.

    It is as deep and `share` as wide: by default a third for a hidden size of 768 (base), a half for tiny ones, else a
    quarter, as in the paper. Heads keep their size, and embeddings theirs, so that both networks can share them.
    """
    if share is None:
        share = 1 / 3 if config.hidden_size == 768 else 1 / 2 if config.hidden_size <= 128 else 1 / 4
    _check_number("share", share, 0.0, math.inf, "above 0, at most 1")
    heads = round(config.heads * share)
    if not 0 < share <= 1 or not heads:
        raise _wrong("share", share, f"a share of the {config.heads} heads, at least one of them")
    return dataclasses.replace(
        config,
        hidden_size=heads * config.head_size,
        heads=heads,
        intermediate_size=max(1, round(config.intermediate_size * heads / config.heads)),
        embedding_size=config.embedding_size,
    )


def _check_integer(name: str, value: Any, smallest: int, largest: int) -> None:
    if type(value) is not int or not smallest <= value <= largest:
        raise _wrong(name, value, f"a whole number from {smallest} to {largest}")


def _check_number(name: str, value: Any, smallest: float, end: float, words: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not smallest <= value < end:
        raise _wrong(name, value, f"a number {words}")


def _wrong(name: str, found: Any, expected: str) -> TrainError:
    shown = repr(found)
    return TrainError(f"{name} is {shown if len(shown) <= 60 else shown[:57] + '...'}; expected {expected}; correct it")
