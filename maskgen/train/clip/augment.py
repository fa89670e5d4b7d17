"""Random views of images, on the device they are on, drawn from one generator.

images [B, C, H, W] in 0..1 --crop and resize, flip--colours, grey--blur--> another view of each, of the same shape
"""

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from maskgen.train.errors import TrainError

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601
# Brightness and two axes of colour, around which hues turn.
TO_YIQ = (GREY, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Changes of a view: `flip`, `colour`, `grey` and `blur` are how often each is made.

    A crop has at least `smallest` of the area, and sides of 3:4 to 4:3. Brightness and contrast change by up to
    `strength`, saturation by half and hue by an eighth (of a turn) of that. Images that have not three channels keep
    their hue, saturation and grey.
    """

    smallest: float = 0.2
    flip: float = 0.5
    colour: float = 0.8
    strength: float = 0.4
    grey: float = 0.2
    blur: float = 0.2

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= 1 or (field.name == "smallest" and not value):
                raise TrainError(f"{field.name} of views is {value!r}; expected a share from 0 to 1; correct it")

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A view of each image; always as many draws, so that rows do not depend on one another's luck."""
        draws = torch.rand(13, len(images), 1, 1, 1, generator=generator, device=images.device, dtype=images.dtype)
        view = self._crop(images, draws[:5].flatten(1))
        low, high = 1 - self.strength, 1 + self.strength
        changed = view * (low + (high - low) * draws[5])
        mean = luminance(changed).mean((1, 2, 3), keepdim=True)
        changed = mean + (changed - mean) * (low + (high - low) * draws[6])
        if images.shape[1] == 3:
            grey = luminance(changed)
            changed = grey + (changed - grey) * (1 + self.strength * (draws[7] - 0.5))
            changed = turn_hue(changed, (draws[8] - 0.5) * self.strength * math.pi / 2)
        view = torch.where(draws[9] < self.colour, changed.clamp(0, 1), view)
        if images.shape[1] == 3:
            view = torch.where(draws[10] < self.grey, luminance(view), view)
        return torch.where(draws[11] < self.blur, blurred(view, 0.1 + 1.9 * draws[12]), view)

    def _crop(self, images: Tensor, draws: Tensor) -> Tensor:
        area = self.smallest + (1 - self.smallest) * draws[0]
        ratio = torch.exp((2 * draws[1] - 1) * math.log(4 / 3))
        width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
        across, down = (1 - width) * (2 * draws[2] - 1), (1 - height) * (2 * draws[3] - 1)
        flipped = torch.where(draws[4] < self.flip, -width, width)
        none = torch.zeros_like(width)
        change = torch.stack((flipped, none, across, none, height, down), dim=1).view(-1, 2, 3)
        grid = affine_grid(change, list(images.shape), align_corners=False)
        return grid_sample(images, grid, padding_mode="border", align_corners=False)


def luminance(images: Tensor) -> Tensor:
    """[B, C, H, W] to [B, 1, H, W]."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    return (images * images.new_tensor(GREY).view(3, 1, 1)).sum(1, keepdim=True)


def turn_hue(images: Tensor, angles: Tensor) -> Tensor:
    """Colours [B, 3, H, W] turned by angles [B, 1, 1, 1] around the grey ones."""
    to_yiq = images.new_tensor(TO_YIQ)
    y, i, q = torch.einsum("kc,bchw->kbhw", to_yiq, images)
    cosine, sine = angles[:, 0].cos(), angles[:, 0].sin()
    turned = torch.stack((y, i * cosine - q * sine, i * sine + q * cosine))
    return torch.einsum("ck,kbhw->bchw", torch.linalg.inv(to_yiq), turned)


def blurred(images: Tensor, deviations: Tensor) -> Tensor:
    """A Gaussian of 3 x 3 pixels with deviations [B, 1, 1, 1]."""
    side = torch.exp(-0.5 / deviations.square())
    beside, middle = side / (1 + 2 * side), 1 / (1 + 2 * side)
    wide = pad(images, (1, 1, 1, 1), mode="replicate")
    wide = beside * (wide[..., :-2] + wide[..., 2:]) + middle * wide[..., 1:-1]
    return beside * (wide[..., :-2, :] + wide[..., 2:, :]) + middle * wide[..., 1:-1, :]
