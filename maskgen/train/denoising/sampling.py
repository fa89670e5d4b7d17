"""By which tokens masks are filled.

logits --less those that are never written--> --temperature, top_k, top_p--> Gumbel-max, or argmax --> ids

Noise comes from a generator of each row, seeded with (seed, number of the row): it is the same beside any other rows.
"""

import math

import torch
from torch import Tensor

from maskgen.hashing import GAMMA, mix, word
from maskgen.train.errors import TrainError


def row_seed(seed: int, number: int) -> int:
    """The seed of a row's generator.

    >>> row_seed(1234, 0) == row_seed(1234, 0) != row_seed(1234, 1)
    True
    """
    return int(mix(mix(word(seed) + word(GAMMA)) ^ word(number + 1))[0]) >> 1  # what manual_seed takes, without a sign


def check_sampling(temperature: float, top_k: int | None, top_p: float | None) -> None:
    """An error where one of them means nothing."""
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise TrainError(
            f"temperature is {temperature!r}; expected a number from 0 (the likeliest token) on; correct it"
        )
    if top_k is not None and (not isinstance(top_k, int) or top_k < 1):
        raise TrainError(
            f"top_k is {top_k!r}; expected a whole number from 1 on: how many tokens to draw from; correct it"
        )
    if top_p is not None and not 0 < top_p <= 1:
        raise TrainError(f"top_p is {top_p!r}; expected a share above 0 and up to 1; correct it")


def restricted(logits: Tensor, temperature: float, top_k: int | None = None, top_p: float | None = None) -> Tensor:
    """Logits [M, V] over the temperature, -inf where a token is not drawn from.

    `top_k` keeps so many tokens, `top_p` the fewest whose probabilities come to that share; with both, the second looks
    at what the first has left. Of equals the first are kept.
    """
    # Less the highest, so that a temperature near 0 is the argmax and no overflow.
    scaled = (logits - logits.amax(-1, keepdim=True)) / temperature
    if top_k is None and top_p is None:
        return scaled
    ordered, order = scaled.sort(dim=-1, descending=True, stable=True)
    if top_k is not None:
        ordered[:, top_k:] = -torch.inf
    if top_p is not None:
        shares = ordered.softmax(-1)
        ordered[shares.cumsum(-1) - shares >= top_p] = -torch.inf  # the first has nothing before it and stays
    return torch.empty_like(ordered).scatter_(-1, order, ordered)


def sampled(
    logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """Ids [M], drawn from logits [M, V]: the highest after Gumbel noise; with temperature 0 the highest as it is."""
    if temperature == 0:
        return logits.argmax(-1)
    kept = restricted(logits, temperature, top_k, top_p)
    # Minus the logarithm of exponential noise is Gumbel noise; no small number is added to keep it finite.
    noise = torch.empty_like(kept).exponential_(generator=generator).clamp_(min=torch.finfo(kept.dtype).tiny)
    return (kept - noise.log()).argmax(-1)
