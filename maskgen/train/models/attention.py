"""Attention in one of two layouts, chosen once a batch: who sees whom is decided before the first layer.

    rows  [B, L, H], a mask or none   --scaled_dot_product_attention-->  on every device
    flat  [T, H], where documents end --varlen_attn (flash attention)--> on CUDA in half precision

Flat has no padding and no mask: its cost is the sum of the squares of the documents' lengths. Rows say the same with a
mask, and compile with static shapes.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from maskgen.train.models.config import EncoderConfig

try:  # since PyTorch 2.10
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # pragma: no cover - older releases have rows alone
    varlen_attn = None  # type: ignore[assignment]


FLAT_DEVICES = ("cuda",)


class Rows(NamedTuple):
    """Rows of one length. The mask is true where a query (second to last place) sees a key (last place)."""

    mask: Tensor | None


class Flat(NamedTuple):
    """All tokens in a line. Document i is ``boundaries[i]:boundaries[i + 1]`` (int32), none longer than `longest`."""

    boundaries: Tensor
    longest: int


Layout = Rows | Flat


def row_mask(padding_mask: Tensor | None, document_ids: Tensor | None) -> Tensor | None:
    """Who sees whom in rows: tokens of the same document, never padding. None where everything sees everything.

    Padding sees something at all times, since a row of nothing has no softmax: with documents the other padding; else
    the tokens, and where a row has none, itself.
    """
    if document_ids is not None:
        if padding_mask is not None:
            document_ids = torch.where(padding_mask.bool(), document_ids, -1)
        return document_ids[:, None, :, None] == document_ids[:, None, None, :]
    if padding_mask is None:
        return None
    seen = padding_mask.bool()
    return (seen | ~seen.any(-1, keepdim=True))[:, None, None, :]


def takes_flat(tokens: Tensor, weight: Tensor) -> bool:
    """Whether flash attention for sequences of different lengths runs here: on CUDA, in half precision."""
    device = tokens.device.type
    if varlen_attn is None or device not in FLAT_DEVICES:
        return False
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    return dtype in (torch.bfloat16, torch.float16)


def attend(query: Tensor, key: Tensor, value: Tensor, layout: Layout, dropout: float = 0.0) -> Tensor:
    """Attention of [..., heads, head_size] to the same, in either layout."""
    if isinstance(layout, Flat):
        ends, longest = layout
        return cast(Tensor, varlen_attn(query, key, value, ends, ends, longest, longest))
    seen = scaled_dot_product_attention(
        query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), attn_mask=layout.mask, dropout_p=dropout
    )
    return seen.transpose(1, 2)


class Rotation(NamedTuple):
    """Cosine and sine of each place's angles, [..., 1, head_size / 2] in float32."""

    cosine: Tensor
    sine: Tensor


def rotation(positions: Tensor, head_size: int, base: float) -> Rotation:
    """The angles of rotary embeddings: position x base^(-2i / head_size)."""
    steps = torch.arange(0, head_size, 2, dtype=torch.float32, device=positions.device)
    angles = positions[..., None, None].float() * (1.0 / base ** (steps / head_size))
    return Rotation(angles.cos(), angles.sin())


def rotate(vectors: Tensor, by: Rotation) -> Tensor:
    """Turn each pair (i, i + head_size / 2) by its angle, in float32 whatever the type is."""
    first, second = vectors.float().chunk(2, dim=-1)
    turned = (first * by.cosine - second * by.sine, second * by.cosine + first * by.sine)
    return torch.cat(turned, dim=-1).to(vectors.dtype)


class SelfAttention(nn.Module):
    """Queries, keys and values in one product, attention, and what leads back."""

    def __init__(self, config: EncoderConfig, *, bias: bool) -> None:
        super().__init__()
        self.heads, self.head_size = config.heads, config.head_size
        self.dropout = config.attention_dropout
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=bias)
        self.out = nn.Linear(config.hidden_size, config.hidden_size, bias=bias)

    def forward(self, hidden: Tensor, layout: Layout, turned: Rotation | None = None) -> Tensor:
        """[..., H] to [..., H]."""
        projected = self.qkv(hidden).unflatten(-1, (3, self.heads, self.head_size))
        query, key, value = projected.unbind(dim=-3)
        if turned is not None:
            query, key = rotate(query, turned), rotate(key, turned)
        seen = attend(query, key, value, layout, self.dropout if self.training else 0.0)
        result: Tensor = self.out(seen.flatten(-2))
        return result
