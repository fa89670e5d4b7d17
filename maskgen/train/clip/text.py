"""The text transformer: ids to vectors, one more than tokens unless it is causal.

ids [B, L] --embedding (+ learned positions)--> [learned CLS | tokens] --Transformer (rotary)--> [B, 1 + L, dim]
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from maskgen.on_device import check_tokens
from maskgen.train.clip.blocks import Transformer
from maskgen.train.errors import TrainError
from maskgen.train.models.attention import rotation

ROTARY_BASE = 10_000.0


class TextTransformer(nn.Module):
    """Ids [B, L] to vectors [B, 1 + L, dim], the first of a learned CLS; without it, [B, L, dim], where it is causal.

    Positions are learned, or with `rotary_pos_emb` angles of queries and keys, never of values. `others` are those of
    Transformer: depth, heads, ff_mult, attn_dropout, ff_dropout, checkpoint_during_training.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_tokens: int,
        max_seq_len: int,
        dim_head: int = 64,
        rotary_pos_emb: bool = False,
        causal: bool = False,
        **others: Any,
    ) -> None:
        super().__init__()
        for name, value in (("num_tokens", num_tokens), ("max_seq_len", max_seq_len)):
            if type(value) is not int or value < 1:
                raise TrainError(f"texts with {name} {value!r}; expected a whole number from 1 on; correct it")
        if rotary_pos_emb and dim_head % 2:
            raise TrainError(f"heads of {dim_head} numbers and rotary positions; expected an even number; correct it")
        self.max_seq_len, self.dim_head, self.rotary_pos_emb, self.causal = (
            max_seq_len,
            dim_head,
            rotary_pos_emb,
            causal,
        )
        self.transformer = Transformer(dim, dim_head=dim_head, causal=causal, **others)
        self.token_emb = nn.Embedding(num_tokens, dim)
        self.abs_pos_emb = None if rotary_pos_emb else nn.Embedding(max_seq_len, dim)
        self.cls_token = None if causal else nn.Parameter(torch.randn(dim))

    @property
    def leading(self) -> int:
        """How many vectors come before those of the tokens."""
        return 0 if self.cls_token is None else 1

    def forward(self, text: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask` [B, L] is true, or 1, at tokens; what is not there is looked at by nobody."""
        check_tokens(text)
        if text.shape[1] > self.max_seq_len:
            raise TrainError(
                f"texts of {text.shape[1]} tokens for a text encoder of {self.max_seq_len}; expected no more; shorten "
                "them, or raise text_seq_len"
            )
        if mask is not None and mask.shape != text.shape:
            raise TrainError(
                f"a mask of the shape {tuple(mask.shape)} for texts of {tuple(text.shape)}; expected the same; pass "
                "padding_mask of the same batch"
            )
        hidden = self.token_emb(text)
        if self.abs_pos_emb is not None:
            hidden = hidden + self.abs_pos_emb.weight[: text.shape[1]]
        if self.cls_token is not None:
            first = self.cls_token.to(hidden.dtype).expand(len(text), 1, -1)
            hidden = torch.cat((first, hidden), dim=1)
            mask = None if mask is None else pad(mask.bool(), (1, 0), value=True)
        turned = None
        if self.rotary_pos_emb:
            places = torch.arange(hidden.shape[1], device=text.device)[None]
            turned = rotation(places, self.dim_head, ROTARY_BASE)
        return cast(Tensor, self.transformer(hidden, mask, turned))
