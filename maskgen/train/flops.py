"""How many floating-point operations a training step needs, and how many a device can do: their quotient is the MFU."""

from typing import Protocol

import torch


class Sizes(Protocol):
    """The part of an EncoderConfig that is counted here."""

    @property
    def architecture(self) -> str: ...  # noqa: D102
    @property
    def vocab_size(self) -> int: ...  # noqa: D102
    @property
    def hidden_size(self) -> int: ...  # noqa: D102
    @property
    def layers(self) -> int: ...  # noqa: D102
    @property
    def intermediate_size(self) -> int: ...  # noqa: D102
    @property
    def embedding_size(self) -> int | None: ...  # noqa: D102


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

    With `generator` (its config) the objective is ELECTRA and `config` the discriminator's; `pairs` adds the pair head.
    """
    raise NotImplementedError


def peak_flops(device: torch.device) -> float | None:
    """Dense bf16 operations a second by the data sheet; None for CPUs and unknown names."""
    raise NotImplementedError
