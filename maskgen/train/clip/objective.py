"""CLIP as an objective of the training loop: counts, sums, weights, figures.

batch: text [B, L], padding_mask [B, L], images [B, C, H, W] in 0..1 (, aug_text [V, B, L], aug_images [V, B, C, H, W])
       --ClipObjective--> Measured of this rank's pairs among those of all ranks

Each pair is told from all others of a step, so the loss of a batch is not that of its parts: a step has one forward
pass, over one micro-batch. `check_micro_batches` refuses more; activation checkpointing is what saves memory instead.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from maskgen.train.clip.augment import Augment
from maskgen.train.clip.model import CLIP
from maskgen.train.errors import TrainError
from maskgen.train.objectives.measured import Measured, ratio


class ClipObjective(nn.Module):
    """The losses of a CLIP for batches of the training loop.

    Each batch has `text_views` more views of its texts (`aug_text`), and `image_views` more of its images: those in
    `aug_images`, or what `augment` makes. Frozen encoders have no gradients, and are not for optimizers.
    """

    def __init__(
        self,
        clip: CLIP,
        *,
        text_views: int = 0,
        image_views: int = 0,
        augment: Augment | None = None,
        freeze_text_encoder: bool = False,
        freeze_image_encoder: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("text_views", text_views), ("image_views", image_views)):
            if type(value) is not int or value < 0:
                raise TrainError(f"{name} is {value!r}; expected how many, from 0 on; correct it")
        self.clip, self.text_views, self.image_views = clip, text_views, image_views
        self.augment = Augment() if augment is None else augment
        self.freeze_text_encoder, self.freeze_image_encoder = freeze_text_encoder, freeze_image_encoder
        clip.check_frozen(freeze_text_encoder, freeze_image_encoder)
        for encoder, frozen in (
            (clip.text_transformer, freeze_text_encoder),
            (clip.visual_transformer, freeze_image_encoder),
        ):
            if frozen:
                encoder.requires_grad_(False)
        self._weights = clip.weights(multiview=text_views + image_views > 0)

    @property
    def weights(self) -> dict[str, float]:
        """What each term counts in the loss."""
        return self._weights

    @staticmethod
    def check_micro_batches(number: int) -> None:
        """Raise where a step is to have more than one."""
        if number > 1:
            raise TrainError(
                f"{number} micro-batches a step with the objective clip; expected 1, since each pair is told from all "
                "others of the step; lower the batch size, take more ranks, or save memory with "
                "checkpoint_during_training"
            )

    def counts(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """What the sums of `measure` are divided by; no forward pass is needed."""
        self._check(batch)
        return self.clip.counts(
            batch["text"], batch.get("padding_mask"), multiview=self.text_views + self.image_views > 0
        )

    def measure(self, batch: Mapping[str, Any], generator: torch.Generator | None = None) -> Measured:
        """Sums of losses and of pairs that are found; `generator` draws views, masks and the patches that are kept."""
        self._check(batch)
        images = batch["images"]
        if "aug_images" in batch:
            more_images = list(batch["aug_images"])
        else:
            more_images = [self.augment(images, generator) for _ in range(self.image_views)]
        return self.clip.measure(
            batch["text"],
            images,
            text_mask=batch.get("padding_mask"),
            aug_text=list(batch["aug_text"]) if self.text_views else None,
            aug_image=more_images or None,
            freeze_text_encoder=self.freeze_text_encoder,
            freeze_image_encoder=self.freeze_image_encoder,
            generator=generator,
        )

    def forward(self, batch: Mapping[str, Any], *, generator: torch.Generator | None = None) -> Tensor:
        """The mean loss of one process's batch."""
        return self.measure(batch, generator).loss(self.weights, self.counts(batch))

    def summary(self, figures: Mapping[str, Tensor], counts: Mapping[str, Tensor]) -> dict[str, float]:
        """What to report, of figures and counts that were added up: how often a pair is found in its batch."""
        shown = {
            "text_to_image_accuracy": ratio(figures["text_to_image_right"], counts["contrastive"]),
            "image_to_text_accuracy": ratio(figures["image_to_text_right"], counts["contrastive"]),
        }
        if "mlm_correct" in figures:
            shown["mlm_accuracy"] = ratio(figures["mlm_correct"], figures["mlm_places"])
        return shown

    def _check(self, batch: Mapping[str, Any]) -> None:
        lacking = [name for name in ("text", "images") if name not in batch]
        if lacking:
            found = ", ".join(map(str, batch)) or "nothing"
            raise TrainError(f"a batch with {found}; expected text and images; pass pairs (maskgen tokenize --images)")
        for name, own, wanted in (
            ("aug_text", batch.get("aug_text"), self.text_views),
            ("aug_images", batch.get("aug_images"), self.image_views),
        ):
            views = 0 if own is None else len(own)
            if views != wanted and not (own is None and name == "aug_images"):
                raise TrainError(
                    f"a batch with {views} views in {name}; expected {wanted}; pass as many, or correct "
                    f"{'text_views' if name == 'aug_text' else 'image_views'}"
                )
