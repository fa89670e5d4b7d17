"""How noisy the rows of a tensor become: the times of a batch, drawn on its device, and what follows from them.

rows, generator --times--> t [B] --noise of the scheme masked-diffusion--> shares of masks, weights of cross-entropies
"""

from typing import NamedTuple

import torch
from torch import Tensor

from maskgen.schemes.masked_diffusion import noise


class Noise(NamedTuple):
    """Of each row the time, the probability of a mask, and the weight of its cross-entropies, all float32 [B]."""

    times: Tensor
    shares: Tensor
    weights: Tensor


def times(rows: int, generator: torch.Generator | None, device: torch.device, *, stratified: bool) -> Tensor:
    """One time in [0, 1) a row; stratified: each of the `rows` equal parts of it once, in order."""
    drawn = torch.rand(rows, generator=generator, device=device)
    if not stratified:
        return drawn
    return (torch.arange(rows, device=device) + drawn) / max(rows, 1)


def noise_of(
    kind: str, rows: int, generator: torch.Generator | None, device: torch.device, *, eps: float = 1e-3
) -> Noise:
    """The noise of a batch: "llada" (times of each row alone) or "mdlm" (stratified over the batch, from eps on)."""
    least, slope, scale = noise(kind, eps)
    drawn = times(rows, generator, device, stratified=kind == "mdlm")
    if kind == "mdlm":
        drawn = (1 - eps) * drawn + eps
    shares = slope * drawn + least
    return Noise(drawn, shares, scale / shares)
