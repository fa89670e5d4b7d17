"""Masking of token tensors on the device they are on: for encoders that are fed with raw ids.

tokens [B, L] --special ids out--> maskable --k smallest of random keys a row--> chosen --one draw each--> text, labels

Every row gets exactly ceil(rate x maskable) positions, every set of them equally likely; nothing but these changes.
All draws come from one ``torch.Generator``: the same state gives the same bits on the same kind of device.
"""

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

KEYS = 2**62  # of so many, two in a row of millions are hardly ever equal
FINEST = 10**9  # the denominator of rates, so that length x numerator stays below 2^63


@dataclass(frozen=True, kw_only=True)
class DeviceMasking:
    """How tensors of tokens are masked; checked when it is made.

    Of the chosen positions `mask_share` become `mask_id`, `random_share` another id, the rest stay as they are. Never
    chosen are padding, [MASK] itself, `ignore_ids` and, if `ordinary_ids` are given, all but these. Random ids are
    drawn from `ordinary_ids`, by default all below `vocab_size`, and always without the special ones.
    """

    mask_id: int
    pad_id: int
    vocab_size: int | None = None
    rate: float = 0.15
    mask_share: float = 0.9
    random_share: float = 0.0
    ignore_ids: Iterable[int] = ()
    ordinary_ids: Iterable[int] | None = field(default=None, repr=False)
    special_ids: tuple[int, ...] = field(init=False, repr=False)
    replacement_ids: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.vocab_size is not None and (type(self.vocab_size) is not int or self.vocab_size < 1):
            raise _error(f"vocab_size is {self.vocab_size!r}; expected a number of ids; pass the vocabulary's size")
        for name in ("mask_id", "pad_id"):
            object.__setattr__(self, name, self._id(getattr(self, name), name))
        if self.mask_id == self.pad_id:
            raise _error(f"mask_id and pad_id are both {self.pad_id}; expected two ids; correct one")
        for name in ("rate", "mask_share", "random_share"):
            object.__setattr__(self, name, checked_share(getattr(self, name), name))
        if self.mask_share + self.random_share > 1 + 1e-9:
            raise _error(
                f"mask_share {self.mask_share} and random_share {self.random_share} are more than 1 together; expected "
                "shares of the chosen positions; lower one"
            )
        special = {self.mask_id, self.pad_id, *(self._id(id_, "ignore_ids") for id_ in self.ignore_ids)}
        object.__setattr__(self, "ignore_ids", tuple(sorted(special - {self.mask_id, self.pad_id})))
        if self.ordinary_ids is not None:
            if self.vocab_size is None:
                raise _error("ordinary_ids without vocab_size; expected both; pass the vocabulary's size")
            given = {self._id(id_, "ordinary_ids") for id_ in self.ordinary_ids}
            object.__setattr__(self, "ordinary_ids", tuple(sorted(given)))
            special |= set(range(self.vocab_size)) - given
        object.__setattr__(self, "special_ids", tuple(sorted(special)))
        replacements = sorted(set(range(self.vocab_size or 0)) - special)
        object.__setattr__(self, "replacement_ids", tuple(replacements))
        if self.random_share and self.vocab_size is None:
            raise _error(f"random_share is {self.random_share} without vocab_size; pass the number of ids to draw from")
        if self.random_share and not replacements:
            raise _error(f"random_share is {self.random_share} and every id is special; expected an ordinary one")

    def _id(self, value: Any, name: str) -> int:
        try:
            id_ = -1 if isinstance(value, bool) else operator.index(value)
        except TypeError:
            id_ = -1
        if id_ < 0 or (self.vocab_size is not None and id_ >= self.vocab_size):
            below = "" if self.vocab_size is None else f" below the vocabulary's size, {self.vocab_size}"
            raise _error(f"{name}: {value!r} is no id; expected a whole number from 0 on{below}; pass the tokenizer's")
        return id_

    def __call__(
        self, tokens: Tensor, *, generator: torch.Generator | None = None, rate: float | None = None
    ) -> dict[str, Tensor]:
        """A ready batch, with the names that samples have: text, labels, loss_mask, padding_mask, packed positions.

        `rate` takes the place of the own one in this call. `generator` has to be on the tokens' device.
        """
        check_tokens(tokens)
        check_generator(generator, tokens.device)
        tokens, rate = tokens.long(), self.rate if rate is None else checked_share(rate, "rate")
        chosen = choose(self.maskable(tokens), rate, generator)
        draws = torch.rand(tokens.shape, generator=generator, device=tokens.device)
        text = tokens.masked_fill(chosen & (draws < self.mask_share), self.mask_id)
        if self.random_share:
            end = self.mask_share + self.random_share
            ordinary = ids_on(self.replacement_ids, tokens.device)
            others = torch.randint(len(ordinary), tokens.shape, generator=generator, device=tokens.device)
            replaced = chosen & (draws >= self.mask_share) & (draws < (1.0 if end > 1 - 1e-9 else end))
            text = torch.where(replaced, ordinary[others], text)
        used = tokens != self.pad_id
        places = chosen.flatten().nonzero().squeeze(1)
        return {
            "text": text,
            "labels": tokens.masked_fill(~chosen, -1),
            "loss_mask": chosen.long(),
            "padding_mask": used.long(),
            "lengths": used.sum(1),
            "masked_positions": places,
            "masked_labels": tokens.flatten()[places],
            "masked_counts": chosen.sum(1),
        }

    def maskable(self, tokens: Tensor) -> Tensor:
        """Where there are tokens that may be chosen."""
        return ~torch.isin(tokens, ids_on(self.special_ids, tokens.device))

    def masked_counts(self, tokens: Tensor) -> Tensor:
        """How many positions of each row a call chooses: known before it draws any."""
        return number_of(self.maskable(tokens.long()), self.rate)


