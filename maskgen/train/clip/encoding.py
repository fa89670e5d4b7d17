"""From what encoders return to latents: which vectors stand for a text or an image, and where they are in one space.

vectors [B, L, dim] or [B, dim] --coarse: one a row; fine-grained: those of tokens or patches--> linear --> unit latents
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from maskgen.train.clip.text import TextTransformer
from maskgen.train.clip.vision import VisionTransformer
from maskgen.train.errors import TrainError
from maskgen.train.models.encoders import Encoder
from maskgen.train.objectives.measured import in_full


@contextmanager
def maybe_frozen(module: nn.Module, frozen: bool) -> Iterator[None]:
    """Where `frozen`: without gradients, and as in evaluation, so that what is not trained says the same each time."""
    if not frozen:
        yield
        return
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part in training:
            part.training = True


def text_inputs(encoder: nn.Module, mask: Tensor | None) -> dict[str, Any]:
    """The mask by the name that the encoder has for it: `mask`, or `padding_mask` for one of maskgen.train.models."""
    if mask is None:
        return {}
    return {"padding_mask" if isinstance(encoder, Encoder) else "mask": mask}


def leading_vectors(encoder: nn.Module, has_cls_token: bool) -> int:
    """How many vectors an encoder puts before those of tokens or patches."""
    if isinstance(encoder, (TextTransformer, VisionTransformer)):
        return encoder.leading
    return 0 if isinstance(encoder, Encoder) else int(has_cls_token)


def one_vector(vectors: Tensor) -> Tensor:
    """What stands for a row where it is to be one vector: the only one, or the first."""
    return vectors[:, 0] if vectors.dim() == 3 else vectors


def eos_vector(vectors: Tensor, text: Tensor, mask: Tensor, eos_id: int) -> Tensor:
    """The vector at the first end-of-text of each row, which has seen all of it; at the last token where none is."""
    ends, places = text == eos_id, torch.arange(text.shape[1], device=text.device)
    last = torch.where(mask.bool(), places, 0).amax(1)
    chosen = torch.where(ends.any(1), ends.int().argmax(1), last)
    return vectors[torch.arange(len(text), device=text.device), chosen]


def each_vector(vectors: Tensor, leading: int, what: str) -> Tensor:
    """The vectors of tokens or patches."""
    if vectors.dim() != 3:
        raise TrainError(
            f"use_all_token_embeds, and a {what} encoder that returns {tuple(vectors.shape)}; expected a vector "
            "a token or patch, [B, L, dim]; pass another encoder, or leave it out"
        )
    return vectors[:, leading:]


def unit(vectors: Tensor) -> Tensor:
    """Of length 1, in float32."""
    return functional.normalize(in_full(vectors), dim=-1)


class Downsample(nn.Module):
    """Patches [B, h * h, dim] to a quarter of them, [B, (h / 2)^2, dim_latent]."""

    def __init__(self, dim: int, dim_latent: int) -> None:
        super().__init__()
        self.halve = nn.Conv2d(dim, dim, 4, stride=2, padding=1, bias=False, groups=dim)
        self.project = nn.Conv2d(dim, dim_latent, 1, bias=False)

    def forward(self, patches: Tensor) -> Tensor:
        """The patches are those of a square, row by row."""
        side = round(patches.shape[1] ** 0.5)
        if side * side != patches.shape[1] or side < 2:
            raise TrainError(
                f"downsample_image_embeds with {patches.shape[1]} patches; expected those of a square of 2 x 2 or "
                "more; correct visual_patch_size, or visual_has_cls_token of the encoder"
            )
        square = patches.transpose(1, 2).reshape(len(patches), -1, side, side)
        result: Tensor = self.project(self.halve(square)).flatten(2).transpose(1, 2)
        return result
