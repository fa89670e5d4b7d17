"""The stages behind the work: the dataset that was made again, against the sidecar, and against the files beside it.

tokens      .bin: the first part, document and token that differs, or that the same documents come in another order
index       .idx: sequences and documents
statistics  what was counted on the way
provenance  .lines.npy, where there is one
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from maskgen.identity import difference
from maskgen.reproduction.documents import Place, holds_another_part, place_of, same_documents
from maskgen.reproduction.recipe import Recipe
from preprocess import IndexedDataset, IndexedDatasetError
from preprocess.errors import os_failure
from preprocess.indexed.format import bin_path, idx_path
from preprocess.indexed.parts import read_parts
from preprocess.indexed.sidecar import Sidecar
from preprocess.pipeline.provenance import lines_path, origins

CHUNK = 8 << 20
ORDER = "the same documents in another order: another --seed of --shuffle, or shards or inputs in another order"
Finding = tuple[str | None, str]


@dataclass(frozen=True)
class Remade:
    """A dataset that was made again, and the recipe that it was made by."""

    recipe: Recipe
    prefix: str
    sidecar: Sidecar

    @cached_property
    def dataset(self) -> IndexedDataset:
        """The one that was made again."""
        return IndexedDataset(self.prefix)

    def findings(self) -> Iterator[tuple[str, Finding]]:
        """Name and finding of each stage."""
        yield "tokens", self._tokens()
        yield "index", self._index()
        yield "statistics", self._statistics()
        if self.recipe.options.provenance:
            yield "provenance", self._provenance()

    def _tokens(self) -> Finding:
        known, now = self.recipe.sidecar, self.sidecar
        path = bin_path(self.recipe.prefix)
        if known.dtype != now.dtype:
            return f"type: {known.dtype} then, {now.dtype} made again", ""
        part = self._first_part()
        if os.path.exists(path):
            byte = first_difference(path, bin_path(self.prefix))
            if byte is not None:
                return self._explain(path, byte, part is None), ""
            if part is not None:
                return f"the sidecar has digests of other tokens than {path}, which is what was made again", ""
            return None, f"{now.tokens:,} in {now.bin_size:,} bytes; {path} has the same"
        if part is None:
            return None, f"{now.tokens:,} in {now.bin_size:,} bytes"
        return self._explain_part(part), ""

    def _first_part(self) -> int | None:
        """The first part of the sidecar's that the new file does not have."""
        known, now = self.recipe.sidecar, self.sidecar
        if known.bin == now.bin:
            return None
        digests: list[str] = []
        sizes = [part.bytes for part in known.bin]
        fitting = [size for size, end in zip(sizes, accumulate(sizes), strict=True) if end <= now.bin_size]
        for _ in read_parts(bin_path(self.prefix), fitting, lambda _, sha256: digests.append(sha256)):
            pass
        for number, part in enumerate(known.bin):
            if number >= len(digests) or digests[number] != part.sha256:
                return number
        return len(sizes) if known.bin_size < now.bin_size else None

    def _explain_part(self, number: int) -> str:
        known, now = self.recipe.sidecar, self.sidecar
        ends = [0, *accumulate(part.bytes for part in known.bin)]
        if sorted((part.bytes, part.sha256) for part in known.bin) == sorted((p.bytes, p.sha256) for p in now.bin):
            return f"part {number} of {len(known.bin)}: the same parts in another order (shards or inputs reordered)"
        counts = "" if known.tokens == now.tokens else f"{known.tokens:,} tokens then, {now.tokens:,} made again; "
        begin, end = ends[number], ends[min(number + 1, len(ends) - 1)]
        first, last = (place_of(self.dataset, byte) for byte in (begin, max(begin, end - 1)))
        return (
            f"{counts}part {number} of {len(known.bin)} (bytes {begin:,} to {end:,}, documents {first.document:,} to "
            f"{last.document:,}) has another digest; with {bin_path(self.recipe.prefix)} the token could be named"
        )

    def _explain(self, path: str, byte: int, sidecar_agrees: bool) -> str:
        """What differs between the tokens beside the sidecar and the new ones, from `byte` on."""
        begin = f"{path} is not what its sidecar says: " if sidecar_agrees else ""
        parts = self.recipe.sidecar.bin if sidecar_agrees else self.sidecar.bin
        other = holds_another_part(path, parts, byte)
        if other is not None:
            return f"{begin}part {other[0]} begins with part {other[1]}: shards in another order"
        place = place_of(self.dataset, byte)
        token = byte // self.dataset.dtype.itemsize
        then, now = (
            token_at(path, token, self.dataset.dtype),
            token_at(bin_path(self.prefix), token, self.dataset.dtype),
        )
        number = int(np.searchsorted(list(accumulate(part.bytes for part in parts)), byte, side="right"))
        text = f"{begin}part {min(number, len(parts) - 1)} of {len(parts)}, {place}: id {then} there, {now} made again"
        text += self._origin(place)
        counts = os.path.getsize(path) // self.dataset.dtype.itemsize
        if counts != self.sidecar.tokens:
            return f"{counts:,} tokens there, {self.sidecar.tokens:,} made again; {text}"
        return f"{text}; {ORDER}" if same_documents(self.recipe.prefix, self.dataset) else text

    def _origin(self, place: Place) -> str:
        found = origins(self.prefix, [place.document]) if place.document < self.sidecar.documents else None
        return "" if found is None else f" (from {found[0].file}, line {found[0].line})"

    def _index(self) -> Finding:
        known, now = self.recipe.sidecar, self.sidecar
        counts = difference(
            *({name: getattr(each, name) for name in ("documents", "sequences")} for each in (known, now))
        )
        if counts is not None:
            return counts, ""
        path = idx_path(self.recipe.prefix)
        beside = first_difference(path, idx_path(self.prefix)) if os.path.exists(path) else None
        if known.idx != now.idx:
            where = f": {self._first_length()}" if beside is not None else ""
            return f"sequences of other lengths, or of other documents{where}", ""
        if beside is not None:
            return f"{path} is not what its sidecar says, from byte {beside:,} on{self._first_length(', ')}", ""
        return None, f"{now.sequences:,} sequences in {now.documents:,} documents"

    def _first_length(self, before: str = "") -> str:
        try:
            then = IndexedDataset(self.recipe.prefix)
            for name, what in (("sequence_lengths", "tokens in sequence"), ("document_indices", "the end of document")):
                one, other = getattr(then, name), getattr(self.dataset, name)
                if len(one) == len(other) and not np.array_equal(one, other):
                    first = int(np.argmax(one != other))
                    number = first - (name == "document_indices")
                    return f"{before}{what} {number:,}: {one[first]:,} there, {other[first]:,} made again"
        except IndexedDatasetError as error:
            return f"{before}{error.place}: {error.found}"
        return ""

    def _statistics(self) -> Finding:
        known, now = self.recipe.sidecar, self.sidecar
        what = difference(known.statistics, {name: now.statistics.get(name) for name in known.statistics})
        lines = [{file.name: file.lines for file in each.inputs} for each in (known, now)]
        if what is None and None not in lines[0].values():
            what = difference({"lines": lines[0]}, {"lines": lines[1]})
        return what, ""

    def _provenance(self) -> Finding:
        path = lines_path(self.recipe.prefix)
        if not os.path.exists(path):
            return None, f"{path} is not there"
        byte = first_difference(path, lines_path(self.prefix))
        return (None if byte is None else f"{path}: another line from byte {byte:,} on"), ""


def first_difference(path: str, other: str) -> int | None:
    """The first byte in which two files differ, or at which one of them ends; None where they are the same."""
    position = 0
    for one, two in _chunks(path, other):
        if one != two:
            size = min(len(one), len(two))
            unequal = np.frombuffer(one[:size], np.uint8) != np.frombuffer(two[:size], np.uint8)
            return position + (int(np.argmax(unequal)) if unequal.any() else size)
        position += len(one)
    return None


def _chunks(path: str, other: str) -> Iterator[tuple[bytes, bytes]]:
    try:
        with open(path, "rb") as one, open(other, "rb") as two:
            while True:
                pair = one.read(CHUNK), two.read(CHUNK)
                if not any(pair):
                    return
                yield pair
    except OSError as error:
        raise os_failure(path, "read it", error, "check the disk") from None


def token_at(path: str, number: int, dtype: np.dtype[Any]) -> str:
    """A token of a file, as text, or "nothing" behind its end."""
    found = np.fromfile(path, dtype, 1, offset=min(number * dtype.itemsize, os.path.getsize(path)))
    return str(found[0]) if len(found) else "nothing"
