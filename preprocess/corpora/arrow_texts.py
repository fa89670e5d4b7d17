"""Columns of text in Arrow's arrays, as documents.

schema --key--> a column that holds text --batch--> its array --validated as a whole--> bytes or lists of str

Arrow's own check of UTF-8 is fast and looks at all values at once; only where it finds something is each row decoded.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from preprocess.corpora.corpus_file import CorpusFile
from preprocess.corpora.errors import INVALID_UTF8, NOT_TEXT, NULL, RAW_KEPT, CorpusError, Problem
from preprocess.corpora.records import Document

MakeProblem = Callable[[int], Problem]  # for the row that it is in


@dataclass(frozen=True)
class Column:
    """Where a key is in a table."""

    name: str  # as it was asked for
    path: tuple[str, ...]  # a column, and the fields in it
    is_list: bool


@dataclass
class Texts:
    """The documents of one key in some rows; those of bad rows mean nothing."""

    documents: list[Document]
    bad: dict[int, MakeProblem] = field(default_factory=dict)


def column_of(file: CorpusFile, schema: Any, key: str) -> Column:
    """Find the column that a key names and check its type."""
    for path in _paths(key):
        kind = _type_at(schema, path)
        if kind is not None:
            if not _is_text(kind) and not _is_list_of_texts(kind):
                raise _wrong(file, schema, key, f"a column of {kind}", "a column of text or of lists of texts")
            return Column(key, path, _is_list_of_texts(kind))
    raise _wrong(file, schema, key, "no such column", f"one of the columns {', '.join(_described(schema))}")


def texts_of(batch: Any, column: Column) -> Texts:
    """Take the documents of a column out of a record batch or table."""
    array = _array_at(batch, column.path)
    return _lists(array) if column.is_list else _texts(array)


def _wrong(file: CorpusFile, schema: Any, key: str, found: str, expected: str) -> CorpusError:
    texts = [name for name, kind in _leaves(schema) if _is_text(kind) or _is_list_of_texts(kind)]
    remedy = f"name one of {', '.join(texts)} with --json-keys" if texts else "choose another file: this has no text"
    return CorpusError(file.name, f"column {key!r}", found, expected, remedy)


def _paths(key: str) -> Iterator[tuple[str, ...]]:
    """The whole key as one name first, then as names of fields in fields."""
    yield (key,)
    if "." in key:
        yield tuple(key.split("."))


def _type_at(schema: Any, path: tuple[str, ...]) -> Any:
    fields = schema
    for depth, name in enumerate(path, 1):
        index = fields.get_field_index(name)
        if index < 0:  # no such field, or several
            return None
        kind = fields.field(index).type
        if depth == len(path):
            return kind
        if not _is_struct(kind):
            return None
        fields = kind
    return None


def _array_at(batch: Any, path: tuple[str, ...]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    array = batch.column(path[0])
    for name in path[1:]:
        array = pc.struct_field(array, [array.type.get_field_index(name)])  # null where the struct is
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array


def _leaves(schema: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for index in range(schema.num_fields if prefix else len(schema)):
        one = schema.field(index)
        if _is_struct(one.type):
            yield from _leaves(one.type, f"{prefix}{one.name}.")
        else:
            yield f"{prefix}{one.name}", one.type


def _described(schema: Any) -> Iterator[str]:
    return (f"{name} ({kind})" for name, kind in _leaves(schema))


def _is_struct(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(kind))


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    return any(is_kind(kind) for is_kind in is_kinds)


def _is_list_of_texts(kind: Any) -> bool:
    import pyarrow as pa

    is_kinds = (
        pa.types.is_list,
        pa.types.is_large_list,
        pa.types.is_fixed_size_list,
        pa.types.is_list_view,
        pa.types.is_large_list_view,
    )
    return any(is_kind(kind) for is_kind in is_kinds) and _is_text(kind.value_type)


def _as_bytes(array: Any) -> list[bytes | None]:
    """The values of an array of text, not decoded."""
    import pyarrow as pa

    if pa.types.is_null(array.type):
        return [None] * len(array)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    values: list[bytes | None] = array.cast(_binary(array.type)).to_pylist()
    return values


def _binary(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_string_view(kind):
        return pa.binary_view()
    return pa.large_binary() if pa.types.is_large_string(kind) else pa.binary()


def _is_valid(array: Any) -> bool:
    import pyarrow as pa

    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _texts(array: Any) -> Texts:
    values = _as_bytes(array)
    bad: dict[int, MakeProblem] = {}
    if array.null_count:
        bad.update((row, _null) for row, value in enumerate(values) if value is None)
    if not _is_valid(array):
        bad.update(
            (row, partial(_invalid_utf8, value)) for row, value in enumerate(values) if value and not _is_utf8(value)
        )
    return Texts(list(values), bad)  # type: ignore[arg-type]  # None only where the row is bad


def _lists(array: Any) -> Texts:
    """Like _texts, for lists: a list with a null in it is no document."""
    flat = _as_bytes(array.flatten())
    is_null = array.is_null().to_pylist() if array.null_count else None
    lengths = array.value_lengths().to_pylist()
    documents: list[Document] = []
    bad: dict[int, MakeProblem] = {}
    at = 0
    for row, length in enumerate(lengths):
        values = flat[at : at + (length or 0)]
        at += length or 0
        whole = [value for value in values if value is not None]
        document: list[str] = []
        if is_null is not None and is_null[row]:
            bad[row] = _null
        elif len(whole) < len(values):
            bad[row] = partial(_null_in_list, values)
        else:
            try:
                document = [value.decode() for value in whole]
            except UnicodeDecodeError:
                bad[row] = partial(_invalid_utf8, b"\n".join(whole))
        documents.append(document)
    return Texts(documents, bad)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _null(row: int) -> Problem:
    return Problem(NULL, "null", row, 0, b"", 0)


def _null_in_list(values: list[bytes | None], row: int) -> Problem:
    texts = [None if value is None else value.decode(errors="replace") for value in values]
    raw = json.dumps(texts, ensure_ascii=False).encode()
    return Problem(NOT_TEXT, "a list with null in it", row, 0, raw[:RAW_KEPT], len(raw))


def _invalid_utf8(value: bytes, row: int) -> Problem:
    return Problem(INVALID_UTF8, "bytes that are not UTF-8", row, 0, value[:RAW_KEPT], len(value))
