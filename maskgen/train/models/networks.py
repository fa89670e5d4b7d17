"""Encoders with their heads: made from a configuration and a seed, and what is saved and loaded.

EncoderConfig --on the meta device--> shape of a network --seed--> MaskedLm | Discriminator
                                              `--file--> the same, by hugging_face.load_pretrained
"""

import math
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from maskgen.train.errors import TrainError
from maskgen.train.models.config import EncoderConfig
from maskgen.train.models.encoders import Encoder, PreNormLayer
from maskgen.train.models.heads import DiscriminatorHead, MaskedLmHead, PairHead


@dataclass
class Foreign:
    """What a checkpoint had that the network has no use for; it is written again when the network is saved."""

    settings: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)


class MaskedLm(nn.Module):
    """An encoder with its head for masked tokens, and with `pairs` one for the order of two parts."""

    def __init__(self, config: EncoderConfig, *, pairs: bool = False) -> None:
        super().__init__()
        if pairs and (config.architecture != "bert" or config.factorised):
            raise TrainError(
                f"a head for pairs on architecture {config.architecture} with embedding_size {config.embedding_size} "
                f"and hidden_size {config.hidden_size}; expected bert with both the same, as BertForPreTraining has "
                "it; leave the head out, or pass embedding_size=0"
            )
        self.encoder = Encoder(config)
        self.head = MaskedLmHead(self.encoder)
        self.pair_head = PairHead(config) if pairs else None
        self.foreign = Foreign()

    @property
    def config(self) -> EncoderConfig:
        """The encoder's."""
        return self.encoder.config

    def forward(self, tokens: Tensor, **inputs: Tensor) -> Tensor:
        """Logits [B, L, V] at all places; training asks the head for the masked ones alone."""
        logits: Tensor = self.head(self.encoder(tokens, **inputs))
        return logits

    def pair_logits(self, tokens: Tensor, **inputs: Tensor) -> Tensor:
        """Logits [B, 2] of pairs."""
        if self.pair_head is None:
            raise TrainError("the model has no head for pairs; expected one made with pairs=True; make it so")
        logits: Tensor = self.pair_head(self.encoder(tokens, **inputs)[:, 0])
        return logits


class Discriminator(nn.Module):
    """An encoder that tells replaced tokens."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.head = DiscriminatorHead(config)
        self.foreign = Foreign()

    @property
    def config(self) -> EncoderConfig:
        """The encoder's."""
        return self.encoder.config

    def forward(self, tokens: Tensor, **inputs: Tensor) -> Tensor:
        """Logits [B, L]: above 0 for tokens that were replaced."""
        logits: Tensor = self.head(self.encoder(tokens, **inputs))
        return logits


Network = TypeVar("Network", MaskedLm, Discriminator)


def build_masked_lm(config: EncoderConfig, *, pairs: bool = False, seed: int = 1234) -> MaskedLm:
    """A network to be trained: its weights are a function of configuration and seed."""
    with torch.device("meta"):
        network = MaskedLm(config, pairs=pairs)
    return _initialised(network, config, seed)


def build_discriminator(config: EncoderConfig, *, seed: int = 1234) -> Discriminator:
    """A network to be trained: its weights are a function of configuration and seed."""
    with torch.device("meta"):
        network = Discriminator(config)
    return _initialised(network, config, seed)


def _initialised(network: Network, config: EncoderConfig, seed: int) -> Network:
    """As BERT is: weights normal up to two deviations, biases 0, norms 1.

    What a modern layer adds to the stream is drawn smaller, 1 / sqrt(2 x layers), so that their sum stays of one size.
    """
    network.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    smaller = 1 / math.sqrt(2 * config.layers)
    into_stream = {
        id(linear) for layer in network.modules() if isinstance(layer, PreNormLayer)
        for linear in (layer.attention.out, layer.down)
    }  # fmt: skip
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.LayerNorm):
                module.weight.fill_(1.0)
            elif isinstance(module, (nn.Linear, nn.Embedding)):
                deviation = config.initializer_range * (smaller if id(module) in into_stream else 1.0)
                nn.init.trunc_normal_(
                    module.weight, std=deviation, a=-2 * deviation, b=2 * deviation, generator=generator
                )
            for name, parameter in module.named_parameters(recurse=False):
                if name == "bias":
                    parameter.zero_()
    return network
