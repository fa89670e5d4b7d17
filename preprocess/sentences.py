"""Sentence splitting: the default rules, NLTK's Punkt, or line ends.

text --splitter--> where sentences begin --> slices of the text

With ``keep_newlines`` a sentence keeps the white space behind it (and the first one what is in front of it), so that
the sentences, joined, are the text. Without it white space around sentences is dropped, and nothing else.
"""

from collections.abc import Callable
from functools import cache

from preprocess import _native, sentence_rules
from preprocess.errors import MaskgenError

Splitter = Callable[[str], list[str]]
METHODS = ("default", "punkt", "newline")


class SentenceSplitterError(MaskgenError, ValueError):
    """A splitter that does not exist, or lacks what it needs."""


@cache
def _native_splitter() -> _native.SentenceSplitter:
    return _native.SentenceSplitter(
        never_last=sentence_rules.NEVER_LAST,
        before_numbers=sentence_rules.BEFORE_NUMBERS,
        sometimes_last=sentence_rules.SOMETIMES_LAST,
        starters=sentence_rules.STARTERS,
    )


def sentence_starts_in_bytes(text: bytes) -> list[int]:
    """Where the default rules begin a sentence in UTF-8 bytes, the first one (at 0) left out."""
    return _native_splitter().starts(text)


def split_by_rules(text: str) -> list[str]:
    """All of the text, cut by the default rules."""
    try:
        content = text.encode()
    except UnicodeEncodeError:  # half a surrogate pair has no UTF-8 form
        return _cut(text, sentence_rules.sentence_starts(text))
    starts = sentence_starts_in_bytes(content)
    if len(content) == len(text):
        return _cut(text, starts)
    ends = [*starts, len(content)]
    return [content[begin:end].decode() for begin, end in zip([0, *starts], ends, strict=True)]


def split_by_lines(text: str) -> list[str]:
    r"""All of the text, cut behind every \n (and at no other character)."""
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + lines[-1:]


def _cut(text: str, starts: list[int]) -> list[str]:
    return [text[begin:end] for begin, end in zip([0, *starts], [*starts, len(text)], strict=True)]


def _load_punkt(language: str) -> Splitter:
    try:
        from nltk.tokenize.punkt import PunktTokenizer
    except ImportError as error:
        raise SentenceSplitterError(
            "sentence splitter 'punkt': found no package nltk (3.9 or newer); install it with `pip install nltk`, "
            "or use the default splitter"
        ) from error
    try:
        model = PunktTokenizer(language)
    except LookupError as error:
        raise SentenceSplitterError(
            f"sentence splitter 'punkt': found no NLTK data for {language!r}; get it once with "
            "`python -m nltk.downloader punkt_tab`, or set NLTK_DATA to a folder with tokenizers/punkt_tab, "
            "or use the default splitter"
        ) from error

    def split(text: str) -> list[str]:
        return _cut(text, [begin for begin, _ in model.span_tokenize(text)][1:])

    return split


def load_splitter(method: str = "default", *, language: str = "english", keep_newlines: bool = False) -> Splitter:
    """A function from a text to its sentences; `language` is for Punkt alone."""
    split: Splitter
    if method == "default":
        split = split_by_rules
    elif method == "newline":
        split = split_by_lines
    elif method == "punkt":
        split = _load_punkt(language)
    else:
        raise SentenceSplitterError(f"sentence splitter {method!r}: expected one of {', '.join(METHODS)}")
    if keep_newlines:
        return lambda text: [sentence for sentence in split(text) if sentence]
    return lambda text: [stripped for sentence in split(text) if (stripped := sentence.strip())]
