"""CLIP with the constructor and the forward options of x-clip.

texts, images --encoders--> encodings --projections--> latents --scale--> similarities
      latents of all ranks --contrastive losses of this rank's rows--> sums (+ MLM, visual SSL, regularisation) --> loss
"""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from maskgen.train.clip import encoding, losses, parts
from maskgen.train.clip.config import ClipConfig
from maskgen.train.clip.gather import mean_over_ranks, ranks_of, several, sum_over_ranks
from maskgen.train.clip.measuring import Latents, Views, contrast
from maskgen.train.clip.vision import VisionTransformer
from maskgen.train.clip.visual_ssl import SimCLR, SimSiam
from maskgen.train.errors import TrainError
from maskgen.train.objectives import Measured
from maskgen.train.objectives.hidden import tensor_of
from maskgen.train.objectives.ready import count

Aug = Tensor | Sequence[Tensor] | None


class CLIP(nn.Module):
    """Texts and images in one space. Options are the fields of ClipConfig, as keywords or as one `config`.

    `text_encoder` takes (text, mask=...) and returns vectors, [B, L, dim_text] or [B, dim_text]; an Encoder of
    maskgen.train.models is one. `image_encoder` takes images and returns vectors of dim_image. `visual_ssl` takes
    images and returns a mean loss. New weights are a function of the options and of `seed`.
    """

    def __init__(
        self,
        config: ClipConfig | None = None,
        *,
        image_encoder: nn.Module | None = None,
        text_encoder: nn.Module | None = None,
        visual_ssl: nn.Module | None = None,
        seed: int = 1234,
        **options: Any,
    ) -> None:
        super().__init__()
        if config is not None and options:
            raise TrainError(f"a config, and {', '.join(options)} beside it; expected one of both; put them into it")
        self.config = ClipConfig.from_json(options) if config is None else config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._build(image_encoder, text_encoder, visual_ssl)
        self.weights(multiview=False)

    def _build(self, image: nn.Module | None, text: nn.Module | None, visual_ssl: nn.Module | None) -> None:
        config = self.config
        own_ssl = config.use_visual_ssl and visual_ssl is None
        self.text_transformer = parts.text_encoder(config) if text is None else text
        self.visual_transformer = parts.image_encoder(config, own_ssl=own_ssl) if image is None else image
        self.text_leading = encoding.leading_vectors(self.text_transformer, config.text_has_cls_token)
        self.image_leading = encoding.leading_vectors(self.visual_transformer, config.visual_has_cls_token)
        self.to_text_latent: nn.Module = nn.Linear(config.dim_text, config.dim_latent, bias=False)
        self.to_visual_latent: nn.Module = (
            encoding.Downsample(config.dim_image, config.dim_latent)
            if config.downsample_image_embeds
            else nn.Linear(config.dim_image, config.dim_latent, bias=False)
        )
        extra = config.extra_latent_projection
        self.to_text_latent_extra = copy.deepcopy(self.to_text_latent) if extra else None
        self.to_visual_latent_extra = copy.deepcopy(self.to_visual_latent) if extra else None
        # One number in a vector: FSDP does not spread scalars.
        self.temperature = nn.Parameter(torch.full((1,), math.log(config.initial_scale)))
        self.mlm = parts.masked_lm(config, self.text_transformer, self.text_leading) if config.use_mlm else None
        self.visual_ssl = visual_ssl
        if own_ssl:
            self.visual_ssl = parts.visual_ssl(config, self.visual_transformer, self.image_leading)

    @property
    def scale(self) -> Tensor:
        """What similarities are multiplied by: exp(temperature), at most `largest_scale`, where gradients stay."""
        above = (self.temperature - math.log(self.config.largest_scale)).clamp(min=0)
        return (self.temperature - above.detach()).exp()

    def weights(self, *, multiview: bool = False) -> dict[str, float]:
        """What each mean counts in the loss; the contrastive one what the others leave of 1, but for regularisation."""
        config = self.config
        others = {}
        if multiview:
            if not config.multiview_loss_weight:
                raise TrainError("views of texts or images with multiview_loss_weight 0; expected more; raise it")
            others["multiview"] = config.multiview_loss_weight
        if self.mlm is not None:
            others["mlm"] = config.text_ssl_loss_weight
        if self.visual_ssl is not None:
            others["visual_ssl"] = config.image_ssl_loss_weight
        rest = 1 - sum(others.values())
        if rest <= 0:
            found = ", ".join(f"{name} {weight}" for name, weight in others.items())
            raise TrainError(f"weights of {found}; expected less than 1 together, for a contrastive loss; lower some")
        regularisation = {"regularisation": config.sim_reg_loss_weight} if config.sim_reg_loss_weight else {}
        return {"contrastive": rest, **others, **regularisation}

    def text_mask(self, text: Tensor) -> Tensor:
        """True where there are tokens."""
        return text != self.config.text_pad_id

    def encode_text(self, text: Tensor, mask: Tensor | None = None, *, frozen: bool = False) -> Tensor:
        """Vectors of texts as their encoder returns them; `frozen`: without gradients, as in evaluation."""
        if self.config.text_encode_without_mask:
            mask = None
        elif mask is None:
            mask = self.text_mask(text)
        encoder = self.text_transformer
        with encoding.maybe_frozen(encoder, frozen):
            return tensor_of(encoder(text, **encoding.text_inputs(encoder, mask)), encoder)

    def encode_image(
        self,
        images: Tensor,
        *,
        frozen: bool = False,
        keep_all_patches: bool = False,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Vectors of images as their encoder returns them; the last two options are for a VisionTransformer."""
        encoder, options = self.visual_transformer, {}
        if isinstance(encoder, VisionTransformer):
            options = {"keep_all_patches": keep_all_patches, "generator": generator}
        with encoding.maybe_frozen(encoder, frozen):
            return tensor_of(encoder(images, **options), encoder)

    def latents(self, encoded_text: Tensor, encoded_image: Tensor, text: Tensor, mask: Tensor) -> Latents:
        """Unit vectors of what the encoders gave; `text` and `mask` say where texts end."""
        if self.config.use_all_token_embeds:
            texts = encoding.each_vector(encoded_text, self.text_leading, "text")
            images = encoding.each_vector(encoded_image, self.image_leading, "image")
        elif self.config.text_causal_mask and encoded_text.dim() == 3 and self.config.text_eos_id is not None:
            texts = encoding.eos_vector(encoded_text[:, self.text_leading :], text, mask, self.config.text_eos_id)
            images = encoding.one_vector(encoded_image)
        else:
            texts, images = encoding.one_vector(encoded_text), encoding.one_vector(encoded_image)
        found = encoding.unit(self.to_text_latent(texts)), encoding.unit(self.to_visual_latent(images))
        if self.to_text_latent_extra is None or self.to_visual_latent_extra is None:
            return Latents(*found, *found)
        return Latents(
            *found, encoding.unit(self.to_text_latent_extra(texts)), encoding.unit(self.to_visual_latent_extra(images))
        )

    @torch.no_grad()
    def similarities(self, text: Tensor, images: Tensor, *, text_to_image: bool = True) -> Tensor:
        """Of every text with every image, [texts, images], without the scale: what retrieval ranks by."""
        mask = self.text_mask(text)
        found = self.latents(self.encode_text(text, mask), self.encode_image(images, keep_all_patches=True), text, mask)
        if not found.fine:
            texts, pictures = found[:2] if text_to_image else found[2:]
            return losses.coarse(texts, pictures)
        if text_to_image:
            return losses.text_to_image(found.texts, found.images, mask)
        return losses.image_to_text(found.texts_extra, found.images_extra, mask).T

    def counts(self, text: Tensor, mask: Tensor | None = None, *, multiview: bool = False) -> dict[str, Tensor]:
        """What the sums of `measure` are divided by, for texts before augmentation; no pass is needed."""
        rows = {name: count(len(text), text) for name in self.weights(multiview=multiview)}
        if self.mlm is not None:
            rows["mlm"] = self.mlm.masking.masked_counts(self._only_tokens(text, mask)).sum()
        return rows

    def _only_tokens(self, text: Tensor, mask: Tensor | None) -> Tensor:
        return text if mask is None else text.masked_fill(~mask.bool(), self.config.text_pad_id)

    def measure(
        self,
        text: Tensor,
        images: Tensor,
        *,
        text_mask: Tensor | None = None,
        freeze_image_encoder: bool = False,
        freeze_text_encoder: bool = False,
        aug_text: Aug = None,
        aug_image: Aug = None,
        keep_all_patches: bool = False,
        generator: torch.Generator | None = None,
    ) -> Measured:
        """Sums of the losses of this rank's pairs among those of all ranks, which all have to be here.

        `generator`, on the device of the tokens, draws masks, views and the patches that are kept.
        """
        if len(text) != len(images):
            raise TrainError(f"{len(text)} texts and {len(images)} images; expected pairs; pass as many of both")
        self.check_frozen(freeze_text_encoder, freeze_image_encoder)
        mask = self.text_mask(text) if text_mask is None else text_mask.bool()
        more_texts, more_images = _views(aug_text, text, "aug_text"), _views(aug_image, images, "aug_image")
        all_texts, all_images = torch.cat((text, *more_texts)), torch.cat((images, *more_images))
        all_masks = torch.cat((mask, *(self.text_mask(each) for each in more_texts)))
        sums: dict[str, Tensor] = {}
        figures: dict[str, Tensor] = {}
        if self.mlm is not None:
            batch = self.mlm.masked(self._only_tokens(text, mask), generator)
            inputs = {} if self.config.text_encode_without_mask else encoding.text_inputs(self.text_transformer, mask)
            own = self.mlm.measure(batch, **inputs)
            sums |= own.sums
            figures |= own.figures
        if self.visual_ssl is not None:
            options = {"generator": generator} if isinstance(self.visual_ssl, (SimSiam, SimCLR)) else {}
            sums["visual_ssl"] = self.visual_ssl(images, **options) * len(images)
        encoded_text = self.encode_text(all_texts, all_masks, frozen=freeze_text_encoder)
        encoded_image = self.encode_image(
            all_images, frozen=freeze_image_encoder, keep_all_patches=keep_all_patches, generator=generator
        )
        latents = self.latents(encoded_text, encoded_image, all_texts, all_masks)
        found = contrast(
            Views(latents, all_masks, 1 + len(more_texts), 1 + len(more_images)),
            self.scale,
            ranks_of(len(text), text.shape[1], latents.texts.device),
            decoupled=self.config.decoupled_contrastive_learning,
            regularised=self.config.sim_reg_loss_weight > 0,
        )
        return Measured(found.sums | sums, found.figures | figures)

    def forward(
        self,
        text: Tensor,
        image: Tensor,
        *,
        text_mask: Tensor | None = None,
        return_loss: bool = False,
        return_encodings: bool = False,
        return_latents: bool = False,
        text_to_image: bool = True,
        freeze_image_encoder: bool = False,
        freeze_text_encoder: bool = False,
        aug_text: Aug = None,
        aug_image: Aug = None,
        keep_all_patches: bool = False,
        generator: torch.Generator | None = None,
    ) -> Any:
        """The loss; or encodings, latents, or by default similarities of each text with its image, times the scale.

        Similarities are [B], fine-grained [B, tokens, patches]. With several ranks the loss is that of all their
        pairs, on each of them; its gradients are this rank's part, such that their mean over ranks (DDP) is right.
        """
        frozen = {"freeze_image_encoder": freeze_image_encoder, "freeze_text_encoder": freeze_text_encoder}
        several_views = aug_text is not None or aug_image is not None
        if return_loss + return_encodings + return_latents > 1 or (several_views and not return_loss):
            raise TrainError(
                "more than one of return_loss, return_encodings, return_latents, or views without return_loss; "
                "expected one of these, and views with the loss; leave the others out"
            )
        if return_loss:
            found = self.measure(
                text, image, text_mask=text_mask, aug_text=aug_text, aug_image=aug_image,
                keep_all_patches=keep_all_patches, generator=generator, **frozen,
            )  # fmt: skip
            totals = sum_over_ranks(self.counts(text, text_mask, multiview=several_views))
            loss = found.loss(self.weights(multiview=several_views), totals)
            return mean_over_ranks(loss * torch.distributed.get_world_size()) if several() else loss
        mask = self.text_mask(text) if text_mask is None else text_mask.bool()
        encoded_text = self.encode_text(text, mask, frozen=freeze_text_encoder)
        encoded_image = self.encode_image(
            image, frozen=freeze_image_encoder, keep_all_patches=keep_all_patches, generator=generator
        )
        if return_encodings:
            return encoded_text, encoded_image
        latents = self.latents(encoded_text, encoded_image, text, mask)
        if return_latents:
            return tuple(latents) if self.config.extra_latent_projection else tuple(latents[:2])
        texts, images = latents[:2] if text_to_image else latents[2:]
        pairs = torch.einsum("btd,bid->bti", texts, images) if latents.fine else (texts * images).sum(-1)
        return pairs * self.scale

    def check_frozen(self, text: bool, image: bool) -> None:
        """Raise where a frozen encoder has a loss of its own."""
        for frozen, learns, what, option in (
            (text, self.mlm, "text", "use_mlm"),
            (image, self.visual_ssl, "image", "visual SSL"),
        ):
            if frozen and learns is not None:
                raise TrainError(
                    f"a frozen {what} encoder with {option}, which trains it; expected one of both; leave out "
                    f"{option}, or freeze_{what}_encoder"
                )


def _views(given: Aug, like: Tensor, name: str) -> list[Tensor]:
    """More views of a batch, each of its shape."""
    views = [] if given is None else [given] if isinstance(given, Tensor) else list(given)
    for view in views:
        if view.shape != like.shape:
            raise TrainError(f"{name} of the shape {tuple(view.shape)}; expected {tuple(like.shape)}, that of the "
                             "batch; pass several views as a list")  # fmt: skip
    return views
