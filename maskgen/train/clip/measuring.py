"""The sums of a batch's losses: of this rank's rows against those of all ranks, so that their sum is the whole batch's.

latents of each view --gather--> latents of all ranks --similarities--> rows --> contrastive, multiview, regularisation
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from maskgen.train.clip import losses
from maskgen.train.clip.gather import Ranks, gather
from maskgen.train.objectives.measured import Measured


class Latents(NamedTuple):
    """Unit vectors of texts and images: [B, dim], or fine-grained [B, tokens, dim] and [B, patches, dim].

    The last two are for the way from images to texts; without an extra projection they are the first two.
    """

    texts: Tensor
    images: Tensor
    texts_extra: Tensor
    images_extra: Tensor

    @property
    def fine(self) -> bool:
        """Whether there is more than one vector a row."""
        return self.texts.dim() == 3


class Views(NamedTuple):
    """Latents of all views of this rank's texts, one after the other, and images; `mask` is that of the texts."""

    latents: Latents
    mask: Tensor
    texts: int
    images: int


def _by_view(rows: Tensor, views: int) -> Tensor:
    return rows.view(views, len(rows) // views, *rows.shape[1:])


def _of_all(own: Tensor, ranks: Ranks, longest: int | None = None) -> Tensor:
    """[views, n, ...] to [views, N, ...]; `longest` is what to pad tokens to."""
    if longest is not None:
        own = pad(own, (0, 0) * (own.dim() - 3) + (0, longest - own.shape[2]))
    return gather(own.transpose(0, 1), ranks).transpose(0, 1)


def contrast(views: Views, scale: Tensor, ranks: Ranks, *, decoupled: bool, regularised: bool) -> Measured:
    """Sums over this rank's rows, and how many texts and images find their pairs."""
    latents = views.latents
    fine, first, longest = latents.fine, ranks.first, ranks.longest if latents.fine else None
    texts, texts_extra, masks = (
        _by_view(each, views.texts) for each in (latents.texts, latents.texts_extra, views.mask)
    )
    images, images_extra = (_by_view(each, views.images) for each in (latents.images, latents.images_extra))
    every_image = _of_all(images, ranks)
    every_text = _of_all(texts_extra, ranks, longest)
    every_mask = _of_all(masks.to(torch.uint8), ranks, longest).bool() if fine else masks

    sums: list[Tensor] = []
    figures: dict[str, Tensor] = {}
    for text in range(views.texts):
        for image in range(views.images):
            if fine:
                there = losses.text_to_image(texts[text], every_image[image], masks[text])
                back = losses.image_to_text(every_text[text], images_extra[image], every_mask[text])
            else:
                there = losses.coarse(texts[text], every_image[image])
                back = losses.coarse(images_extra[image], every_text[text])
            rows = [losses.contrastive_rows(each * scale, first, decoupled) for each in (there, back)]
            sums.append(torch.stack(rows).sum() / 2)
            if not figures:
                figures = {
                    "text_to_image_right": losses.right_rows(there, first),
                    "image_to_text_right": losses.right_rows(back, first),
                }
    found = {"contrastive": sums[0]}
    if len(sums) > 1:
        found["multiview"] = torch.stack(sums[1:]).mean()
    if regularised:
        found["regularisation"] = _regularisation(latents, views, ranks)
    return Measured(found, figures)


def _regularisation(latents: Latents, views: Views, ranks: Ranks) -> Tensor:
    """Of the first view of both; the mean over the two pairs of projections, where there is an extra one."""
    rows = ranks.sizes[ranks.rank]
    mask = views.mask[:rows] if latents.fine else None
    pairs = [(latents.texts, latents.images)]
    if latents.texts_extra is not latents.texts:
        pairs.append((latents.texts_extra, latents.images_extra))
    found = []
    for texts, images in pairs:
        own = losses.pooled(texts[:rows], mask), losses.pooled(images[:rows])
        every = [gather(each, ranks) for each in own]
        found.append(losses.regularisation_rows((own[0], every[0]), (own[1], every[1]), ranks.first).sum())
    return torch.stack(found).mean()
