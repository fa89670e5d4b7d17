"""The registry of engines: what an engine is, and which one serves a tokenizer.

An engine is made by a factory, ``factory(loaded, sample_one_in) -> Engine``, which raises EngineUnsupportedError with
the reason when it cannot give the reference's ids for that tokenizer. ``auto`` asks in the order of ENGINES.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from preprocess.tokenization.errors import EngineUnsupportedError, TokenizerError
from preprocess.tokenization.loading import Loaded

Text = str | bytes
Ids = npt.NDArray[np.int32]
Spans = npt.NDArray[np.int64]


@dataclass(frozen=True)
class EngineBatch:
    """The ids of a batch of texts, without special tokens around them."""

    ids: Ids  # all texts, one after the other
    lengths: Ids  # one a text
    sampled: Sequence[int]  # texts to compare with the reference; chosen by their content alone


class Engine(Protocol):
    """Texts in, ids out. Results must not depend on `threads` nor on how texts are cut into batches."""

    name: str

    def encode_batch(self, texts: Sequence[Text], threads: int) -> EngineBatch:
        """Encode `texts`; TextError names the first bad one."""
        ...


@dataclass(frozen=True)
class JsonBatch:
    """The ids of texts inside JSON strings."""

    ids: npt.NDArray[np.uint16] | Ids  # all texts, one after the other
    lengths: Ids  # one a span; -1 for what is no text
    sampled: Sequence[int]  # spans to compare with the reference; chosen by their content alone


@runtime_checkable
class JsonEngine(Engine, Protocol):
    """An engine that also takes texts as they stand in JSON; any other is given them decoded."""

    def encode_json(self, data: memoryview | bytes, spans: Spans, itemsize: int) -> JsonBatch:
        """See Tokenizer.encode_json; ids of `itemsize` bytes, into which the vocabulary fits."""
        ...


Factory = Callable[[Loaded, int], Engine]


def _reference(loaded: Loaded, sample_one_in: int) -> Engine:
    from preprocess.tokenization.reference import ReferenceEngine

    return ReferenceEngine(loaded, sample_one_in)


def _native(loaded: Loaded, sample_one_in: int) -> Engine:
    from preprocess.tokenization.native import NativeEngine

    return NativeEngine(loaded, sample_one_in)


def _gigatoken(loaded: Loaded, sample_one_in: int) -> Engine:
    from preprocess.tokenization.gigatoken_engine import GigatokenEngine

    return GigatokenEngine(loaded, sample_one_in)


# Fastest first; the last one serves everything.
ENGINES: dict[str, Factory] = {"native": _native, "gigatoken": _gigatoken, "reference": _reference}


def register_engine(name: str, factory: Factory) -> None:
    """Add an engine (or replace one); ``auto`` prefers it to those registered before."""
    others = {other: known for other, known in ENGINES.items() if other != name}
    ENGINES.clear()
    ENGINES.update({name: factory, **others})


def create_engine(name: str, loaded: Loaded, sample_one_in: int) -> tuple[Engine, dict[str, str]]:
    """The engine of that name, or for "auto" the first that serves the tokenizer; and why others were passed over."""
    if name != "auto":
        if name not in ENGINES:
            known = ", ".join(["auto", *sorted(ENGINES)])
            raise TokenizerError(loaded.path, f"the engine {name!r}", f"one of {known}", "correct its name")
        return ENGINES[name](loaded, sample_one_in), {}
    refusals: dict[str, str] = {}
    for candidate, factory in ENGINES.items():
        try:
            return factory(loaded, sample_one_in), refusals
        except EngineUnsupportedError as error:
            refusals[candidate] = error.reason
    reasons = "; ".join(f"{engine}: {reason}" for engine, reason in refusals.items())
    raise TokenizerError(loaded.path, "no engine that serves it", "at least the reference", reasons)
