"""What all schemes share: from rows of tokens and their draws to the arrays of a batch.

tokens [B, L], lengths, Draws, rate --Scheme.fill--> the arrays of `out`, and how many masked tokens there are

A scheme is made once, for a vocabulary and a row length, and never changes. Ids that are special in the vocabulary are
never chosen, and none but the mask, sentinels and what a scheme documents is ever inserted.
"""

import math
import reprlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from maskgen.samples.arrays import Batch, Field
from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError
from maskgen.schemes.draws import MOST_PLACES, Draws
from maskgen.vocab import Ids, Table, Vocab


class Scheme(ABC):
    """How rows of tokens become masked samples."""

    name: ClassVar[str]
    version: ClassVar[int] = 1  # of what the scheme promises: it changes when its bits do
    fields: tuple[Field, ...]

    def __init__(self, vocab: Vocab, seq_length: int, *, rate: float) -> None:
        if not isinstance(vocab, Vocab):
            raise SampleError(f"vocab is a {type(vocab).__name__}; expected a Vocab; pass Vocab.from_tokenizer(path)")
        self.vocab = vocab
        self.seq_length = integer(seq_length, "seq_length", 1)
        if self.seq_length >= MOST_PLACES:
            raise SampleError(f"seq_length is {seq_length}; expected less than {MOST_PLACES}; use shorter rows")
        self.rate = checked_share(rate, "rate")
        self.ordinary: Table = np.zeros(len(vocab), np.bool_)  # the ids that may be chosen
        self.ordinary[vocab.ordinary_ids] = True

    @property
    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Everything that changes the arrays, as JSON can hold it."""

    @abstractmethod
    def fill(self, tokens: Ids, lengths: Ids, draws: Draws, rate: float | None, out: Batch) -> int:
        """Fill `out` with the samples of these rows; return how many entries of packed arrays are in use.

        `rate` takes the place of the scheme's own in this call. Row i depends on ``tokens[i, :lengths[i]]`` and on
        the draws of row i alone.
        """

    def maskable(self, tokens: Ids, lengths: Ids) -> Table:
        """The places that hold an ordinary token."""
        return self.ordinary[tokens] & (np.arange(tokens.shape[1]) < lengths[:, None])


def encoder_fields(vocab: Vocab, width: int) -> tuple[Field, ...]:
    """The arrays of schemes that predict tokens in place."""
    largest = len(vocab) - 1
    return (
        Field("text", "row", width, 0, largest),
        Field("labels", "row", width, -1, largest),
        Field("loss_mask", "row", width, 0, 1),
        Field("padding_mask", "row", width, 0, 1),
        Field("lengths", "number", width, 0, width),
        Field("masked_positions", "packed", width, 0, None),
        Field("masked_labels", "packed", width, 0, largest),
        Field("masked_counts", "number", width, 0, width),
    )


def write_masked(tokens: Ids, text: Ids, chosen: Table, lengths: Ids, pad: int, out: Batch) -> int:
    """The arrays of `encoder_fields`, of the original `tokens`, the `text` shown, and the places to predict."""
    used = np.arange(tokens.shape[1]) < lengths[:, None]
    out["text"][...] = np.where(used, text, pad)
    out["labels"][...] = np.where(chosen, tokens, -1)
    out["loss_mask"][...] = chosen
    out["padding_mask"][...] = used
    out["lengths"][...] = lengths
    places = np.flatnonzero(chosen)
    out["masked_positions"][: len(places)] = places
    out["masked_labels"][: len(places)] = tokens.ravel()[places]
    out["masked_counts"][...] = chosen.sum(axis=1)
    return len(places)


def checked_share(value: Any, name: str, most: float = 1.0) -> float:
    """A number from 0 to `most`."""
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = math.nan
    if not 0 <= share <= most or isinstance(value, (bool, str)):
        raise SampleError(f"{name} is {value!r}; expected a number from 0 to {most:g}; correct it")
    return share


def checked_numbers(values: Any, name: str, count: int) -> npt.NDArray[np.float64]:
    """`count` finite numbers from 0 on, not all of them 0."""
    try:
        numbers = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):  # text, lists of different lengths, integers beyond any double
        numbers = np.full((), np.nan)
    if numbers.shape != (count,) or not np.isfinite(numbers).all() or numbers.min() < 0 or not numbers.max() > 0:
        found = f"of the shape {numbers.shape}" if np.ndim(numbers) else reprlib.repr(values)
        raise SampleError(f"{name} are {found}; expected {count} numbers from 0 on, some above 0; correct them")
    return numbers


def checked_ids(ids: Any, name: str, vocab: Vocab) -> Ids:
    """Ids of the vocabulary, at least one."""
    try:
        array: npt.NDArray[Any] = np.array(ids)
    except ValueError:  # lists of different lengths
        array = np.empty(0, object)
    if array.ndim != 1 or array.dtype.kind not in "iu" or not array.size:
        raise SampleError(
            f"{name} are {array.dtype} of the shape {array.shape}; expected at least one id; correct them"
        )
    if int(array.min()) < 0 or int(array.max()) >= len(vocab):
        raise SampleError(
            f"{name} are from {array.min()} to {array.max()}; expected ids from 0 to {len(vocab) - 1}; correct them"
        )
    return array.astype(np.int64)


class EncoderScheme(Scheme):
    """A scheme that predicts tokens in place: it needs [MASK], and padding for short rows."""

    def __init__(self, vocab: Vocab, seq_length: int, *, rate: float) -> None:
        super().__init__(vocab, seq_length, rate=rate)
        self.mask_id, self.pad_id = vocab.ids("mask", "pad")
        self.fields = encoder_fields(vocab, self.seq_length)
