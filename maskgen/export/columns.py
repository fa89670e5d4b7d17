"""From batches to columns: names, types, and rows without their padding; and the digest of what a column holds.

batch --to_hf or as it is--> arrays [B, width] and [B] --cut to lengths--> Column(values, lengths) --> Parquet, digest
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.export.settings import ExportSettings
from maskgen.samples.arrays import Batch, Field
from maskgen.samples.hugging_face import to_hf

# Columns of an encoder's and a decoder's width, where samples have both, are told apart by name.
OF_THE_DECODER = {"text_dec", "labels", "loss_mask", "decoder_input_ids", "decoder_attention_mask"}
OF_8_BITS = {
    "attention_mask",
    "decoder_attention_mask",
    "is_random",
    "loss_mask",
    "next_sentence_label",
    "padding_mask",
    "token_type_ids",
    "truncated",
}


@dataclass(frozen=True)
class Column:
    """A column of some rows: the values of all of them, and how many each row has (None: one)."""

    name: str
    values: npt.NDArray[Any]
    lengths: npt.NDArray[np.int64] | None


def columns_of(batch: Batch, fields: Sequence[Field], settings: ExportSettings) -> list[Column]:
    """The columns of a batch, in the order in which they are written."""
    arrays: Mapping[str, npt.NDArray[Any]]
    if settings.columns == "hf":
        arrays = to_hf(batch, next_sentence=settings.next_sentence)
    else:  # packed arrays say again what the others say, for whole batches
        arrays = {field.name: batch[field.name] for field in fields if field.kind != "packed"}
    return [_column(name, array, batch, settings.padding) for name, array in arrays.items()]


def _column(name: str, array: npt.NDArray[Any], batch: Batch, padding: str) -> Column:
    if array.dtype.kind != "f":
        array = array.astype(np.int8 if name in OF_8_BITS else np.int32)
    if array.ndim == 1:
        return Column(name, array, None)
    rows, width = array.shape
    own = "lengths_dec" if "lengths_dec" in batch and name in OF_THE_DECODER else "lengths"
    if "query_lengths" in batch:  # of two texts, and numbers of the block that are always four
        own = f"{name.partition('_')[0]}_lengths"
    if padding == "fixed" or own not in batch:
        return Column(name, array.reshape(-1), np.full(rows, width, np.int64))
    lengths = batch[own]
    lengths = lengths.astype(np.int64)
    return Column(name, array[np.arange(width) < lengths[:, None]], lengths)


class ContentDigest:
    """A digest of columns, whatever the batches in which they come and the program that writes the file."""

    def __init__(self) -> None:
        self._columns: dict[str, tuple[str, Any, Any]] = {}

    def update(self, columns: Sequence[Column]) -> None:
        """Take in more rows."""
        for column in columns:
            kind = column.values.dtype.newbyteorder("<")
            if column.name not in self._columns:
                self._columns[column.name] = (kind.str, hashlib.sha256(), hashlib.sha256())
            _, values, lengths = self._columns[column.name]
            values.update(np.ascontiguousarray(column.values, kind).data)
            if column.lengths is not None:
                lengths.update(np.ascontiguousarray(column.lengths, "<i8").data)

    def hexdigest(self) -> str:
        """The digest of all rows so far."""
        facts = [
            [name, kind, values.hexdigest(), lengths.hexdigest()]
            for name, (kind, values, lengths) in self._columns.items()
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
