"""What a trained model expects at the masks of a text.

folder --load_pretrained, its tokenizer--> Predictor
text with masks --ids--> hidden states --head, at the masks alone--> logits --softmax--> the likeliest tokens
fill: again and again, each time the surest of all masks is filled and the rest is computed anew

Each text is computed alone and without padding: what it gets does not depend on the texts beside it.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from tokenizers import Encoding, Tokenizer

from maskgen.train.errors import TrainError
from maskgen.train.models import Discriminator, MaskedLm, load_pretrained
from maskgen.train.models.hugging_face import CONFIG
from maskgen.train.models.tokenizer_files import completed
from preprocess.tokenization.loading import load_reference
from preprocess.tokenization.roles import Roles, require_roles, resolve_roles

MASK = "[MASK]"  # is read as the tokenizer's own mask, whatever that is called


class Candidate(NamedTuple):
    """A token for a mask, and its probability among all that the model knows."""

    token: str
    id: int
    probability: float


class Step(NamedTuple):
    """Which mask of a text was filled, counted from 0, and the likeliest tokens then: the first was taken."""

    mask: int
    candidates: list[Candidate]


@dataclass(frozen=True)
class Filled:
    """A text without masks, as the tokenizer writes it, and how it came about."""

    text: str
    steps: list[Step]


class Predictor:
    """A masked language model with its tokenizer: ``Predictor.load(folder)``.

    Probabilities are shares of all rows of the vocabulary. Special tokens, and rows without a token, are never offered.
    """

    def __init__(self, network: MaskedLm, tokenizer: Tokenizer, roles: Roles, name: str) -> None:
        """`name` is the folder, for errors."""
        require_roles(roles, ["mask"], tokenizer, name)
        ids = tokenizer.get_vocab(with_added_tokens=True)
        if max(ids.values()) >= network.config.vocab_size:
            raise TrainError(
                f"{name}: found ids up to {max(ids.values())} in the tokenizer; expected fewer than the "
                f"{network.config.vocab_size} of the model; pass the tokenizer that it was trained with"
            )
        self.network, self.tokenizer, self.name = network.eval(), tokenizer, name
        self.mask_id = int(roles.mask or 0)
        self.mask_token = str(tokenizer.id_to_token(self.mask_id))
        self._has_usual_mask = MASK in ids
        # Of each row of the vocabulary, whether it is ever an answer.
        self.offered = torch.zeros(network.config.vocab_size, dtype=torch.bool, device=self.device)
        self.offered[list(ids.values())] = True
        self.offered[_special(tokenizer, roles)] = False
        if not self.offered.any():
            raise TrainError(f"{name}: found special tokens alone; expected some to predict; check the tokenizer")

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        *,
        tokenizer: str | os.PathLike[str] | None = None,
        device: torch.device | str = "cpu",
    ) -> "Predictor":
        """The model of a run's folder, or of a folder of Hugging Face; `tokenizer` where that has none of its own."""
        path = model_folder(os.fspath(folder))
        network = load_pretrained(path, dtype=torch.float32)
        if isinstance(network, Discriminator):
            generator = os.path.join(os.path.dirname(os.path.abspath(path)), "generator")
            found = os.path.join(os.path.dirname(path), "generator") if os.path.isdir(generator) else "its generator"
            raise TrainError(
                f"{path}: found a discriminator, which tells replaced tokens and predicts none; expected a masked "
                f"language model; pass {found}"
            )
        name = path if tokenizer is None else os.fspath(tokenizer)
        loaded = load_reference(name)
        roles = resolve_roles(loaded.tokenizer, name, loaded.config)
        return cls(network.to(device), completed(loaded.tokenizer, roles), roles, name)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.network.head.bias.device

    def top(self, texts: Iterable[str], k: int = 5) -> list[list[list[Candidate]]]:
        """Of each text, of each of its masks, the `k` likeliest tokens, likeliest first."""
        encoded = [self.encoded(text) for text in _listed(texts, k)]
        return [self._candidates(encoding.ids, self._masks(encoding.ids), k) for encoding in encoded]

    def fill(self, texts: Iterable[str], k: int = 1) -> list[Filled]:
        """The texts with every mask filled, the surest first; `k` candidates are kept of each."""
        encoded = [self.encoded(text) for text in _listed(texts, k)]
        return [self._filled(encoding, k) for encoding in encoded]

    def _filled(self, encoding: Encoding, k: int) -> Filled:
        ids, places, steps = list(encoding.ids), self._masks(encoding.ids), list[Step]()
        left = list(range(len(places)))
        while left:
            offers = self._candidates(ids, [places[mask] for mask in left], k)
            surest = max(range(len(left)), key=lambda number: offers[number][0].probability)  # of equals the first
            mask = left.pop(surest)
            ids[places[mask]] = offers[surest][0].id
            steps.append(Step(mask, offers[surest]))
        own = [id_ for id_, added in zip(ids, encoding.special_tokens_mask, strict=True) if not added]
        return Filled(self.tokenizer.decode(own, skip_special_tokens=False), steps)

    def encoded(self, text: str) -> Encoding:
        """The ids of a text with a mask or several; an error where it has none, or more tokens than positions."""
        shown = repr(text) if len(text) <= 60 else f"{text[:57]!r}..."
        try:
            text.encode()
        except UnicodeEncodeError:
            raise TrainError(f"the text {shown} is no valid UTF-8; expected text; convert it") from None
        encoding = self.tokenizer.encode(text if self._has_usual_mask else text.replace(MASK, self.mask_token))
        if self.mask_id not in encoding.ids:
            raise TrainError(
                f"the text {shown} has no mask; expected {self.mask_token} where a token is to be predicted; put it in"
            )
        if len(encoding.ids) > self.network.config.max_positions:
            raise TrainError(
                f"the text {shown} has {len(encoding.ids)} tokens; expected at most "
                f"{self.network.config.max_positions}, the positions of {self.name}; shorten it"
            )
        return encoding

    def _masks(self, ids: list[int]) -> list[int]:
        return [place for place, id_ in enumerate(ids) if id_ == self.mask_id]

    @torch.inference_mode()
    def _candidates(self, ids: list[int], places: list[int], k: int) -> list[list[Candidate]]:
        hidden = self.network.encoder(torch.tensor([ids], device=self.device))
        probabilities = self.network.head(hidden[0, places]).float().softmax(dim=-1)
        if not probabilities.isfinite().all():
            raise TrainError(f"{self.name}: found logits that are no numbers; expected finite ones; train it anew")
        best = probabilities.masked_fill(~self.offered, -1.0).topk(min(k, int(self.offered.sum())))
        return [
            [
                Candidate(str(self.tokenizer.id_to_token(id_)), id_, value)
                for id_, value in zip(row, values, strict=True)
            ]
            for row, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]


