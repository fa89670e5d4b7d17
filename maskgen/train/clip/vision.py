"""The vision transformer: images to vectors of patches, half of which are left out in training.

images [B, C, H, W] --patches, linear, + learned positions--> [B, N, dim] --patch dropout--> Transformer
                    --> [linear of the mean | patches]  [B, 1 + N, dim]
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from maskgen.train.clip.blocks import Transformer
from maskgen.train.errors import TrainError


def check_images(images: Any, size: int, channels: int) -> None:
    """Raise unless these are images as the vision transformer takes them."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        found = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TrainError(f"images are {found}; expected floats from 0 to 1; divide bytes by 255")
    if images.dim() != 4 or images.shape[1:] != (channels, size, size):
        raise TrainError(
            f"images of the shape {tuple(images.shape)}; expected [B, {channels}, {size}, {size}]; resize them, or "
            "correct visual_image_size and channels"
        )


def patches(images: Tensor, size: int) -> Tensor:
    """[B, C, H, W] to [B, H / size * W / size, size * size * C], row by row; channels vary fastest."""
    batch, channels, height, width = images.shape
    cut = images.reshape(batch, channels, height // size, size, width // size, size)
    return cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def patch_dropout(hidden: Tensor, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Of n patches, max(1, int(n * (1 - share))) of each row, in random order, every set of them equally likely."""
    rows, number, _ = hidden.shape
    kept = max(1, int(number * (1 - share)))
    keys = torch.rand(rows, number, generator=generator, device=hidden.device)
    chosen = keys.topk(kept, dim=1).indices
    return hidden.gather(1, chosen[..., None].expand(-1, -1, hidden.shape[2]))


class VisionTransformer(nn.Module):
    """Images [B, channels, image_size, image_size] to vectors [B, 1 + patches, dim], the first from the mean of others.

    In training `patch_dropout` of the patches are left out. `cls_token` False leaves out the first vector. `others` are
    those of Transformer.
    """

    def __init__(
        self,
        dim: int,
        *,
        image_size: int,
        patch_size: int,
        channels: int = 3,
        patch_dropout: float = 0.5,
        cls_token: bool = True,
        **others: Any,
    ) -> None:
        super().__init__()
        for name, value in (("image_size", image_size), ("patch_size", patch_size), ("channels", channels)):
            if type(value) is not int or value < 1:
                raise TrainError(f"images with {name} {value!r}; expected a whole number from 1 on; correct it")
        if image_size % patch_size:
            raise TrainError(
                f"patches of {patch_size} in images of {image_size}; expected a divisor; correct visual_patch_size"
            )
        if not 0 <= patch_dropout < 1:
            raise TrainError(f"patch dropout {patch_dropout!r}; expected a share from 0 to below 1; correct it")
        self.image_size, self.patch_size, self.channels = image_size, patch_size, channels
        self.patch_dropout = patch_dropout
        self.patch_emb = nn.Linear(channels * patch_size**2, dim, bias=False)
        self.pos_emb = nn.Embedding((image_size // patch_size) ** 2, dim)
        self.transformer = Transformer(dim, **others)
        self.to_cls = nn.Linear(dim, dim, bias=False) if cls_token else None

    @property
    def leading(self) -> int:
        """How many vectors come before those of the patches."""
        return 0 if self.to_cls is None else 1

    def forward(
        self, images: Tensor, *, keep_all_patches: bool = False, generator: torch.Generator | None = None
    ) -> Tensor:
        """`generator` draws the patches that are kept, on the images' device."""
        check_images(images, self.image_size, self.channels)
        hidden = self.patch_emb(patches(images, self.patch_size)) + self.pos_emb.weight
        if self.training and self.patch_dropout and not keep_all_patches:
            hidden = patch_dropout(hidden, self.patch_dropout, generator)
        hidden = self.transformer(hidden)
        if self.to_cls is None:
            return cast(Tensor, hidden)
        return torch.cat((self.to_cls(hidden.mean(1, keepdim=True)), hidden), dim=1)
