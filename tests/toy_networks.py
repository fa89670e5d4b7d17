"""Small networks of somebody else's making: the objectives know nothing of them but what goes in and comes out."""

import torch
from torch import nn

WIDTH = 16


class Block(nn.Module):
    """Attention and a feed-forward layer, with norms before."""

    def __init__(self, width):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.feed_forward = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, vectors):
        seen = self.norms[0](vectors)
        vectors = vectors + self.attention(seen, seen, seen, need_weights=False)[0]
        return vectors + self.feed_forward(self.norms[1](vectors))


class Encoder(nn.Module):
    """Ids [B, L] to hidden states [B, L, width]; with `cls`, a vector of its own before them."""

    def __init__(self, vocab=40, width=WIDTH, length=128, *, cls=False, logits=False, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.words = nn.Embedding(vocab, width)
        self.places = nn.Embedding(length, width)
        self.blocks = nn.ModuleList([Block(width), Block(width)])
        self.norm = nn.LayerNorm(width)
        self.cls = nn.Parameter(torch.randn(width)) if cls else None
        self.to_logits = nn.Linear(width, vocab) if logits else None
        self.seen = []

    def forward(self, tokens, *, shift=None, scale=1.0):
        self.seen.append({"tokens": tokens, "shift": shift, "scale": scale})
        vectors = self.words(tokens) + self.places(torch.arange(tokens.shape[1], device=tokens.device))
        if shift is not None:
            vectors = vectors + shift.unsqueeze(2)
        if self.cls is not None:
            vectors = torch.cat([self.cls.expand(len(tokens), 1, -1), vectors], 1)
        for block in self.blocks:
            vectors = block(vectors)
        vectors = self.norm(vectors) * scale
        return vectors if self.to_logits is None else self.to_logits(vectors)


def tokens_of(rows=3, length=12, vocab=40, first=5, seed=1):
    """Ordinary ids only: 0 to 4 are special to the tests."""
    return torch.randint(first, vocab, (rows, length), generator=torch.Generator().manual_seed(seed))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)