def model_folder(folder: str) -> str:
    """Where the model of a run is, or `folder` itself where that is one of Hugging Face."""
    model = os.path.join(folder, "model")
    for path in (model, folder):
        if os.path.isfile(os.path.join(path, CONFIG)):
            return path
    if os.path.isdir(os.path.join(folder, "checkpoints")):
        raise TrainError(
            f"{folder}: found a run without a model yet; expected {model}, which the end of a run writes; let the run "
            "come to its end"
        )
    found = f"nothing of a model in it, no model/ and no {CONFIG}" if os.path.isdir(folder) else "no such folder"
    raise TrainError(f"{folder}: found {found}; expected the output of maskgen train, or a model's own; check the path")


def _listed(texts: Iterable[str], k: int) -> Iterable[str]:
    if isinstance(texts, str):
        raise TrainError("texts is one string; expected several; put it into a list")
    if not isinstance(k, int) or k < 1:
        raise TrainError(f"k is {k!r}; expected a whole number from 1 on: how many tokens to offer; correct it")
    return texts


def _special(tokenizer: Tokenizer, roles: Roles) -> list[int]:
    """Ids that are never an answer."""
    named = [getattr(roles, role) for role in ("cls", "sep", "mask", "pad", "unk", "eod", "bos", "eos")]
    added = [id_ for id_, token in tokenizer.get_added_tokens_decoder().items() if token.special]
    return sorted({*added, *roles.sentinels, *(id_ for id_ in named if id_ is not None)})
