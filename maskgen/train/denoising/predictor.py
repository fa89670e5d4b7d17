"""Fills masks step by step: XLM's predictor around any model of masked tokens.

prefixes + masks | rows with masks --model--> logits --positions, schedule, sampling--> some masks filled --> again
                                                        `--top tokens--> History

A row has its own generator, its own number of steps and its own budget, and is not computed any more when it is done:
with the same logits it comes out the same whichever rows are beside it.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from maskgen.history import History
from maskgen.train.denoising.positions import checked_strategy, chosen, errors
from maskgen.train.denoising.sampling import check_sampling, row_seed, sampled
from maskgen.train.denoising.schedule import Schedule, budget, schedule_of
from maskgen.train.errors import TrainError
from maskgen.train.objectives.ready import positions_of

Model = Callable[..., Tensor]  # model(ids [B, L], attention_mask=bool [B, L], positions=[B, L]) gives logits [B, L, V]


@dataclass(frozen=True)
class Denoised:
    """Rows without masks, and how they came about.

    `text` is of the rows, up to an end after `output_start_idx`; empty without a tokenizer. `loss` [B] is the mean
    cross-entropy of the targets at the masks, before any was filled; None without targets. `time_taken` is how many
    seconds each row took from the call on, `steps` how many times the model was asked for it.
    """

    text: list[str]
    ids: Tensor
    loss: Tensor | None
    time_taken: list[float]
    output_start_idx: Tensor
    steps: list[int]


class Denoiser:
    """Fills masks with `model`, several at a step: ``Denoiser(model, mask_id=..., max_steps=8).fill(ids)``.

    `model` takes ids [B, L] with attention_mask (bool) and positions, and returns logits [B, L, V]. `mask_id`, `pad_id`
    and the ids of `never` are not written. `max_steps` is the most for a row (None: one mask a step) and
    `noise_schedule` says how many masks each leaves. `confidence` picks them: uniform, top, gap or entropy; with a
    `threshold` more are filled at once as long as the sum of errors stays within it. `temperature` 0 takes the
    likeliest token. Every call is a function of `seed`, or draws its seed from a `generator`.
    """

    def __init__(
        self,
        model: Model,
        *,
        mask_id: int,
        pad_id: int | None = None,
        eos_id: int | None = None,
        max_steps: int | None = None,
        max_new_tokens: int | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        temperature: float = 1.0,
        noise_schedule: str | Schedule = "linear",
        confidence: str = "uniform",
        threshold: float | None = None,
        tokenizer: Tokenizer | None = None,
        skip_special_tokens: bool = True,
        never: Iterable[int] = (),
        seed: int = 1234,
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        for name, value in (("max_steps", max_steps), ("max_new_tokens", max_new_tokens)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise TrainError(f"{name} is {value!r}; expected a whole number from 1 on, or None; correct it")
        check_sampling(temperature, top_k, top_p)
        self.model, self.mask_id, self.pad_id, self.eos_id = model, mask_id, pad_id, eos_id
        self.max_steps, self.max_new_tokens = max_steps, max_new_tokens
        self.top_k, self.top_p, self.temperature = top_k, top_p, temperature
        self.schedule = schedule_of(noise_schedule)
        self.confidence, self.threshold = checked_strategy(confidence, threshold), threshold
        self.tokenizer, self.skip_special_tokens = tokenizer, skip_special_tokens
        self.never = sorted({mask_id, *([] if pad_id is None else [pad_id]), *never})
        self.seed, self.generator, self.device = seed, generator, torch.device(device)

    def generate(
        self,
        prefixes: Tensor | Sequence[Sequence[int]],
        attention_mask: Tensor | None = None,
        *,
        numbers: Sequence[int] | None = None,
        history: History | None = None,
    ) -> Denoised:
        """`max_new_tokens` tokens after each prefix; an empty one is nothing to go by.

        Lists are padded on the left, so that all rows write from the same place on, and put on `device`; a tensor has
        its `attention_mask`, or padding where it has `pad_id`.
        """
        if self.max_new_tokens is None:
            raise TrainError("max_new_tokens is None; expected how many tokens to write after a prefix; pass it")
        if not isinstance(prefixes, Tensor):
            prefixes, attention_mask = self._padded(prefixes)
        real = real_tokens(prefixes, attention_mask, self.pad_id)
        masks = prefixes.new_full((len(prefixes), self.max_new_tokens), self.mask_id)
        ids = torch.cat((prefixes, masks), 1)
        real = torch.cat((real, torch.ones_like(masks, dtype=torch.bool)), 1)
        start = torch.full((len(ids),), prefixes.shape[1], device=ids.device)
        return self._denoised(ids, real, start, None, numbers, history)

    def fill(
        self,
        ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        targets: Tensor | None = None,
        numbers: Sequence[int] | None = None,
        history: History | None = None,
    ) -> Denoised:
        """The masks of rows [B, L] filled; nothing else is changed.

        `numbers` seed the rows, by default 0, 1, 2...: a row with the same number is filled the same in another batch.
        """
        real = real_tokens(ids, attention_mask, self.pad_id)
        if targets is not None and targets.shape != ids.shape:
            raise TrainError(
                f"targets have shape {tuple(targets.shape)}, ids have {tuple(ids.shape)}; expected the same; pass "
                "those of one batch"
            )
        masked = (ids == self.mask_id) & real
        places = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        start = places.masked_fill(~masked, ids.shape[1]).amin(1) if ids.shape[1] else places.sum(1)
        return self._denoised(ids, real, start, targets, numbers, history)

    def _padded(self, prefixes: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        width = max(map(len, prefixes), default=0)
        # What stands in padding is attended by nobody; a model without an id for it gets any.
        filler = 0 if self.pad_id is None else self.pad_id
        rows = [[filler] * (width - len(each)) + list(each) for each in prefixes]
        real = [[False] * (width - len(each)) + [True] * len(each) for each in prefixes]
        shape = (len(rows), width)
        tokens = torch.tensor(rows, dtype=torch.long, device=self.device).view(shape)
        return tokens, torch.tensor(real, dtype=torch.bool, device=self.device).view(shape)

    @torch.inference_mode()
    def _denoised(
        self,
        ids: Tensor,
        real: Tensor,
        start: Tensor,
        targets: Tensor | None,
        numbers: Sequence[int] | None,
        history: History | None,
    ) -> Denoised:
        ids, begin = ids.long().clone(), time.perf_counter()
        masked = (ids == self.mask_id) & real
        generators = self._generators(len(ids), numbers, ids.device)
        left, positions = masked.sum(1).tolist(), positions_of(real)
        steps = [self.max_steps or count for count in left]
        taken, seconds = [0] * len(ids), [0.0] * len(ids)
        loss = None if targets is None else torch.zeros(len(ids), device=ids.device)
        first = 0 if history is None else history.begin(ids.tolist())
        while any(left):
            rows = [row for row, count in enumerate(left) if count]
            at = torch.tensor(rows, device=ids.device)
            logits, places = self._logits(ids[at], real[at], positions[at], masked[at])
            if loss is not None and targets is not None and not any(taken):
                nats = torch.nn.functional.cross_entropy(logits, targets[at][masked[at]], reduction="none")
                loss[at] = torch.zeros_like(masked[at], dtype=nats.dtype).masked_scatter(masked[at], nats).sum(1)
                loss = loss / masked.sum(1).clamp(min=1)
            self._remove(logits)
            budgets = [budget(left[row], taken[row] + 1, steps[row], self.schedule) for row in rows]
            probabilities = logits.softmax(-1)
            picked = self._picked(probabilities, masked[at], budgets, [generators[row] for row in rows])
            flat = picked[masked[at]]  # of the masks of all rows, one after the other
            begins = 0
            for number, row in enumerate(rows):
                own = slice(begins, begins + left[row])
                begins += left[row]
                filled = self._sampled(logits[own][flat[own]], generators[row])
                ids[row, picked[number]] = filled
                if history is not None:
                    history.step(first + row, places[own], probabilities[own], flat[own], filled)
                left[row] -= len(filled)
                taken[row] += 1
                seconds[row] = time.perf_counter() - begin
            masked[at] &= ~picked
        text = [] if self.tokenizer is None else self._texts(self.tokenizer, ids, real, start)
        return Denoised(text, ids, loss, seconds, start, taken)

    def _generators(self, rows: int, numbers: Sequence[int] | None, device: torch.device) -> list[torch.Generator]:
        seed = self.seed
        if self.generator is not None:
            seed = int(torch.randint(2**62, (1,), generator=self.generator, device=self.generator.device))
        return [torch.Generator(device).manual_seed(row_seed(seed, number)) for number in numbered(rows, numbers)]

    def _logits(self, ids: Tensor, real: Tensor, positions: Tensor, masked: Tensor) -> tuple[Tensor, Tensor]:
        """Of all masks, row after row: logits [M, V] in full precision, and their places in the row [M]."""
        logits = self.model(ids, attention_mask=real, positions=positions)
        if logits.dim() != 3 or logits.shape[:2] != ids.shape:
            raise TrainError(
                f"the model gave {tuple(logits.shape)} for ids of {tuple(ids.shape)}; expected logits [B, L, V], one "
                "for each place; leave out what it puts before or after them"
            )
        outside = [id_ for id_ in self.never if not 0 <= id_ < logits.shape[2]]
        if outside or len(self.never) >= logits.shape[2]:
            raise TrainError(
                f"the model has {logits.shape[2]} tokens, of which {len(self.never)} are never to be written, "
                f"{outside or 'none'} of them beyond its last; expected ids of its own, and some left; correct `never`"
            )
        found = logits[masked].float()
        if found.isnan().any() or (found == torch.inf).any():
            raise TrainError("found logits that are no numbers; expected finite ones; train the model anew")
        return found, masked.nonzero()[:, 1]

    def _remove(self, logits: Tensor) -> None:
        logits[:, self.never] = -torch.inf
        if (logits.amax(-1) == -torch.inf).any():
            raise TrainError("found no token that may be written at a mask; expected one; correct the model or `never`")

    def _picked(
        self, probabilities: Tensor, masked: Tensor, budgets: Sequence[int], generators: Sequence[torch.Generator]
    ) -> Tensor:
        if self.confidence == "uniform":
            counts = masked.sum(1).tolist()
            pairs = zip(counts, generators, strict=True)
            found = torch.cat([torch.rand(count, generator=each, device=masked.device) for count, each in pairs])
        else:
            found = errors(probabilities, self.confidence)
        spread = torch.zeros_like(masked, dtype=found.dtype).masked_scatter(masked, found)
        return chosen(spread, masked, torch.tensor(budgets), self.threshold)

    def _sampled(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        return sampled(logits, generator, self.temperature, self.top_k, self.top_p)

    def _texts(self, tokenizer: Tokenizer, ids: Tensor, real: Tensor, start: Tensor) -> list[str]:
        texts = []
        for row, (used, begin) in enumerate(zip(real, start.tolist(), strict=True)):
            before, after = ids[row, :begin][used[:begin]].tolist(), ids[row, begin:][used[begin:]].tolist()
            if self.eos_id in after:
                after = after[: after.index(self.eos_id) + 1]
            texts.append(tokenizer.decode(before + after, skip_special_tokens=self.skip_special_tokens))
        return texts


def real_tokens(ids: Tensor, attention_mask: Tensor | None, pad_id: int | None = None) -> Tensor:
    """True where rows [B, L] have tokens: as the mask says, or without one at all but `pad_id`."""
    if ids.dim() != 2 or ids.is_floating_point():
        raise TrainError(f"ids are {ids.dtype} of shape {tuple(ids.shape)}; expected integers [B, L]; reshape them")
    if attention_mask is not None:
        if attention_mask.shape != ids.shape:
            raise TrainError(
                f"attention_mask has shape {tuple(attention_mask.shape)}, ids have {tuple(ids.shape)}; expected "
                "the same; pass those of one batch"
            )
        return attention_mask.bool()
    return torch.ones_like(ids, dtype=torch.bool) if pad_id is None else ids != pad_id


def numbered(rows: int, numbers: Sequence[int] | None) -> Sequence[int]:
    """The numbers that seed rows, by default 0, 1, 2..."""
    if numbers is not None and len(numbers) != rows:
        raise TrainError(f"{len(numbers)} numbers for {rows} rows; expected one each; pass as many")
    return range(rows) if numbers is None else numbers
