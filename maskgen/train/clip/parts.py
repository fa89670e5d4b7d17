"""The parts of a CLIP, each made of its options.

ClipConfig --> text encoder, image encoder --with their losses of their own--> MLM, SimSiam or SimCLR
"""

from typing import Any

from torch import nn

from maskgen.train.clip.config import ClipConfig
from maskgen.train.clip.text import TextTransformer
from maskgen.train.clip.vision import VisionTransformer
from maskgen.train.clip.visual_ssl import SimCLR, SimSiam
from maskgen.train.errors import TrainError
from maskgen.train.objectives import MLM


def text_encoder(config: ClipConfig) -> TextTransformer:
    """A new one."""
    if config.text_encode_without_mask:
        raise TrainError(
            "text_encode_without_mask without a text_encoder; expected one that takes no mask; leave it out"
        )
    return TextTransformer(
        config.dim_text,
        num_tokens=config.num_text_tokens,
        max_seq_len=config.text_seq_len,
        depth=config.text_enc_depth,
        heads=config.text_heads,
        dim_head=config.text_dim_head,
        rotary_pos_emb=config.text_rotary_pos_emb,
        causal=config.text_causal_mask,
        checkpoint_during_training=config.checkpoint_during_training,
    )


def image_encoder(config: ClipConfig, *, own_ssl: bool) -> VisionTransformer:
    """A new one; `own_ssl`: whether SimSiam or SimCLR is made for it."""
    if not config.use_all_token_embeds and not config.visual_has_cls_token:
        raise TrainError(
            "visual_has_cls_token=False without use_all_token_embeds; expected one of both, since nothing would stand "
            "for an image; leave it out"
        )
    # The vector that stands for an image has weights, which nothing would train where nothing looks at it.
    looked_at = not config.use_all_token_embeds or (own_ssl and config.visual_ssl_hidden_layer == -1)
    return VisionTransformer(
        config.dim_image,
        image_size=config.visual_image_size,
        patch_size=config.visual_patch_size,
        channels=config.channels,
        patch_dropout=config.visual_patch_dropout,
        cls_token=config.visual_has_cls_token and looked_at,
        depth=config.visual_enc_depth,
        heads=config.visual_heads,
        dim_head=config.visual_dim_head,
        checkpoint_during_training=config.checkpoint_during_training,
    )


def masked_lm(config: ClipConfig, encoder: nn.Module, leading: int) -> MLM:
    """The loss of masked captions."""
    if config.mlm_mask_token_id is None:
        raise TrainError("use_mlm without mlm_mask_token_id; expected the id of [MASK]; pass that of the tokenizer")
    ends = () if config.text_eos_id is None else (config.text_eos_id,)
    return MLM(
        encoder,
        dim=config.dim_text,
        num_tokens=config.num_text_tokens,
        mask_prob=config.mlm_mask_prob,
        replace_prob=config.mlm_replace_prob,
        random_token_prob=config.mlm_random_token_prob,
        mask_token_id=config.mlm_mask_token_id,
        pad_token_id=config.text_pad_id,
        mask_ignore_token_ids=(*config.mlm_mask_ignore_token_ids, *ends),
        drop_leading=leading,
    )


def visual_ssl(config: ClipConfig, encoder: nn.Module, leading: int) -> SimSiam | SimCLR:
    """The loss of two views of each image."""
    layer = config.visual_ssl_hidden_layer
    options: dict[str, Any] = {
        "dim": config.dim_image,
        "hidden_layer": layer,
        "pool": "first" if layer == -1 and leading else "mean",
        "projection_size": config.visual_ssl_projection_size,
        "projection_hidden_size": config.visual_ssl_projection_hidden_size,
    }
    if config.visual_ssl_type == "simclr":
        return SimCLR(encoder, temperature=config.simclr_temperature, **options)
    return SimSiam(encoder, **options)
