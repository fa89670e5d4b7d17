"""Texts filled or continued with a trained model, step by step.

text + masks at its end --tokenizer--> ids --Denoiser, each text alone--> ids --tokenizer--> text without masks
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskgen.history import History
from maskgen.train.denoising.predictor import Denoiser, Model
from maskgen.train.errors import TrainError
from maskgen.train.models import MaskedLm
from maskgen.train.predict import Predictor


@dataclass(frozen=True)
class Written:
    """A text without masks, as the tokenizer writes it: its ids, how many were masks, and in how many steps."""

    text: str
    ids: list[int]
    masks: int
    steps: int


def model_of(network: MaskedLm) -> Model:
    """A masked language model as a Denoiser calls it."""

    def logits(ids: Tensor, *, attention_mask: Tensor, positions: Tensor) -> Tensor:
        mask = {} if bool(attention_mask.all()) else {"padding_mask": attention_mask}
        found: Tensor = network(ids, positions=positions, **mask)
        return found

    return logits


def denoise_texts(
    predictor: Predictor, texts: Iterable[str], *, new_tokens: int = 0, history: History | None = None, **options: Any
) -> list[Written]:
    """The texts with their masks filled, and `new_tokens` more at the end of each; `options` are those of Denoiser.

    Special tokens are never written. Each text is computed alone and with the same seed: what it gets does not depend
    on the texts beside it.
    """
    if isinstance(texts, str):
        raise TrainError("texts is one string; expected several; put it into a list")
    if not isinstance(new_tokens, int) or new_tokens < 0:
        raise TrainError(
            f"new_tokens is {new_tokens!r}; expected a whole number from 0 on: how many to write; correct it"
        )
    never = (~predictor.offered).nonzero().squeeze(1).tolist()
    denoiser = Denoiser(model_of(predictor.network), mask_id=predictor.mask_id, never=never, **options)
    encoded = [predictor.encoded(text + predictor.mask_token * new_tokens) for text in texts]
    found = []
    for encoding in encoded:
        done = denoiser.fill(torch.tensor([encoding.ids], device=predictor.device), history=history)
        ids = done.ids[0].tolist()
        own = [id_ for id_, added in zip(ids, encoding.special_tokens_mask, strict=True) if not added]
        text = predictor.tokenizer.decode(own, skip_special_tokens=False)
        found.append(Written(text, ids, encoding.ids.count(predictor.mask_id), done.steps[0]))
    return found
