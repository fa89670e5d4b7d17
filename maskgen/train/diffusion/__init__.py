"""Masked diffusion: rows at random noise levels, what is paid for their masks, and XLM's model for it.

tokens or masked batches --MaskedDiffusion, around any encoder--> loss and bound ; logits, batch --DiffusionLoss--> loss
"""

from maskgen.train.diffusion.loss import DiffusionLoss, subs
from maskgen.train.diffusion.model import RotaryTransformerMLMModel
from maskgen.train.diffusion.objective import MaskedDiffusion
from maskgen.train.objectives.ready import positions_of

__all__ = [
    "DiffusionLoss",
    "MaskedDiffusion",
    "RotaryTransformerMLMModel",
    "positions_of",
    "subs",
]
