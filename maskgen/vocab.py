"""What masking has to know about a vocabulary: its pieces, its special ids, and which ids start a word.

tokenizer file --load_tokenizer--> pieces by id, roles --> Vocab --> candidates for masking, replacements, sentinels

A vocabulary is checked once, when it is made, and never changes afterwards: samples, batches and native kernels rely
on its ids without looking again.
"""

import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.word_starts import starts_table
from preprocess.errors import ExplainedError

Ids = npt.NDArray[np.int64]
Table = npt.NDArray[np.bool_]

ROLES = ("cls", "sep", "mask", "pad", "bos", "eos")
# Ids that may serve two roles, since well-known vocabularies have it so: <s> and </s> play [CLS] and [SEP], T5's
# decoder starts with its padding, BART's with its end, and GPT-2 has a single special token for everything.
SHARED = (
    {"cls", "bos"},
    {"sep", "eos"},
    {"bos", "pad"},
    {"bos", "eos"},
    {"bos", "sep"},
    {"cls", "eos"},
    {"eos", "pad"},
)


class VocabError(ExplainedError):
    """A vocabulary that contradicts itself, or that lacks what is asked of it."""

    def __init__(self, name: str, found: str, expected: str, remedy: str) -> None:
        super().__init__(name, "", found, expected, remedy)


