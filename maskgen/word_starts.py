"""Which pieces of a vocabulary start a word: what whole-word masking and word n-grams are built on.

A rule is a property of the piece's text alone. Three are known, one for each family of tokenizers; anything else is an
explicit table, one truth value an id.
"""

from collections.abc import Callable, Container, Sequence

import numpy as np
import numpy.typing as npt

# A byte-level piece spells white space as one of these: space, line feed, tab, carriage return.
BYTE_LEVEL_SPACES = ("Ġ", "Ċ", "ĉ", "č")

RULES: dict[str, Callable[[str], bool]] = {
    "wordpiece": lambda piece: not piece.startswith("##"),
    "byte-bpe": lambda piece: piece.startswith(BYTE_LEVEL_SPACES),
    "sentencepiece": lambda piece: piece.startswith("▁"),
}


def starts_word(rule: str) -> Callable[[str], bool]:
    """The rule of that name, as a function of a piece."""
    if rule not in RULES:
        raise ValueError(f"word_starts is {rule!r}; expected one of {', '.join(RULES)}, or a table of truth values")
    return RULES[rule]


def detect_rule(pieces: Sequence[str]) -> str:
    """The rule that a vocabulary follows: that of the marker which most of its pieces carry."""
    marked = {
        "wordpiece": sum(piece.startswith("##") for piece in pieces),
        "byte-bpe": sum(piece.startswith("Ġ") for piece in pieces),
        "sentencepiece": sum(piece.startswith("▁") for piece in pieces),
    }
    rule = max(marked, key=lambda name: marked[name])
    if marked[rule] == 0:
        raise ValueError(
            f"no piece of this vocabulary of {len(pieces)} has a marker of word boundaries (##, Ġ or ▁); "
            f"give word_starts: one of {', '.join(RULES)}, or a table of truth values, one a piece"
        )
    return rule


def starts_table(pieces: Sequence[str], rule: str = "auto") -> npt.NDArray[np.bool_]:
    """For each id whether its piece starts a word."""
    starts = starts_word(detect_rule(pieces) if rule == "auto" else rule)
    return np.fromiter(map(starts, pieces), np.bool_, len(pieces))


def starts_by_table(tokens: list[int], table: npt.NDArray[np.bool_]) -> bytes:
    """For each token a byte: 1 where its piece starts a word."""
    if tokens and not 0 <= min(tokens) <= max(tokens) < len(table):
        raise unknown_token(tokens, range(len(table)), len(table))
    return table[tokens].tobytes()


def unknown_token(tokens: list[int], known: Container[int], size: int) -> ValueError:
    """The error for the first token that is not one of the `known` ids."""
    where, token = next((where, token) for where, token in enumerate(tokens) if token not in known)
    return ValueError(
        f"token {token} at position {where} is not in the vocabulary of {size} ids; "
        "expected tokens and vocabulary of the same tokenizer"
    )
