"""How many floating-point operations a training step needs, and how many a device can do: their quotient is the MFU.

Matrix products alone are counted, two operations a multiply-add; the rest is less than a hundredth of them.
"""

from typing import Protocol

import torch


class Sizes(Protocol):
    """The part of an EncoderConfig that is counted here."""

    @property
    def architecture(self) -> str:
        """What the two halves of a layer are: "bert", or "modern" with its gated feed-forward."""

    @property
    def vocab_size(self) -> int:
        """Outputs of the head at each masked place."""

    @property
    def hidden_size(self) -> int:
        """Width of the layers."""

    @property
    def layers(self) -> int:
        """How many there are."""

    @property
    def intermediate_size(self) -> int:
        """Width inside the feed-forward."""

    @property
    def embedding_size(self) -> int | None:
        """Width of the embeddings where it is another one."""


def training_flops(
    config: Sizes,
    *,
    batch: int,
    length: int,
    masked: float,
    generator: Sizes | None = None,
    pairs: bool = False,
    tokens: float | None = None,
    attended: float | None = None,
) -> float:
    """Operations of one training step over `batch` rows of `length`: three times those of the forward pass.

    Backward needs two products for each one of the forward pass: for the inputs' gradients and for the weights'.
    Recomputed activations do not count. With H hidden, I intermediate, E embedding width and V words, forward is

        layers x (tokens x (8 H^2 + F) + attended x 4 H)       F = 4 H I in "bert", 6 H I in "modern" (gated)
        + tokens x 2 E H                                         where E is not H
        + masked x (2 H E + 2 E V)                               the head, on masked places alone
        + batch x (2 H^2 + 4 H)                                  the pair head

    `tokens` are those that the layers compute and `attended` the pairs (query, key) of one head: batch x length and
    batch x length^2 unless given. For packed rows pass the real tokens and the sum of the squares of the documents'
    lengths, so that padding and masked-out blocks count for nothing.

    With `generator` (its config) the objective is ELECTRA and `config` the discriminator's, whose head is on all
    tokens: tokens x (2 H^2 + 2 H). Numbers are those of all ranks together, or of one rank, as the caller likes.
    """
    tokens = float(batch * length) if tokens is None else tokens
    attended = float(batch * length * length) if attended is None else attended
    forward = _encoder(config, tokens, attended)
    hidden = config.hidden_size
    if generator is None:
        forward += _masked_head(config, masked)
    else:
        forward += tokens * (2 * hidden * hidden + 2 * hidden)
        forward += _encoder(generator, tokens, attended) + _masked_head(generator, masked)
    if pairs:
        forward += batch * (2 * hidden * hidden + 4 * hidden)
    return 3.0 * forward


def _encoder(config: Sizes, tokens: float, attended: float) -> float:
    hidden, embedding = config.hidden_size, config.embedding_size or config.hidden_size
    feed_forward = (6 if config.architecture == "modern" else 4) * hidden * config.intermediate_size
    layers = config.layers * (tokens * (8 * hidden * hidden + feed_forward) + attended * 4 * hidden)
    return layers + (tokens * 2 * embedding * hidden if embedding != hidden else 0)


def _masked_head(config: Sizes, masked: float) -> float:
    embedding = config.embedding_size or config.hidden_size
    return masked * (2 * config.hidden_size * embedding + 2 * embedding * config.vocab_size)


# Dense bf16 with fp32 sums, in 10^12 a second, from the makers' data sheets (half of the figures "with sparsity").
# The first entry whose words are all in the device's name is the one: special editions come before the plain name.
PEAKS: tuple[tuple[str, float], ...] = (
    ("GH200", 989),
    ("H200 NVL", 835),
    ("H200", 989),
    ("H100 PCIe", 756),
    ("H100 NVL", 835),
    ("H100", 989),
    ("H800 PCIe", 756),
    ("H800", 989),
    ("H20", 148),
    ("GB200", 2500),
    ("B200", 2250),
    ("A100", 312),
    ("A800", 312),
    ("A40", 149.7),
    ("A30", 165),
    ("A10", 125),
    ("A10G", 70),
    ("L40S", 362),
    ("L40", 181),
    ("L4", 121),
    ("RTX 4090", 165.2),
    ("RTX 3090", 71),
    ("MI300X", 1307),
)


def peak_flops(device: torch.device) -> float | None:
    """Dense bf16 operations a second by the data sheet; None for CPUs and unknown names, so that no MFU is made up."""
    return peak_of_name(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def peak_of_name(name: str) -> float | None:
    """The same of a name, such as "NVIDIA H100 80GB HBM3"; slices of a device (MIG) and laptops have no entry."""
    words = name.upper().replace("-", " ").split()
    if {"MIG", "LAPTOP", "MOBILE"} & set(words):
        return None
    return next((peak * 1e12 for known, peak in PEAKS if set(known.upper().split()) <= set(words)), None)
