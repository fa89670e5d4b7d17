"""What is paid for masked tokens: XLM's mean, LLaDA's and MDLM's weighted sums.

ready batch --terms: before the forward pass--> places, labels, weights, what to divide by
logits at these places --cross-entropy in float32 x weights--> sum / count = loss

Batches of maskgen.collators (input_ids, attention_mask, target_ids) are taken as well. No tensor of a batch is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from maskgen.on_device import ids_on
from maskgen.train.errors import TrainError
from maskgen.train.objectives import ready
from maskgen.train.objectives.measured import in_full
from maskgen.train.objectives.ready import positions_of
from maskgen.train.settings import WEIGHTINGS


class Terms(NamedTuple):
    """Where the model is asked (flat places), for what, how much each answer weighs, and what divides the sum."""

    positions: Tensor
    labels: Tensor
    weights: Tensor | None
    divisor: Tensor


@dataclass(frozen=True, kw_only=True)
class DiffusionLoss:
    """The loss of a batch: ``DiffusionLoss(mask_id=4)(logits, batch)``.

    "llada" and "mdlm": sum of weights x cross-entropy at masks / maskable tokens, with the `weights` of the batch, one
    a row or token; mdlm in its parametrisation, where no probability is on [MASK]. `special_ids` are never maskable.

    "xlm": the mean cross-entropy where the input is [MASK], and with `on_visible` at all other tokens, with
    `on_padding` at padding, too; `per_sequence` takes of each row the sum / (masks + 1), and of these the mean.
    """

    mask_id: int
    weighting: str = "llada"
    special_ids: tuple[int, ...] = ()
    on_visible: bool = False
    on_padding: bool = False
    per_sequence: bool = False

    def __post_init__(self) -> None:
        if self.weighting not in WEIGHTINGS:
            raise TrainError(f"weighting is {self.weighting!r}; expected one of {', '.join(WEIGHTINGS)}; correct it")
        given = [name for name in ("on_visible", "on_padding", "per_sequence") if getattr(self, name)]
        if given and self.weighting != "xlm":
            raise TrainError(f"{given[0]} with the weighting {self.weighting}; expected xlm; leave it out")

    def terms(self, batch: Mapping[str, Any]) -> Terms:
        """What can be said without a forward pass."""
        given = as_ready(batch, self.mask_id)
        text, (positions, labels) = given["text"].long(), ready.places(given)
        if self.weighting != "xlm":
            if "weights" not in given:
                raise TrainError(
                    f"a batch without weights, and the weighting {self.weighting}; expected one weight a row; use the "
                    "scheme masked-diffusion, or the weighting xlm"
                )
            return Terms(positions, labels, weights_at(given, positions), self.maskable(given).sum())
        masked = torch.zeros(text.numel(), dtype=torch.int64, device=text.device).index_fill(0, positions, 1)
        if self.on_visible or self.on_padding:
            positions, labels = self._wider(given, text, positions, labels)
        if not self.per_sequence:
            return Terms(positions, labels, None, ready.count(positions.numel(), text))
        weights = 1 / (masked.view_as(text).sum(1) + 1).float()
        return Terms(positions, labels, weights[positions // text.shape[1]], ready.count(len(text), text))

    def maskable(self, batch: Mapping[str, Tensor]) -> Tensor:
        """True at the tokens of a ready batch that are masked or could have been, [B, L]."""
        text = batch["text"].long()
        positions, _ = ready.places(batch)
        masked = torch.zeros(text.numel(), dtype=torch.bool, device=text.device).index_fill(0, positions, True)
        if "maskable" in batch:
            return masked.view_as(text) | batch["maskable"].bool()
        special = torch.isin(text, ids_on((*self.special_ids, self.mask_id), text.device))
        return masked.view_as(text) | (ready.real_tokens(batch) & ~special)

    def _wider(
        self, batch: Mapping[str, Tensor], text: Tensor, positions: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        real = ready.real_tokens(batch).flatten()
        wanted = torch.zeros_like(real).index_fill(0, positions, True)
        if self.on_visible:
            wanted |= real
        if self.on_padding:
            wanted |= ~real
        places = wanted.nonzero().squeeze(1)
        return places, text.flatten().index_copy(0, positions, labels)[places]

    def cross_entropies(self, logits: Tensor, terms: Terms) -> Tensor:
        """One a place, in float32, of the logits at the places [M, V]."""
        logits = in_full(logits)
        if self.weighting == "mdlm":
            logits = without_mask(logits, self.mask_id)
        return functional.cross_entropy(logits, terms.labels, reduction="none")

    def weighted(self, losses: Tensor, terms: Terms) -> Tensor:
        """The sum of the loss, to be divided by the count."""
        return (losses if terms.weights is None else losses * terms.weights).sum()

    def __call__(self, logits: Tensor, batch: Mapping[str, Any]) -> Tensor:
        """The loss of logits of all places, [B, L, V]."""
        terms = self.terms(batch)
        losses = self.cross_entropies(logits.flatten(0, 1).index_select(0, terms.positions), terms)
        return self.weighted(losses, terms) / terms.divisor.clamp(min=1)


def weights_at(batch: Mapping[str, Tensor], positions: Tensor) -> Tensor:
    """The weights of a ready batch at flat places, of arrays with one a row or, of packed collators, one a token."""
    weights = batch["weights"].float()
    return weights.flatten()[positions] if weights.dim() == 2 else weights[positions // batch["text"].shape[1]]


def without_mask(logits: Tensor, mask_id: int) -> Tensor:
    """The logits with all hope for [MASK] gone."""
    return logits.index_fill(-1, ids_on((mask_id,), logits.device), -torch.inf)


def subs(logits: Tensor, tokens: Tensor, mask_id: int) -> Tensor:
    """MDLM's parametrisation: log-probabilities [B, L, V] without [MASK], and visible tokens stay what they are."""
    answers = without_mask(in_full(logits), mask_id).log_softmax(-1)
    kept = torch.full_like(answers, -torch.inf).scatter(-1, tokens.long()[..., None], 0.0)
    return torch.where((tokens == mask_id)[..., None], answers, kept)


def as_ready(batch: Mapping[str, Any], mask_id: int) -> dict[str, Tensor]:
    """A ready batch as it is, or one of input_ids, attention_mask and target_ids under the names of ready batches."""
    if "input_ids" not in batch:
        return ready.checked(batch)
    given = {name: torch.as_tensor(value) for name, value in batch.items() if value is not None}
    if "target_ids" not in given or given["target_ids"].shape != given["input_ids"].shape:
        raise TrainError(
            "a batch of input_ids without target_ids of the same shape; expected what stands behind the masks; use a "
            "collator for training"
        )
    text, targets = given.pop("input_ids").long(), given.pop("target_ids").long()
    real = given.pop("attention_mask", torch.ones_like(text)) != 0
    if real.shape != text.shape:
        raise TrainError(
            f"attention_mask has shape {tuple(real.shape)}, input_ids have {tuple(text.shape)}; expected the same; "
            "pass those of one batch"
        )
    segments = given.pop("segment_ids", None)
    labels = targets.where((text == mask_id) & (targets != mask_id) & real, -1)
    if segments is not None:
        given["document_ids"] = segments
    else:
        given.setdefault("positions", positions_of(real))
    return ready.checked({**given, "text": text, "labels": labels, "padding_mask": real.long()})
