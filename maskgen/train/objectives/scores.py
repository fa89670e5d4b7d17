"""How well a discriminator tells replaced tokens from original ones, of histograms that can be added up.

logits, labels --histograms--> two lists of counts, summed over batches and ranks --auc--> one number
"""

import torch
from torch import Tensor

BINS = 4096
WIDEST = 16.0  # logits beyond are a probability of 1e-7, in the outermost bins


def histograms(logits: Tensor, replaced: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """How often the logit of a replaced and of an original token falls into each of BINS equal parts."""
    bins = ((logits.float() / WIDEST + 1) * (BINS / 2)).nan_to_num(0.0).clamp(0, BINS - 1).long()
    both = torch.zeros(2 * BINS, dtype=torch.int64, device=logits.device)
    both.index_add_(0, (bins + BINS * replaced.long()).flatten(), real.flatten().long())
    return both[BINS:], both[:BINS]


def auc(replaced: Tensor, original: Tensor) -> float:
    """The area under the ROC curve: how often a replaced token scores above an original one; equal ones are a half.

    Of two histograms over the same bins, lowest scores first. NaN where one of them is empty.
    """
    high, low = replaced.cpu().double(), original.cpu().double()
    pairs = high.sum() * low.sum()
    below = low.cumsum(0) - low / 2
    return float((high * below).sum() / pairs) if float(pairs) else float("nan")
