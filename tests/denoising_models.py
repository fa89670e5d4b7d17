"""What the tests of denoising share: models without weights, whose logits can be worked out by hand."""

import torch

MASK, PAD, EOS, VOCAB = 0, 1, 2, 12


class Table:
    """Logits by position alone: row `p` of `logits` [L, V] at position p. Keeps what it was asked."""

    def __init__(self, logits):
        self.logits, self.calls = torch.as_tensor(logits, dtype=torch.float32), []

    def __call__(self, ids, *, attention_mask, positions):
        self.calls.append(
            {"ids": ids.clone(), "attention_mask": attention_mask.clone(), "positions": positions.clone()}
        )
        return self.logits[positions]


class Mixing:
    """Logits that depend on every token of the row and its place, with special tokens as likely as any.

    Whole numbers over eight, summed in float64: the same row gives the same bits in any batch.
    """

    def __init__(self, vocab=VOCAB, seed=3):
        generator = torch.Generator().manual_seed(seed)
        self.weights = torch.randint(-9, 10, (vocab, 64, vocab), generator=generator).double() / 8
        self.calls = 0

    def __call__(self, ids, *, attention_mask, positions):
        self.calls += 1
        seen = (self.weights[ids, positions % 64] * attention_mask[..., None]).sum(1, keepdim=True)
        return (seen * 3 + self.weights[(ids + positions) % len(self.weights), positions % 64] * 5) % 4


def certain(best, share, vocab=VOCAB, second=None):
    """Logits whose softmax gives `share` to `best`, `second` = (id, share) likewise, the rest evenly to ids >= 3."""
    found = torch.zeros(vocab)
    others = [id_ for id_ in range(3, vocab) if id_ != best and (second is None or id_ != second[0])]
    found[others] = (1 - share - (second[1] if second else 0)) / len(others)
    found[best] = share
    if second:
        found[second[0]] = second[1]
    return found.clamp(min=0).log().clamp(min=-1e4)