class Vocab:
    """A vocabulary for masking: ``Vocab.from_tokenizer(path)``, or pieces by id and the ids of the special tokens.

    `word_starts` says which ids start a word: "auto" (told from the pieces), "wordpiece", "byte-bpe",
    "sentencepiece", or a table with one truth value an id. An empty piece is a gap: an id that stands for nothing and
    never replaces a token. Roles that a vocabulary does not have stay None; samples ask for those that they need.
    `special_ids` are further ids that are no ordinary text, such as [UNK].
    """

    __slots__ = (*(f"{role}_id" for role in ROLES), "known_ids", "name", "ordinary_ids", "pieces", "sentinel_ids",
                 "special_ids", "word_starts")  # fmt: skip

    name: str
    pieces: tuple[str, ...]
    cls_id: int | None
    sep_id: int | None
    mask_id: int | None
    pad_id: int | None
    bos_id: int | None
    eos_id: int | None
    sentinel_ids: tuple[int, ...]
    special_ids: frozenset[int]
    word_starts: Table
    known_ids: Ids
    ordinary_ids: Ids

    def __init__(
        self,
        pieces: Iterable[str],
        *,
        cls_id: int | None = None,
        sep_id: int | None = None,
        mask_id: int | None = None,
        pad_id: int | None = None,
        bos_id: int | None = None,
        eos_id: int | None = None,
        sentinel_ids: Iterable[int] = (),
        word_starts: str | Sequence[bool] | Table = "auto",
        special_ids: Iterable[int] = (),
        name: str = "vocabulary",
    ) -> None:
        by_id = _checked_pieces(pieces, name)
        given = dict(zip(ROLES, (cls_id, sep_id, mask_id, pad_id, bos_id, eos_id), strict=True))
        roles = {role: _checked_id(id_, f"{role}_id", by_id, name) for role, id_ in given.items() if id_ is not None}
        sentinels = tuple(_checked_id(id_, "sentinel_ids", by_id, name) for id_ in sentinel_ids)
        _check_distinct(roles, sentinels, by_id, name)
        others = {_checked_id(id_, "special_ids", by_id, name) for id_ in special_ids}
        special = frozenset({*roles.values(), *sentinels, *others})
        known = np.flatnonzero(np.fromiter(map(bool, by_id), bool, len(by_id))).astype(np.int64)
        values = {
            "name": name,
            "pieces": by_id,
            **{f"{role}_id": roles.get(role) for role in ROLES},
            "sentinel_ids": sentinels,
            "special_ids": special,
            "word_starts": _frozen(_table(word_starts, by_id, name)),
            "known_ids": _frozen(known),
            "ordinary_ids": _frozen(np.setdiff1d(known, np.fromiter(special, np.int64, len(special)))),
        }
        for attribute, value in values.items():
            object.__setattr__(self, attribute, value)

    @classmethod
    def from_tokenizer(
        cls,
        path: str | os.PathLike[str],
        *,
        roles: Mapping[str, str] | None = None,
        sentinel_ids: Iterable[int] | None = None,
        word_starts: str | Sequence[bool] | Table = "auto",
    ) -> "Vocab":
        """The vocabulary of a tokenizer file or folder, added tokens included.

        `roles` names the tokens of special roles where the usual names do not apply, as in load_tokenizer;
        `sentinel_ids` are for vocabularies whose sentinels have other names than <extra_id_0>.
        """
        from preprocess import load_tokenizer

        tokenizer = load_tokenizer(path, engine="reference", roles=roles, sample_one_in=0)
        found = tokenizer.roles
        return cls(
            tokenizer.pieces,
            **{f"{role}_id": getattr(found, role) for role in ROLES},
            sentinel_ids=found.sentinels if sentinel_ids is None else sentinel_ids,
            word_starts=word_starts,
            special_ids=tokenizer.special_ids,
            name=os.fspath(path),
        )

    def require(self, *roles: str) -> None:
        """Raise unless there is an id for each of these roles; "sentinels" is one, too."""
        for role in roles:
            if role == "sentinels":
                if not self.sentinel_ids:
                    raise VocabError(
                        self.name, "no sentinels", "ids that stand for masked spans, such as <extra_id_0>",
                        "use another tokenizer, or pass sentinel_ids",
                    )  # fmt: skip
            elif role not in ROLES:
                raise VocabError(self.name, f"the role {role!r}", f"one of {', '.join(ROLES)}", "correct its name")
            elif getattr(self, f"{role}_id") is None:
                known = ", ".join(f"{each} {id_}" for each, id_ in self._roles().items()) or "none"
                raise VocabError(
                    self.name, f"no id for {role} (known: {known})", f"the id of the {role} token",
                    f'pass {role}_id, or roles={{"{role}": "..."}} to from_tokenizer '
                    f"(--role {role}=...), or use another tokenizer",
                )  # fmt: skip

    def ids(self, *roles: str) -> list[int]:
        """The ids of these roles; an error where one is missing."""
        self.require(*roles)
        return [getattr(self, f"{role}_id") for role in roles]

    def __len__(self) -> int:
        return len(self.pieces)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Vocab does not change: make another one to have another {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Vocab does not change: {name} stays")

    def __reduce__(self) -> tuple[Any, ...]:
        keywords = {f"{role}_id": id_ for role, id_ in self._roles().items()}
        return _restore, (
            self.pieces,
            keywords | {
                "sentinel_ids": self.sentinel_ids,
                "word_starts": self.word_starts,
                "special_ids": sorted(self.special_ids),
                "name": self.name,
            },
        )  # fmt: skip

    def __repr__(self) -> str:
        roles = ", ".join(f"{role} {id_}" for role, id_ in self._roles().items())
        sentinels = f", {len(self.sentinel_ids)} sentinels" if self.sentinel_ids else ""
        return f"Vocab({self.name!r}: {len(self)} ids, {roles or 'no roles'}{sentinels})"

    def _roles(self) -> dict[str, int]:
        return {role: id_ for role in ROLES if (id_ := getattr(self, f"{role}_id")) is not None}


def _restore(pieces: tuple[str, ...], keywords: dict[str, Any]) -> Vocab:
    return Vocab(pieces, **keywords)


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.flags.writeable = False
    return array


def _checked_pieces(pieces: Iterable[str], name: str) -> tuple[str, ...]:
    if isinstance(pieces, (str, bytes, Mapping)):
        raise VocabError(name, f"pieces in a {type(pieces).__name__}", "a list of pieces, by id", "pass such a list")
    by_id = tuple(pieces)
    for id_, piece in enumerate(by_id):
        if not isinstance(piece, str):
            raise VocabError(
                name, f"a {type(piece).__name__} as the piece of id {id_}", "a str", "an id without a piece has ''"
            )
    if not any(by_id):
        raise VocabError(name, f"{len(by_id)} ids and no piece", "at least one piece", "check where it comes from")
    return by_id


def _checked_id(id_: Any, place: str, pieces: tuple[str, ...], name: str) -> int:
    try:
        value = operator.index(id_)
    except TypeError:
        value = -1
    if isinstance(id_, (bool, np.bool_)) or not 0 <= value < len(pieces):
        raise VocabError(
            name, f"{place} {id_!r}", f"an id from 0 to {len(pieces) - 1}", "correct it, or pass all the pieces"
        )
    return value


def _check_distinct(roles: Mapping[str, int], sentinels: tuple[int, ...], pieces: tuple[str, ...], name: str) -> None:
    seen: dict[int, list[str]] = {}
    for role, id_ in roles.items():
        for other in seen.get(id_, ()):
            if {role, other} not in SHARED:
                raise VocabError(
                    name, f"id {id_} ({pieces[id_]!r}) as {other} and as {role}", "an id of its own for each of them",
                    "correct one of the two",
                )  # fmt: skip
        seen.setdefault(id_, []).append(role)
    for id_ in sentinels:
        if id_ in seen:
            raise VocabError(
                name, f"id {id_} ({pieces[id_]!r}) as a sentinel and as {seen[id_][0]}",
                "sentinels that differ from each other and from every other special id", "correct sentinel_ids",
            )  # fmt: skip
        seen[id_] = ["another sentinel"]


def _table(rule: str | Sequence[bool] | Table, pieces: tuple[str, ...], name: str) -> Table:
    if isinstance(rule, str):
        try:
            return np.array(starts_table(pieces, rule), dtype=np.bool_)
        except ValueError as error:
            raise VocabError(
                name, f"word_starts={rule!r} ({error})", "a rule on pieces that fits", "give another rule, or a table"
            ) from error
    table = np.array(rule)
    if table.dtype != np.bool_ or table.shape != (len(pieces),):
        raise VocabError(
            name, f"word_starts of {table.dtype} with the shape {table.shape}",
            f"bool with the shape ({len(pieces)},): one truth value an id", "correct it, or leave it at 'auto'",
        )  # fmt: skip
    return table
