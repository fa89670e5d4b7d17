"""Masked language modelling around any encoder: x-clip's MLM, with masks of its own or of samples.

tokens --DeviceMasking--> ready batch --transformer--> vectors --those at masked places--> head --> cross-entropy

The head sees masked places only: of a batch with 15 % masked, a sixth of the logits.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from maskgen.on_device import DeviceMasking, checked_share
from maskgen.train.errors import TrainError
from maskgen.train.objectives import ready
from maskgen.train.objectives.hidden import Layer, find_layer, of_tokens, run
from maskgen.train.objectives.measured import Measured, in_full, ratio

EncoderInputs = Callable[[Mapping[str, Tensor]], dict[str, Any]]


class MLM(nn.Module):
    """The loss of predicting masked tokens: ``MLM(encoder, dim=..., num_tokens=...)(tokens or batch)``.

    `transformer` maps ids [B, L] to vectors [B, L, dim]; `drop_leading` says how many more it puts before them. `head`
    maps [M, dim] to logits, by default a linear layer. `hidden_layer` takes the vectors of a child (index) or module
    (name) of the transformer. `encoder_inputs` makes keyword arguments for it of a ready batch. With a `pair_head`,
    [B, dim] to [B, 2], the first vector predicts `is_random` of the batch.
    """

    def __init__(
        self,
        transformer: nn.Module,
        *,
        dim: int | None = None,
        num_tokens: int | None = None,
        mask_prob: float = 0.15,
        replace_prob: float = 0.9,
        random_token_prob: float = 0.0,
        mask_token_id: int = 2,
        pad_token_id: int = 0,
        mask_ignore_token_ids: Iterable[int] = (),
        head: nn.Module | None = None,
        drop_leading: int = 0,
        hidden_layer: Layer = None,
        encoder_inputs: EncoderInputs | None = None,
        pair_head: nn.Module | None = None,
        pair_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.masking = source_masking(
            num_tokens, mask_prob, replace_prob, random_token_prob, mask_token_id, pad_token_id, mask_ignore_token_ids
        )
        if head is None:
            if dim is None or num_tokens is None:
                raise TrainError("no head, and no dim and num_tokens to make one of; pass either")
            head = nn.Linear(dim, num_tokens)
        if hidden_layer is not None and hidden_layer != -1:
            find_layer(transformer, hidden_layer)
        self.transformer, self.to_logits, self.pair_head = transformer, head, pair_head
        self.drop_leading, self.hidden_layer, self.encoder_inputs = drop_leading, hidden_layer, encoder_inputs
        self.pair_weight = pair_weight

    @property
    def weights(self) -> dict[str, float]:
        """What each term counts in the loss."""
        return {"mlm": 1.0} if self.pair_head is None else {"mlm": 1.0, "pairs": self.pair_weight}

    def masked(
        self, tokens: Tensor, generator: torch.Generator | None = None, *, rate: float | None = None
    ) -> dict[str, Tensor]:
        """A ready batch of raw tokens, masked where they are."""
        return self.masking(tokens, generator=generator, rate=rate)

    def forward(
        self, tokens_or_batch: Tensor | Mapping[str, Any], *, generator: torch.Generator | None = None, **kwargs: Any
    ) -> Tensor:
        """The mean loss of tokens that are masked here, or of a ready batch; `kwargs` reach the transformer."""
        given = tokens_or_batch
        batch = ready.checked(given) if isinstance(given, Mapping) else self.masked(given, generator)
        return self.measure(batch, **kwargs).loss(self.weights, self.counts(batch))

    def counts(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """What the sums of `measure` are divided by; no forward pass is needed."""
        batch = ready.checked(batch)
        text = batch["text"]
        predicted = text.numel() if "weights" in batch else ready.places(batch).positions.numel()
        counts = {"mlm": ready.count(predicted, text)}
        if self.pair_head is not None:
            counts["pairs"] = ready.count(len(text), text)
        return counts

    def measure(self, batch: Mapping[str, Any], **kwargs: Any) -> Measured:
        """Sums of losses and of right predictions in a ready batch."""
        batch = ready.checked(batch)
        text, (positions, labels) = batch["text"], ready.places(batch)
        inputs = (self.encoder_inputs(batch) if self.encoder_inputs else {}) | kwargs
        vectors = run(self.transformer, text, inputs, self.hidden_layer)
        hidden = of_tokens(vectors, text, self.drop_leading, self.transformer)
        logits = in_full(self.to_logits(hidden.flatten(0, 1).index_select(0, positions)))
        losses = functional.cross_entropy(logits, labels, reduction="none")
        if "weights" in batch:  # masked diffusion: a weight a row, and a mean over all places
            losses = losses * batch["weights"].to(losses.dtype)[positions // text.shape[1]]
        sums = {"mlm": losses.sum()}
        figures = {"mlm_correct": right(logits, labels), "mlm_places": ready.count(positions.numel(), text)}
        if self.pair_head is not None:
            if "is_random" not in batch:
                raise TrainError("a pair_head, and a batch without is_random; expected samples of pairs")
            targets = batch["is_random"].long()
            pair_logits = in_full(self.pair_head(vectors[:, 0]))
            sums["pairs"] = functional.cross_entropy(pair_logits, targets, reduction="sum")
            figures["pairs_correct"] = right(pair_logits, targets)
        return Measured(sums, figures)

    def summary(self, figures: Mapping[str, Tensor], counts: Mapping[str, Tensor]) -> dict[str, float]:
        """What to report, of figures and counts that were added up."""
        shown = {"mlm_accuracy": ratio(figures["mlm_correct"], figures["mlm_places"])}
        if "pairs_correct" in figures:
            shown["pairs_accuracy"] = ratio(figures["pairs_correct"], counts["pairs"])
        return shown


def right(logits: Tensor, labels: Tensor) -> Tensor:
    """How many of the most probable classes are the labels."""
    return (logits.detach().argmax(-1) == labels).sum()


def source_masking(
    num_tokens: int | None,
    mask_prob: float,
    replace_prob: float,
    random_token_prob: float,
    mask_token_id: int,
    pad_token_id: int,
    ignored: Iterable[int],
) -> DeviceMasking:
    """Masking with the parameters of x-clip and electra-pytorch, where `replace_prob` is of what is not random."""
    random_share = checked_share(random_token_prob, "random_token_prob")
    return DeviceMasking(
        mask_id=mask_token_id,
        pad_id=pad_token_id,
        vocab_size=num_tokens,
        rate=checked_share(mask_prob, "mask_prob"),
        mask_share=(1 - random_share) * checked_share(replace_prob, "replace_prob"),
        random_share=random_share,
        ignore_ids=ignored,
    )
