"""Masked diffusion: rows at random noise levels, what is paid for their masks, and XLM's model for it.

tokens or masked batches --MaskedDiffusion, around any encoder--> loss and bound ; logits, batch --DiffusionLoss--> loss
"""

from maskgen.train.diffusion.loss import DiffusionLoss, positions_of, subs
from maskgen.train.diffusion.model import RotaryTransformerMLMModel
from maskgen.train.diffusion.objective import MaskedDiffusion

__all__ = [
    "DiffusionLoss",
    "MaskedDiffusion",
    "RotaryTransformerMLMModel",
    "positions_of",
    "subs",
]
