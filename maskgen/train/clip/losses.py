"""Contrastive losses, row by row: what each text is to all images, and each image to all texts.

latents of this rank, of all ranks --similarities--> [own, all] --contrastive_rows--> a loss a row

Exponentials are only taken in logsumexp, which subtracts the largest: similarities of any size have a loss.
"""

import torch
from torch import Tensor
from torch.nn import functional

NEVER = -1e30  # a similarity below every other, with gradients of 0


def coarse(texts: Tensor, images: Tensor) -> Tensor:
    """Similarities [X, Y] of one vector a text, [X, d], and one an image, [Y, d]."""
    return texts @ images.T


def text_to_image(texts: Tensor, images: Tensor, mask: Tensor) -> Tensor:
    """Similarities [X, Y], fine-grained: the mean over a text's tokens of that to the most similar patch.

    Texts are [X, t, d] with a mask [X, t], images [Y, i, d]. A text without tokens has the similarity 0.
    """
    best = torch.einsum("xtd,yid->xyti", texts, images).max(-1).values
    kept = mask.bool()[:, None]
    return best.masked_fill(~kept, 0.0).sum(-1) / kept.sum(-1).clamp(min=1)


def image_to_text(texts: Tensor, images: Tensor, mask: Tensor) -> Tensor:
    """Similarities [Y, X], fine-grained: the mean over an image's patches of that to the most similar token."""
    every = torch.einsum("xtd,yid->yxit", texts, images)
    kept = mask.bool()[None, :, None]
    best = every.masked_fill(~kept, NEVER).max(-1).values.mean(-1)
    return torch.where(mask.bool().any(1), best, 0.0)


def contrastive_rows(similarities: Tensor, first: int, decoupled: bool) -> Tensor:
    """The loss of each row of [n, N]: of row i against the column ``first + i``, which is its pair.

    `decoupled` leaves the pair out of the denominator. A row that has no other column then has nothing to learn: 0.
    """
    own = torch.arange(len(similarities), device=similarities.device)
    pairs = similarities[own, own + first]
    if not decoupled:
        return similarities.logsumexp(1) - pairs
    if similarities.shape[1] == 1:
        return pairs * 0.0
    is_pair = torch.zeros_like(similarities, dtype=torch.bool)
    is_pair[own, own + first] = True
    return similarities.masked_fill(is_pair, -torch.inf).logsumexp(1) - pairs


def right_rows(similarities: Tensor, first: int) -> Tensor:
    """How many rows are most similar to their pair."""
    own = torch.arange(len(similarities), device=similarities.device)
    return (similarities.detach().argmax(1) == own + first).sum()


def regularisation_rows(texts: tuple[Tensor, Tensor], images: tuple[Tensor, Tensor], first: int) -> Tensor:
    """How much similarities among texts differ from those among images: for each own row, the mean square.

    Both are pairs of own latents [n, d] and all latents [N, d].
    """
    differences = (texts[0] @ texts[1].T - images[0] @ images[1].T).square()
    own = torch.arange(len(differences), device=differences.device)
    kept = torch.ones_like(differences, dtype=torch.bool)
    kept[own, own + first] = False
    return differences.masked_fill(~kept, 0.0).sum(1) / max(1, differences.shape[1] - 1)


def pooled(latents: Tensor, mask: Tensor | None = None) -> Tensor:
    """One unit vector a row: the latent, or the mean of a row's latents, of those in the mask."""
    if latents.dim() == 2:
        return latents
    if mask is None:
        return functional.normalize(latents.mean(1), dim=-1)
    return functional.normalize(latents.masked_fill(~mask.bool()[..., None], 0.0).sum(1), dim=-1)
