"""Masked diffusion around any encoder: every row hidden to a share of its own, and what is hidden predicted.

tokens --noise_of, on the device--> ready batch ; batch of the scheme masked-diffusion or of a collator = ready batch
ready batch --encoder--> vectors --those at masked places--> head --DiffusionLoss--> sums

Beside the loss every pass measures the bound: weights x cross-entropy / maskable tokens, whose mean over all noise
levels is no less than the negative log-likelihood of a token, in nats.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from maskgen.on_device import check_generator, check_tokens, ids_on
from maskgen.train.diffusion.loss import DiffusionLoss, Terms, as_ready, weights_at
from maskgen.train.diffusion.weights import noise_of
from maskgen.train.errors import TrainError
from maskgen.train.objectives.hidden import of_tokens, run
from maskgen.train.objectives.measured import Measured, ratio
from maskgen.train.objectives.mlm import EncoderInputs


class MaskedDiffusion(nn.Module):
    """The loss of masked diffusion: ``MaskedDiffusion(encoder, head=..., mask_token_id=...)(tokens or batch)``.

    `transformer` maps ids [B, L] to vectors, `head` vectors [M, width] to logits, or nothing where the transformer
    returns logits. `weighting` and the options of "xlm" are those of DiffusionLoss. `mask_ignore_token_ids` are
    special tokens that are never masked. Raw tokens are masked here with the noise of the weighting (of llada for xlm).
    """

    def __init__(
        self,
        transformer: nn.Module,
        *,
        head: nn.Module | None = None,
        mask_token_id: int,
        pad_token_id: int,
        mask_ignore_token_ids: Iterable[int] = (),
        weighting: str = "llada",
        on_visible: bool = False,
        on_padding: bool = False,
        per_sequence: bool = False,
        eps: float = 1e-3,
        drop_leading: int = 0,
        encoder_inputs: EncoderInputs | None = None,
    ) -> None:
        super().__init__()
        if mask_token_id == pad_token_id:
            raise TrainError(f"mask_token_id and pad_token_id are both {mask_token_id}; expected two ids; correct one")
        special = tuple(sorted({mask_token_id, pad_token_id, *mask_ignore_token_ids}))
        self.loss = DiffusionLoss(
            mask_id=mask_token_id,
            weighting=weighting,
            special_ids=special,
            on_visible=on_visible,
            on_padding=on_padding,
            per_sequence=per_sequence,
        )
        self.transformer, self.to_logits = transformer, nn.Identity() if head is None else head
        self.pad_id, self.eps, self.drop_leading, self.encoder_inputs = pad_token_id, eps, drop_leading, encoder_inputs

    @property
    def weights(self) -> dict[str, float]:
        """What each term counts in the loss."""
        return {"diffusion": 1.0}

    def masked(self, tokens: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """A ready batch of raw tokens, masked where they are; of mdlm the rows' times are stratified."""
        check_tokens(tokens)
        check_generator(generator, tokens.device)
        tokens, kind = tokens.long(), "mdlm" if self.loss.weighting == "mdlm" else "llada"
        noise = noise_of(kind, len(tokens), generator, tokens.device, eps=self.eps)
        luck = torch.rand(tokens.shape, generator=generator, device=tokens.device)
        maskable = ~torch.isin(tokens, ids_on(self.loss.special_ids, tokens.device))
        chosen = maskable & (luck < noise.shares[:, None])
        return {
            "text": tokens.masked_fill(chosen, self.loss.mask_id),
            "labels": tokens.masked_fill(~chosen, -1),
            "padding_mask": (tokens != self.pad_id).long(),
            "t": noise.times,
            "weights": noise.weights,
        }

    def forward(
        self, tokens_or_batch: Tensor | Mapping[str, Any], *, generator: torch.Generator | None = None, **kwargs: Any
    ) -> Tensor:
        """The loss of tokens that are masked here, or of a batch; `kwargs` reach the transformer."""
        given = tokens_or_batch
        batch = as_ready(given, self.loss.mask_id) if isinstance(given, Mapping) else self.masked(given, generator)
        return self.measure(batch, **kwargs).loss(self.weights, self.counts(batch))

    def counts(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """What the sum of `measure` is divided by; no forward pass is needed."""
        return {"diffusion": self.loss.terms(batch).divisor}

    def measure(self, batch: Mapping[str, Any], **kwargs: Any) -> Measured:
        """The sum of the loss in a ready batch, and what accuracy and bound are made of."""
        batch = as_ready(batch, self.loss.mask_id)
        text, terms = batch["text"], self.loss.terms(batch)
        inputs = (self.encoder_inputs(batch) if self.encoder_inputs else {}) | kwargs
        vectors = of_tokens(run(self.transformer, text, inputs), text, self.drop_leading, self.transformer)
        logits = self.to_logits(vectors.flatten(0, 1).index_select(0, terms.positions))
        losses = self.loss.cross_entropies(logits, terms)
        figures = self._figures(batch, terms, logits.detach(), losses.detach())
        return Measured({"diffusion": self.loss.weighted(losses, terms)}, figures)

    def _figures(self, batch: Mapping[str, Tensor], terms: Terms, logits: Tensor, losses: Tensor) -> dict[str, Tensor]:
        masked = batch["text"].flatten()[terms.positions] == self.loss.mask_id
        right = (logits.argmax(-1) == terms.labels) & masked
        figures = {"diffusion_correct": right.sum(), "diffusion_places": masked.sum()}
        if "weights" in batch:
            paid = losses.double() * masked * weights_at(batch, terms.positions)
            figures["bound"] = paid.sum()
            if self.loss.weighting == "xlm":  # which divides by something else
                figures["maskable"] = self.loss.maskable(batch).sum()
        return figures

    def summary(self, figures: Mapping[str, Tensor], counts: Mapping[str, Tensor]) -> dict[str, float]:
        """What to report, of figures and counts that were added up."""
        shown = {"diffusion_accuracy": ratio(figures["diffusion_correct"], figures["diffusion_places"])}
        if "bound" in figures:
            shown["bound"] = ratio(figures["bound"], figures.get("maskable", counts["diffusion"]))
        return shown
