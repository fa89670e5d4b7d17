"""Which masks of a row to fill at a step.

probabilities at each mask --errors--> how unsure the model is there --chosen--> the surest, as many as the schedule
says, and beyond those as many as a threshold allows

    uniform   nothing is looked at: random numbers stand for the errors
    top       1 - the highest probability
    gap       1 - (the highest - the second highest)
    entropy   of the distribution, in nats
"""

import torch
from torch import Tensor

from maskgen.train.errors import TrainError

STRATEGIES = ("uniform", "top", "gap", "entropy")


def checked_strategy(strategy: str, threshold: float | None) -> str:
    """The name of a strategy; an error where it is none, or cannot have a threshold."""
    if strategy not in STRATEGIES:
        raise TrainError(f"confidence is {strategy!r}; expected one of {', '.join(STRATEGIES)}; correct it")
    if threshold is not None and (strategy == "uniform" or not threshold >= 0):
        raise TrainError(
            f"threshold is {threshold!r} with the confidence {strategy}; expected a number from 0 on, and a confidence "
            f"of {', '.join(STRATEGIES[1:])}, whose errors it limits; correct either"
        )
    return strategy


def errors(probabilities: Tensor, strategy: str) -> Tensor:
    """Of distributions [M, V], how unsure each is, [M]."""
    if strategy == "entropy":
        entropy: Tensor = torch.special.entr(probabilities).sum(-1)
        return entropy
    best = probabilities.topk(min(2, probabilities.shape[-1]), dim=-1).values
    second = best[:, 1] if strategy == "gap" and best.shape[1] > 1 else torch.zeros_like(best[:, 0])
    found: Tensor = 1 - (best[:, 0] - second)
    return found


def chosen(found: Tensor, masked: Tensor, budgets: Tensor, threshold: float | None = None) -> Tensor:
    """Places to fill, bool [B, L]: of each row's masks those of the least errors, of equals the first.

    They are `budgets` [B] many, or with a threshold as many more as keep the sum of the errors of all but the last
    within it. The sum runs over errors in their order: a sum over their places would fill almost all at the first step.
    """
    ordered, order = found.masked_fill(~masked, torch.inf).sort(dim=1, stable=True)
    counts = budgets.to(order.device)
    if threshold is not None:
        before = torch.zeros_like(ordered)
        before[:, 1:] = ordered[:, :-1].cumsum(1)
        counts = torch.maximum(counts, (before <= threshold).sum(1))
    counts = torch.minimum(counts, masked.sum(1))
    ranks = torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
    )
    return ranks < counts[:, None]
