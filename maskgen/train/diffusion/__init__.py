"""Masked diffusion: rows at random noise levels, what is paid for their masks, and XLM's model for it.

tokens or masked batches --MaskedDiffusion, around any encoder--> loss and bound ; logits, batch --DiffusionLoss--> loss
"""

from maskgen.train.diffusion.loss import DiffusionLoss, subs
from maskgen.train.diffusion.model import RotaryTransformerMLMModel
from maskgen.train.diffusion.objective import MaskedDiffusion
from maskgen.train.diffusion.weights import Noise, noise_of
from maskgen.train.objectives.ready import positions_of
from maskgen.train.settings import WEIGHTINGS

__all__ = [
    "WEIGHTINGS",
    "DiffusionLoss",
    "MaskedDiffusion",
    "Noise",
    "RotaryTransformerMLMModel",
    "noise_of",
    "positions_of",
    "subs",
]
