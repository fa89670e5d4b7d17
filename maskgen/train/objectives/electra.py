"""ELECTRA around any two networks: a generator fills masked places, a discriminator tells which tokens it changed.

ready batch --generator--> logits at masked places --sample, no gradient--> original with samples --discriminator-->
one logit a token --> weight x cross-entropy + weight x binary cross-entropy over real tokens
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from maskgen.on_device import check_generator, ids_on
from maskgen.train.errors import TrainError
from maskgen.train.objectives import ready
from maskgen.train.objectives.hidden import find_layer, numbers_of_tokens, of_tokens, run
from maskgen.train.objectives.measured import Measured, in_full, ratio
from maskgen.train.objectives.mlm import EncoderInputs, right, source_masking
from maskgen.train.objectives.scores import auc, histograms
from maskgen.train.objectives.tying import tie


class ElectraResult(NamedTuple):
    """What electra-pytorch returns: accuracies are over masked places, and over real tokens."""

    loss: Tensor
    mlm_loss: Tensor
    disc_loss: Tensor
    gen_acc: Tensor
    disc_acc: Tensor
    disc_labels: Tensor
    disc_predictions: Tensor


class Pass(NamedTuple):
    """Everything that one pass through both networks gives."""

    measured: Measured
    labels: Tensor
    predictions: Tensor


class Electra(nn.Module):
    """Both losses of ELECTRA: ``Electra(generator, discriminator, num_tokens=..., discr_dim=...)(tokens or batch)``.

    The generator returns logits, or vectors for `generator_head`, which sees masked places only. The discriminator
    returns a logit a token, or vectors for `discriminator_head`; with `discr_dim` a linear layer is put on its output
    or on its `discr_layer`, a child by index or a module by name. `tie_embeddings` is True or names, as for `tie`.
    `never_sampled` are ids that the generator may not put into the text: by default the special ones given here.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        num_tokens: int | None = None,
        discr_dim: int = -1,
        discr_layer: int | str = -1,
        mask_prob: float = 0.15,
        replace_prob: float = 0.85,
        random_token_prob: float = 0.0,
        mask_token_id: int = 2,
        pad_token_id: int = 0,
        mask_ignore_token_ids: Iterable[int] = (),
        disc_weight: float = 50.0,
        gen_weight: float = 1.0,
        temperature: float = 1.0,
        generator_head: nn.Module | None = None,
        discriminator_head: nn.Module | None = None,
        encoder_inputs: EncoderInputs | None = None,
        drop_leading: int = 0,
        tie_embeddings: bool | Iterable[str | tuple[str, str]] = False,
        never_sampled: Iterable[int] | None = None,
    ) -> None:
        super().__init__()
        self.masking = source_masking(
            num_tokens, mask_prob, replace_prob, random_token_prob, mask_token_id, pad_token_id, mask_ignore_token_ids
        )
        if discr_dim > 0:
            if discriminator_head is not None:
                raise TrainError("discr_dim and discriminator_head are two heads; expected one; drop either")
            discriminator_head = nn.Linear(discr_dim, 1)
        if discr_layer != -1:
            if discriminator_head is None:
                raise TrainError(f"discr_layer {discr_layer!r} without a head for its vectors; pass discr_dim")
            find_layer(discriminator, discr_layer)
        if not temperature >= 0:
            raise TrainError(f"temperature is {temperature}; expected a number from 0 on (0: the most probable id)")
        self.generator, self.generator_head = generator, generator_head
        self.discriminator, self.discriminator_head = discriminator, discriminator_head
        self.discr_layer, self.drop_leading, self.encoder_inputs = discr_layer, drop_leading, encoder_inputs
        self.disc_weight, self.gen_weight, self.temperature = disc_weight, gen_weight, temperature
        self.never_sampled = tuple(self.masking.special_ids if never_sampled is None else sorted(set(never_sampled)))
        if tie_embeddings is not False:
            tie(generator, discriminator, tie_embeddings, heads=[] if generator_head is None else [generator_head])

    @property
    def weights(self) -> dict[str, float]:
        """What each term counts in the loss."""
        return {"mlm": self.gen_weight, "disc": self.disc_weight}

    def masked(
        self, tokens: Tensor, generator: torch.Generator | None = None, *, rate: float | None = None
    ) -> dict[str, Tensor]:
        """A ready batch of raw tokens, masked where they are."""
        return self.masking(tokens, generator=generator, rate=rate)

    def forward(
        self, tokens_or_batch: Tensor | Mapping[str, Any], *, generator: torch.Generator | None = None, **kwargs: Any
    ) -> ElectraResult:
        """The losses of tokens that are masked here, or of a ready batch; `kwargs` reach both networks.

        `generator` is of random numbers: for the masks, and for what the generator network samples.
        """
        given = tokens_or_batch
        batch = ready.checked(given) if isinstance(given, Mapping) else self.masked(given, generator)
        done, counts = self._pass(batch, generator, kwargs), self.counts(batch)
        sums, figures = done.measured
        means = {name: total / counts[name].clamp(min=1) for name, total in sums.items()}
        return ElectraResult(
            loss=done.measured.loss(self.weights, counts),
            mlm_loss=means["mlm"],
            disc_loss=means["disc"],
            gen_acc=figures["mlm_correct"] / counts["mlm"].clamp(min=1),
            disc_acc=figures["disc_correct"] / counts["disc"].clamp(min=1),
            disc_labels=done.labels,
            disc_predictions=done.predictions,
        )

    def counts(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """What the sums of `measure` are divided by; no forward pass is needed."""
        batch = ready.checked(batch)
        masked = ready.count(ready.places(batch).positions.numel(), batch["text"])
        return {"mlm": masked, "disc": ready.real_tokens(batch).sum()}

    def measure(self, batch: Mapping[str, Any], *, generator: torch.Generator | None = None, **kwargs: Any) -> Measured:
        """Sums of both losses in a ready batch, and what precision, recall and AUC are made of."""
        return self._pass(ready.checked(batch), generator, kwargs).measured

    def _pass(self, batch: dict[str, Tensor], rng: torch.Generator | None, kwargs: Mapping[str, Any]) -> Pass:
        if "weights" in batch:
            raise TrainError("a batch with weights, of masked diffusion; expected a scheme such as electra")
        text, real = batch["text"].long(), ready.real_tokens(batch)
        check_generator(rng, text.device)
        positions, labels = ready.places(batch)
        inputs = (self.encoder_inputs(batch) if self.encoder_inputs else {}) | dict(kwargs)
        vectors = of_tokens(run(self.generator, text, inputs), text, self.drop_leading, self.generator)
        logits = vectors.flatten(0, 1).index_select(0, positions)
        logits = in_full(logits if self.generator_head is None else self.generator_head(logits))
        sampled = sample(logits, self.temperature, self.never_sampled, rng)
        original = text.flatten().index_copy(0, positions, labels)
        shown = original.index_copy(0, positions, sampled)
        replaced = (shown != original).view_as(text)
        guesses = self._guess(shown.view_as(text), inputs).masked_fill(~real, 0.0)
        disc_sum = functional.binary_cross_entropy_with_logits(
            guesses, replaced.to(guesses.dtype), weight=real.to(guesses.dtype), reduction="sum"
        )
        predicted = guesses.detach() > 0
        high, low = histograms(guesses.detach(), replaced, real)
        figures = {
            "mlm_correct": right(logits, labels),
            "disc_correct": ((predicted == replaced) & real).sum(),
            "disc_true_positive": (predicted & replaced & real).sum(),
            "disc_predicted_positive": (predicted & real).sum(),
            "disc_positive": (replaced & real).sum(),
            "disc_histogram_replaced": high,
            "disc_histogram_original": low,
        }
        sums = {"mlm": functional.cross_entropy(logits, labels, reduction="sum"), "disc": disc_sum}
        return Pass(Measured(sums, figures), replaced.float(), predicted.float())

    def _guess(self, shown: Tensor, inputs: Mapping[str, Any]) -> Tensor:
        """The discriminator's logit of every token, [B, L]."""
        output = run(self.discriminator, shown, inputs, self.discr_layer)
        if self.discriminator_head is not None:
            output = self.discriminator_head(of_tokens(output, shown, self.drop_leading, self.discriminator))
            return in_full(numbers_of_tokens(output, shown, 0, self.discriminator_head))
        return in_full(numbers_of_tokens(output, shown, self.drop_leading, self.discriminator))

    def summary(self, figures: Mapping[str, Tensor], counts: Mapping[str, Tensor]) -> dict[str, float]:
        """What to report, of figures and counts that were added up; NaN where nothing was replaced or predicted."""
        return {
            "mlm_accuracy": ratio(figures["mlm_correct"], counts["mlm"]),
            "disc_accuracy": ratio(figures["disc_correct"], counts["disc"]),
            "disc_precision": ratio(figures["disc_true_positive"], figures["disc_predicted_positive"]),
            "disc_recall": ratio(figures["disc_true_positive"], figures["disc_positive"]),
            "disc_auc": auc(figures["disc_histogram_replaced"], figures["disc_histogram_original"]),
        }


@torch.no_grad()
def sample(logits: Tensor, temperature: float, never: Iterable[int], rng: torch.Generator | None) -> Tensor:
    """One id a row with probability softmax(logits / temperature); 0 takes the most probable one.

    argmax(logits - log E) with E exponential is Gumbel's way with one logarithm, of a number that is never 0.
    """
    scores = logits.detach()
    banned = tuple(id_ for id_ in never if id_ < scores.shape[1])
    if len(banned) == scores.shape[1]:
        raise TrainError("never_sampled holds every id of the generator; expected some that it may sample; drop one")
    scores = scores.index_fill(1, ids_on(banned, scores.device), -torch.inf)
    if not temperature:
        return scores.argmax(1)
    noise = torch.empty_like(scores).exponential_(generator=rng).clamp_min_(torch.finfo(scores.dtype).tiny).log_()
    return ((scores - scores.amax(1, keepdim=True)) / temperature - noise).argmax(1)
