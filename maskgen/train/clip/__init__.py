"""Texts and images in one space: x-clip's CLIP with its transformers, losses and options.

ids [B, L] --TextTransformer--.                     .--> similarities, latents, encodings
                               CLIP --latents-------+
images [B, C, H, W] --VisionTransformer--'          '--losses (+ MLM, visual SSL, views)--> ClipObjective for the loop
"""

from maskgen.train.clip.augment import Augment
from maskgen.train.clip.config import ClipConfig
from maskgen.train.clip.model import CLIP
from maskgen.train.clip.objective import ClipObjective
from maskgen.train.clip.saved import load_clip, save_clip
from maskgen.train.clip.text import TextTransformer
from maskgen.train.clip.vision import VisionTransformer
from maskgen.train.clip.visual_ssl import SimCLR, SimSiam

__all__ = [
    "CLIP",
    "Augment",
    "ClipConfig",
    "ClipObjective",
    "SimCLR",
    "SimSiam",
    "TextTransformer",
    "VisionTransformer",
    "load_clip",
    "save_clip",
]
