"""A running engine against the reference: on a sample of its texts, and the shortest text that shows a difference."""

from collections.abc import Callable

from preprocess.tokenization.engines import Engine, EngineBatch, Text
from preprocess.tokenization.errors import EngineMismatchError
from preprocess.tokenization.reference import as_str

LONGEST_CHECKED = 16384  # characters; of a longer text its beginning is compared

Encode = Callable[[str], list[int]]


def check_sample(engine: Engine, reference: Encode, texts: list[Text], batch: EngineBatch) -> None:
    """Compare the sampled texts' ids with the reference; EngineMismatchError with the shortest text that differs."""
    if not batch.sampled:
        return
    ends = batch.lengths.cumsum(dtype="int64")
    for index in batch.sampled:
        text = as_str(texts[index], index)
        if len(text) <= LONGEST_CHECKED:
            found = batch.ids[ends[index] - batch.lengths[index] : ends[index]].tolist()
        else:
            text = text[:LONGEST_CHECKED]
            found = encode_with(engine, text)
        if found != reference(text):
            report_difference(engine, reference, text)


def encode_with(engine: Engine, text: str) -> list[int]:
    """One text through an engine."""
    return [int(id_) for id_ in engine.encode_batch([text], 1).ids]


def report_difference(engine: Engine, reference: Encode, text: str) -> None:
    """Raise EngineMismatchError for the shortest part of `text` that still differs.

    When only the batch differed (the engine gives other ids for the same text alone), the whole text is reported.
    """

    def differs(candidate: str) -> bool:
        return encode_with(engine, candidate) != reference(candidate)

    shortest = shrink(text, differs) if differs(text) else text
    raise EngineMismatchError(engine.name, shortest, encode_with(engine, shortest), reference(shortest))


def shrink(text: str, differs: Callable[[str], bool]) -> str:
    """Cut pieces out of `text`, halves first and single characters last, as long as it still differs."""
    size = max(1, len(text) // 2)
    while True:
        position, smaller = 0, False
        while position < len(text):
            candidate = text[:position] + text[position + size :]
            if candidate and differs(candidate):
                text, smaller = candidate, True
            else:
                position += size
        if size > 1:
            size = max(1, min(size, len(text)) // 2)
        elif not smaller:
            return text
