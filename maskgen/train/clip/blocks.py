"""The layers of both transformers: pre-norm, GEGLU, no biases, softmax in float32, activations computed twice if asked.

x --norm--> [norm, attention, norm -> + x; norm, up, gelu(gate) * value, norm, down -> + x] x depth --norm--> x

Attention is that of the project's encoders, with heads of any size. Scaled dot product attention takes its softmax in
float32 whatever the type of its inputs is.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu
from torch.utils.checkpoint import checkpoint

from maskgen.train.errors import TrainError
from maskgen.train.models.attention import Layout, Rotation, Rows, SelfAttention, row_mask


def norm(dim: int) -> nn.LayerNorm:
    """A layer norm with a weight and no bias."""
    return nn.LayerNorm(dim, bias=False)


class Attention(SelfAttention):
    """Self-attention with `heads` heads of `dim_head` numbers, whatever `dim` is; a norm at its end."""

    def __init__(self, dim: int, *, heads: int, dim_head: int, dropout: float = 0.0) -> None:
        nn.Module.__init__(self)
        self.heads, self.head_size, self.dropout = heads, dim_head, dropout
        self.qkv = nn.Linear(dim, 3 * heads * dim_head, bias=False)
        self.out = nn.Sequential(nn.Linear(heads * dim_head, dim, bias=False), norm(dim))  # type: ignore[assignment]


class FeedForward(nn.Module):
    """down(norm(value * gelu(gate))) with (value, gate) = up(x)."""

    def __init__(self, dim: int, *, mult: float = 4, dropout: float = 0.0) -> None:
        super().__init__()
        inner = int(dim * mult)
        self.up = nn.Linear(dim, 2 * inner, bias=False)
        self.norm = norm(inner)
        self.drop = nn.Dropout(dropout)
        self.down = nn.Linear(inner, dim, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., dim] to [..., dim]."""
        value, gate = self.up(hidden).chunk(2, dim=-1)
        result: Tensor = self.down(self.drop(self.norm(value * gelu(gate))))
        return result


class Layer(nn.Module):
    """x = x + attention(norm(x)), x = x + feed_forward(norm(x))."""

    def __init__(
        self, dim: int, *, heads: int, dim_head: int, ff_mult: float, attn_dropout: float, ff_dropout: float
    ) -> None:
        super().__init__()
        self.attention_norm, self.ff_norm = norm(dim), norm(dim)
        self.attention = Attention(dim, heads=heads, dim_head=dim_head, dropout=attn_dropout)
        self.feed_forward = FeedForward(dim, mult=ff_mult, dropout=ff_dropout)

    def forward(self, hidden: Tensor, layout: Layout, turned: Rotation | None = None) -> Tensor:
        """[B, L, dim] to [B, L, dim]."""
        hidden = hidden + self.attention(self.attention_norm(hidden), layout, turned)
        return cast(Tensor, hidden + self.feed_forward(self.ff_norm(hidden)))


class Transformer(nn.Module):
    """`depth` layers between two norms: vectors [B, L, dim] to vectors [B, L, dim].

    With `checkpoint_during_training` the layers' activations are computed again in the backward pass instead of being
    kept; the results are the same.
    """

    def __init__(
        self,
        dim: int,
        *,
        depth: int,
        heads: int = 8,
        dim_head: int = 64,
        causal: bool = False,
        ff_mult: float = 4,
        attn_dropout: float = 0.0,
        ff_dropout: float = 0.0,
        checkpoint_during_training: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("dim", dim), ("depth", depth), ("heads", heads), ("dim_head", dim_head)):
            if type(value) is not int or value < 1:
                raise TrainError(f"a transformer with {name} {value!r}; expected a whole number from 1 on; correct it")
        if not ff_mult > 0 or not 0 <= attn_dropout < 1 or not 0 <= ff_dropout < 1:
            raise TrainError(
                f"a transformer with ff_mult {ff_mult}, attn_dropout {attn_dropout}, ff_dropout {ff_dropout}; expected "
                "a factor above 0 and shares from 0 to below 1; correct it"
            )
        self.causal, self.checkpoint_during_training = causal, checkpoint_during_training
        self.norm_in, self.norm_out = norm(dim), norm(dim)
        self.layers = nn.ModuleList(
            Layer(
                dim,
                heads=heads,
                dim_head=dim_head,
                ff_mult=ff_mult,
                attn_dropout=attn_dropout,
                ff_dropout=ff_dropout,
            )
            for _ in range(depth)
        )

    def forward(self, hidden: Tensor, mask: Tensor | None = None, turned: Rotation | None = None) -> Tensor:
        """`mask` [B, L] is true where others may look; `turned` are the angles of rotary positions."""
        layout = Rows(causal_mask(hidden.shape[1], mask, hidden.device) if self.causal else row_mask(mask, None))
        again = self.checkpoint_during_training and self.training and torch.is_grad_enabled()
        hidden = self.norm_in(hidden)
        for layer in self.layers:
            if again:
                hidden = cast(Tensor, checkpoint(layer, hidden, layout, turned, use_reentrant=False))
            else:
                hidden = layer(hidden, layout, turned)
        return cast(Tensor, self.norm_out(hidden))


def causal_mask(length: int, mask: Tensor | None, device: torch.device) -> Tensor:
    """Who sees whom where nobody looks ahead: all see the tokens before them and themselves."""
    seen = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    if mask is None:
        return seen
    itself = torch.eye(length, dtype=torch.bool, device=device)
    return (seen & mask.bool()[:, None, None, :]) | itself
