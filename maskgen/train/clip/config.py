"""The options of a CLIP, with the names that x-clip has; checked together before anything is built.

options | JSON --> ClipConfig --> CLIP(config), and into checkpoints by to_json
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maskgen.train.errors import TrainError

SSL_TYPES = ("simsiam", "simclr")


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """All options that are no modules; see docs/clip.md for what each does."""

    dim_text: int = 512
    dim_image: int = 512
    dim_latent: int = 512
    num_text_tokens: int = 10_000
    text_enc_depth: int = 6
    text_seq_len: int = 256
    text_heads: int = 8
    text_dim_head: int = 64
    text_has_cls_token: bool = True
    text_pad_id: int = 0
    text_rotary_pos_emb: bool = False
    text_causal_mask: bool = False
    text_eos_id: int | None = None
    text_encode_without_mask: bool = False
    visual_enc_depth: int = 6
    visual_heads: int = 8
    visual_dim_head: int = 64
    visual_image_size: int = 256
    visual_patch_size: int = 32
    visual_patch_dropout: float = 0.5
    visual_has_cls_token: bool = True
    channels: int = 3
    use_all_token_embeds: bool = False
    downsample_image_embeds: bool = False
    decoupled_contrastive_learning: bool = False
    extra_latent_projection: bool = False
    use_mlm: bool = False
    text_ssl_loss_weight: float = 0.05
    mlm_mask_token_id: int | None = None
    mlm_mask_prob: float = 0.15
    mlm_replace_prob: float = 0.9
    mlm_random_token_prob: float = 0.0
    mlm_mask_ignore_token_ids: tuple[int, ...] = ()
    use_visual_ssl: bool = False
    visual_ssl_type: str = "simsiam"
    visual_ssl_hidden_layer: int | str = -1
    visual_ssl_projection_size: int = 256
    visual_ssl_projection_hidden_size: int = 4096
    simclr_temperature: float = 0.1
    image_ssl_loss_weight: float = 0.05
    multiview_loss_weight: float = 0.1
    sim_reg_loss_weight: float = 0.0
    checkpoint_during_training: bool = False
    initial_scale: float = math.e
    largest_scale: float = 100.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "mlm_mask_ignore_token_ids", tuple(self.mlm_mask_ignore_token_ids))
        for name in ("dim_text", "dim_image", "dim_latent", "num_text_tokens", "visual_ssl_projection_size",
                     "visual_ssl_projection_hidden_size"):  # fmt: skip
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise TrainError(f"{name} is {getattr(self, name)!r}; expected a whole number from 1 on; correct it")
        for name in ("text_ssl_loss_weight", "image_ssl_loss_weight", "multiview_loss_weight", "sim_reg_loss_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise TrainError(f"{name} is {getattr(self, name)!r}; expected a number from 0 on; correct it")
        if not self.simclr_temperature > 0 or not 0 < self.initial_scale <= self.largest_scale < math.inf:
            raise TrainError(
                f"simclr_temperature {self.simclr_temperature}, initial_scale {self.initial_scale}, largest_scale "
                f"{self.largest_scale}; expected numbers above 0, and no initial scale above the largest; correct them"
            )
        self._check_texts()
        self._check_images()

    def _check_texts(self) -> None:
        if self.use_mlm and self.mlm_mask_token_id is None:
            raise TrainError(
                "use_mlm without mlm_mask_token_id; expected the id of [MASK], which no text has; pass that of the "
                "tokenizer"
            )
        if self.text_causal_mask and self.text_eos_id is None:
            raise TrainError(
                "text_causal_mask without text_eos_id; expected the id at the end of each text, whose vector has seen "
                "all of it; pass it"
            )
        if self.text_eos_id is not None and self.text_eos_id == self.text_pad_id:
            raise TrainError(f"text_eos_id and text_pad_id are both {self.text_pad_id}; expected two ids; correct one")

    def _check_images(self) -> None:
        if self.visual_ssl_type not in SSL_TYPES:
            raise TrainError(
                f"visual_ssl_type {self.visual_ssl_type!r}; expected one of {', '.join(SSL_TYPES)}; name one, or pass "
                "visual_ssl"
            )
        if self.downsample_image_embeds and not self.use_all_token_embeds:
            raise TrainError(
                "downsample_image_embeds without use_all_token_embeds; expected both, since there is one vector an "
                "image without; leave it out"
            )
        if self.downsample_image_embeds and self.visual_patch_dropout:
            raise TrainError(
                f"downsample_image_embeds with visual_patch_dropout {self.visual_patch_dropout}; expected 0, since "
                "what is left of an image has no neighbours; set visual_patch_dropout=0"
            )

    def to_json(self) -> dict[str, Any]:
        """All options."""
        return {**dataclasses.asdict(self), "mlm_mask_ignore_token_ids": list(self.mlm_mask_ignore_token_ids)}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "ClipConfig":
        """What to_json gave, or some of it: unknown names are errors."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in facts:
            if name not in known:
                raise TrainError(f"CLIP has no option {name!r}; expected some of {', '.join(known)}; correct its name")
        return cls(**facts)