@lru_cache(maxsize=32)
def ids_on(ids: tuple[int, ...], device: torch.device) -> Tensor:
    """Ids as a tensor on a device, kept there: a copy in every call would make the host wait for it."""
    return torch.tensor(ids, dtype=torch.int64, device=device)


def choose(maskable: Tensor, rate: float, generator: torch.Generator | None = None) -> Tensor:
    """Exactly ceil(rate x maskable) of the true entries of every row, every set of them equally likely."""
    wanted = number_of(maskable, rate)
    keys = torch.randint(KEYS, maskable.shape, generator=generator, device=maskable.device)
    order = keys.masked_fill(~maskable, KEYS).argsort(1)  # those that may not be chosen come last
    first = torch.arange(maskable.shape[1], device=maskable.device) < wanted[:, None]
    return torch.zeros_like(maskable).scatter(1, order, first)


def number_of(maskable: Tensor, rate: float) -> Tensor:
    """ceil(rate x maskable) of every row, in whole numbers."""
    share = meant(rate)
    return (maskable.sum(1) * share.numerator + (share.denominator - 1)) // share.denominator


def meant(rate: float) -> Fraction:
    """The number that was written: 0.07 of 100 is 7, where the product of floats is above 7 and its ceiling 8."""
    share = Fraction(repr(float(rate))).limit_denominator(FINEST)
    return share if share or not rate else Fraction(1, FINEST)


def check_tokens(tokens: Any) -> None:
    """Raise unless these are ids in rows."""
    if not isinstance(tokens, Tensor) or tokens.dim() != 2 or tokens.is_floating_point() or tokens.dtype == torch.bool:
        found = f"{tokens.dtype} of the shape {tuple(tokens.shape)}" if isinstance(tokens, Tensor) else type(tokens)
        raise _error(f"tokens are {found}; expected a tensor of ids, [rows, length]; pass integers in two dimensions")


def check_generator(generator: torch.Generator | None, device: torch.device) -> None:
    """Raise where torch would, after work was done."""
    if generator is not None and generator.device.type != device.type:
        raise _error(
            f"the generator is on {generator.device} and the tokens are on {device}; expected one device; make it "
            f"with torch.Generator({device.type!r})"
        )


def checked_share(value: Any, name: str) -> float:
    """A number from 0 to 1."""
    try:
        share = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        share = math.nan
    if not 0 <= share <= 1:
        raise _error(f"{name} is {value!r}; expected a number from 0 to 1; correct it")
    return share


def _error(message: str) -> Exception:
    from maskgen.train.errors import TrainError  # here: what is outside of training does not import it up front

    return TrainError(message)
