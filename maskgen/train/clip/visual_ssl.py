"""What an image encoder learns of images alone: two views of an image are alike.

images --Augment--> two views --encoder--> representations --projector--> z (--predictor--> p)
SimSiam: p of one view as the other's z, which is a constant (arXiv 2011.10566)
SimCLR: z of one view closer to the other's than to those of other images (arXiv 2002.05709), of all ranks
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, normalize

from maskgen.train.clip.augment import Augment
from maskgen.train.clip.gather import gather, ranks_of
from maskgen.train.clip.losses import contrastive_rows
from maskgen.train.clip.vision import VisionTransformer
from maskgen.train.errors import TrainError
from maskgen.train.objectives.hidden import Layer, run
from maskgen.train.objectives.measured import in_full

View = Callable[..., Tensor]


class Standardised(nn.Module):
    """A batch norm with this batch's mean and deviation at all times: it has no statistics for ranks to disagree on."""

    def __init__(self, dim: int, *, affine: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim)) if affine else None
        self.bias = nn.Parameter(torch.zeros(dim)) if affine else None

    def forward(self, rows: Tensor) -> Tensor:
        """[B, dim] to the same."""
        full = in_full(rows)
        centred = full - full.mean(0)
        scaled = centred * (centred.square().mean(0) + 1e-5).rsqrt()
        return scaled if self.weight is None or self.bias is None else scaled * self.weight + self.bias


class Views(nn.Module):
    """The encoder, `net`, and a projector on the vectors of its output, or of the layer `hidden_layer`.

    `dim` is their width. Of an output [B, L, dim] `pool` takes the "first" vector or the "mean"; of [B, dim, H, W] it
    is the mean. The views are made by `augment_fn` and `augment_fn2`, by default an Augment.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        dim: int,
        hidden_layer: Layer = -1,
        pool: str = "first",
        augment_fn: View | None = None,
        augment_fn2: View | None = None,
    ) -> None:
        super().__init__()
        if pool not in ("first", "mean"):
            raise TrainError(f"pool {pool!r}; expected first or mean; name one")
        self.net, self.dim, self.hidden_layer, self.pool = net, dim, hidden_layer, pool
        self.augment_fn = Augment() if augment_fn is None else augment_fn
        self.augment_fn2 = self.augment_fn if augment_fn2 is None else augment_fn2

    def views(self, images: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Two views of each image; `generator` is for an Augment."""
        first, second = (
            view(images, generator) if isinstance(view, Augment) else view(images)
            for view in (self.augment_fn, self.augment_fn2)
        )
        return first, second

    def representation(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """[B, dim]."""
        inputs = {"generator": generator} if isinstance(self.net, VisionTransformer) else {}
        found = run(self.net, images, inputs, self.hidden_layer)
        if found.dim() == 4:
            found = found.mean((2, 3))
        if found.dim() == 3:
            found = found[:, 0] if self.pool == "first" else found.mean(1)
        if found.shape != (len(images), self.dim):
            raise TrainError(
                f"{type(self.net).__name__} represents {len(images)} images as {tuple(found.shape)}; expected "
                f"{(len(images), self.dim)}; correct dim, or hidden_layer"
            )
        return found


class SimSiam(Views):
    """The loss of images [B, C, H, W], from 0 to 8: 2 - 2 cosine(p, z), the sum of both ways."""

    def __init__(
        self,
        net: nn.Module,
        *,
        dim: int,
        projection_size: int = 256,
        projection_hidden_size: int = 4096,
        **others: Any,
    ) -> None:
        super().__init__(net, dim=dim, **others)
        hidden = projection_hidden_size
        self.projector = nn.Sequential(
            nn.Linear(dim, hidden, bias=False), Standardised(hidden), nn.ReLU(),
            nn.Linear(hidden, hidden, bias=False), Standardised(hidden), nn.ReLU(),
            nn.Linear(hidden, projection_size, bias=False), Standardised(projection_size, affine=False),
        )  # fmt: skip
        self.predictor = nn.Sequential(
            nn.Linear(projection_size, hidden, bias=False), Standardised(hidden), nn.ReLU(),
            nn.Linear(hidden, projection_size),
        )  # fmt: skip

    def forward(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """A mean over the images; those of other ranks are no part of it."""
        first, second = (self.projector(self.representation(view, generator)) for view in self.views(images, generator))
        ways = ((self.predictor(first), second), (self.predictor(second), first))
        losses = [2 - 2 * cosine_similarity(in_full(guess), in_full(goal).detach(), dim=-1) for guess, goal in ways]
        return torch.stack(losses).sum(0).mean()


class SimCLR(Views):
    """The loss NT-Xent of images [B, C, H, W]: which of the 2 N - 1 other views, of all ranks, is the same image's."""

    def __init__(
        self,
        net: nn.Module,
        *,
        dim: int,
        projection_size: int = 128,
        projection_hidden_size: int | None = None,
        temperature: float = 0.1,
        **others: Any,
    ) -> None:
        super().__init__(net, dim=dim, **others)
        if not temperature > 0:
            raise TrainError(f"a temperature of {temperature!r}; expected a number above 0; correct it")
        hidden = projection_hidden_size or dim
        self.temperature = temperature
        self.projector = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, projection_size))

    def forward(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """A mean over this rank's images, both ways."""
        own = [
            normalize(in_full(self.projector(self.representation(view, generator))), dim=-1)
            for view in self.views(images, generator)
        ]
        ranks = ranks_of(len(images), 0, images.device)
        every = [gather(vectors, ranks) for vectors in own]
        itself = torch.zeros(len(images), ranks.total, dtype=torch.bool, device=images.device)
        itself[:, ranks.first : ranks.first + len(images)].fill_diagonal_(True)
        losses = []
        for here, there in ((0, 1), (1, 0)):
            others = (own[here] @ every[here].T).masked_fill(itself, -torch.inf)
            similarities = torch.cat((own[here] @ every[there].T, others), dim=1) / self.temperature
            losses.append(contrastive_rows(similarities, ranks.first, False))
        return torch.stack(losses).mean()
