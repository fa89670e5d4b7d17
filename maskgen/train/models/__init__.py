"""Encoders in two architectures, their heads, and their files as Hugging Face has them.

EncoderConfig --build_masked_lm | build_discriminator--> network <--load_pretrained | save_pretrained--> folder
"""

from maskgen.train.models.config import EncoderConfig, generator_of
from maskgen.train.models.encoders import Encoder
from maskgen.train.models.heads import DiscriminatorHead, MaskedLmHead, PairHead
from maskgen.train.models.hugging_face import load_pretrained, save_pretrained
from maskgen.train.models.inputs import encoder_inputs, unpadding
from maskgen.train.models.networks import Discriminator, MaskedLm, build_discriminator, build_masked_lm

__all__ = [
    "Discriminator",
    "DiscriminatorHead",
    "Encoder",
    "EncoderConfig",
    "MaskedLm",
    "MaskedLmHead",
    "PairHead",
    "build_discriminator",
    "build_masked_lm",
    "encoder_inputs",
    "generator_of",
    "load_pretrained",
    "save_pretrained",
    "unpadding",
]
