"""One JSON line as documents: the definition of what a record is, and of why a line is none.

line --strict UTF-8--> str --nesting counted--> --json.loads--> object --each key in the order given--> documents

The checks come in that order and the first that fails names the reason, since reasons are counted. The native scan
(csrc/jsonl.hpp) takes the lines on which nothing is unusual; every other line comes here.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from preprocess.corpora.errors import (
    DUPLICATE_KEY,
    INVALID_UTF8,
    LONE_SURROGATE,
    MISSING_KEY,
    NOT_AN_OBJECT,
    NOT_JSON,
    NOT_TEXT,
    NULL,
    TOO_DEEP,
    BadRecordError,
)
from preprocess.corpora.records import Document

DEEPEST = 200  # brackets open at once; Python's own limit depends on its version and on who calls
_NAMED = 8  # members that a message lists
_NAME_LENGTH = 40

_BRACKETS = re.compile(r'\\.|["\[\]{}]', re.DOTALL)


class _Object(dict[str, Any]):
    """A JSON object that remembers which names it had more than once (of their values it keeps the last)."""

    repeated: frozenset[str] = frozenset()


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) != len(pairs):
        times = Counter(name for name, _ in pairs)
        made.repeated = frozenset(name for name, count in times.items() if count > 1)
    return made


# Integers as float: int() refuses more than 4,300 digits, and nothing here looks at the value.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=float)


def is_blank(line: bytes) -> bool:
    """Whether a line holds white space alone: then it is no record, and no error."""
    return not line.strip()


def read_json_line(line: bytes, keys: Sequence[str]) -> list[Document]:
    """The documents of one record, one for each key; BadRecordError with the reason where there are none."""
    text = _decode(line)
    _check_nesting(text)
    if text.startswith("\ufeff"):
        raise BadRecordError(NOT_JSON, "a byte order mark at column 1")
    try:
        record = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadRecordError(NOT_JSON, f"{error.msg} at column {error.pos + 1}") from None
    if not isinstance(record, _Object):
        raise BadRecordError(NOT_AN_OBJECT, _kind(record))
    return [_document(_member(record, key), key) for key in keys]


def read_json_string(content: bytes) -> str:
    """The text that stands between the quotes of a JSON string; BadRecordError where it is none."""
    text = _decode(content)
    if "\\" in text:
        try:
            text = json.loads(f'"{text}"')
        except json.JSONDecodeError as error:
            raise BadRecordError(NOT_JSON, f"{error.msg} at column {error.pos}") from None
        _check_surrogates(text, "")
    return text


def _decode(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        found = f"byte 0x{line[error.start]:02x} at offset {error.start} of the line"
        raise BadRecordError(INVALID_UTF8, found) from None


def _check_nesting(text: str) -> None:
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    depth = 0
    inside = False  # a string
    for match in _BRACKETS.finditer(text):
        symbol = match[0]
        if symbol == '"':
            inside = not inside
        elif inside:
            continue
        elif symbol in "[{":
            depth += 1
            if depth > DEEPEST:
                found = f"more than {DEEPEST} brackets open at column {match.start() + 1}"
                raise BadRecordError(TOO_DEEP, found)
        elif symbol in "]}":
            depth -= 1


def _member(record: _Object, key: str) -> Any:
    """The value of a member of that name, or else at the end of the dotted path."""
    path = [key] if key in record else key.split(".")
    value: Any = record
    for name in path:
        if not isinstance(value, _Object):
            raise BadRecordError(MISSING_KEY, f"no key {_short(key)}: {_kind(value)} on the way to {_short(name)}")
        if name not in value:
            raise BadRecordError(MISSING_KEY, f"no key {_short(key)} beside {_names(value)}")
        if name in value.repeated:
            raise BadRecordError(DUPLICATE_KEY, f"the key {_short(name)} more than once")
        value = value[name]
    return value


def _document(value: Any, key: str) -> Document:
    where = f" under the key {_short(key)}"
    if value is None:
        raise BadRecordError(NULL, "null" + where)
    if isinstance(value, str):
        _check_surrogates(value, where)
        return value
    if not isinstance(value, list):
        raise BadRecordError(NOT_TEXT, _kind(value) + where)
    for sentence in value:
        if not isinstance(sentence, str):
            raise BadRecordError(NOT_TEXT, f"a list with {_kind(sentence)} in it" + where)
    for sentence in value:
        _check_surrogates(sentence, where)
    return value


def _check_surrogates(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = f"\\u{ord(text[error.start]):04x} at character {error.start} of the text"
        raise BadRecordError(LONE_SURROGATE, found + where) from None


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    kinds = {float: "a number", str: "text", list: "an array"}
    return kinds.get(type(value), "an object")


def _short(name: str) -> str:
    return repr(name if len(name) <= _NAME_LENGTH else name[:_NAME_LENGTH] + "...")


def _names(names: Iterable[str]) -> str:
    listed = [_short(name) for name in names]
    if len(listed) > _NAMED:
        return ", ".join(listed[:_NAMED]) + f" and {len(listed) - _NAMED} more"
    return ", ".join(listed) or "none"
