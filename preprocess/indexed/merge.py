"""Merging datasets: any number of them into one, in constant memory, document boundaries and modes kept.

Data flow: all headers are read first, so that what cannot be merged is refused before anything is written. Then each
input's index is checked and its ``.bin`` appended (by the kernel, unread, where its sidecar already has the digest),
and the new index is streamed from the inputs' indices.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from preprocess.errors import IndexedDatasetError
from preprocess.indexed.format import (
    BOUNDARY,
    LENGTH,
    MODE,
    REWRITE,
    IndexLayout,
    TokenDType,
    bin_path,
    dataset_prefix,
    idx_path,
    plain_prefix,
    sidecar_path,
)
from preprocess.indexed.index_file import IndexFile, load_index, open_index
from preprocess.indexed.partial import PartFile, PartialDataset
from preprocess.indexed.parts import read_parts
from preprocess.indexed.sidecar import REMEDY, InputFile, Part, Sidecar, describe_files, library_versions, read_sidecar
from preprocess.indexed.writer import CHUNK, write_index


def merge_datasets(
    prefixes: Sequence[str | os.PathLike[str]],
    output_prefix: str | os.PathLike[str],
    *,
    widen: bool = False,
    progress: bool = False,
) -> None:
    """Concatenate the datasets at `prefixes`, in that order, into a new one at `output_prefix`.

    Token types must be the same; with `widen` the result takes the smallest type that holds all of them.
    A dataset that existed at `output_prefix` is replaced.
    """
    if isinstance(prefixes, (str, bytes, os.PathLike)):
        raise TypeError(f"prefixes is {prefixes!r}; it must be a list of prefixes")
    output = plain_prefix(output_prefix)
    names = [dataset_prefix(prefix) for prefix in prefixes]
    _refuse_repeats(names, output)
    indices = [open_index(name) for name in names]
    layout = _merged_layout(names, indices, widen)
    partial = PartialDataset(output)
    try:
        copying_only = all(index.layout.dtype == layout.dtype for index in indices if index.tokens)
        out = partial.create("bin", digest=not copying_only)
        tokens = sum(index.tokens for index in indices)
        total = sum(index.bin_size for index in indices)
        from tqdm import tqdm  # not at the top: every worker would wait for it

        with tqdm(total=total, unit="B", unit_scale=True, desc="merge", disable=None if progress else True) as bar:
            described = []
            for name, index in zip(names, indices, strict=True):
                described.append(_append(out, name, index, layout.dtype))
                bar.update(index.bin_size)
        if copying_only:
            parts = [part for sidecar in described for part in sidecar.bin if part.bytes]
        else:
            parts = [Part(out.bytes, out.hexdigest())]
        idx = partial.create("idx", digest=True)
        write_index(
            idx,
            layout,
            lengths=lambda: _lengths(indices),
            boundaries=lambda: _boundaries(indices),
            modes=lambda: _modes(indices),
        )
        sidecar = _merged_sidecar(described, layout, tokens, parts, idx, output)
        partial.create("json").append(sidecar.to_json())
        partial.commit()
    except BaseException:
        partial.discard()
        raise


def _refuse_repeats(names: list[str], output: str) -> None:
    if not names:
        raise IndexedDatasetError(output, "inputs", "no dataset", "at least one", "name the datasets to merge")
    first_with: dict[str, str] = {}
    for name in names:
        real = os.path.realpath(idx_path(name))
        if real in first_with:
            found = f"the same dataset twice (also as {first_with[real]})"
            raise IndexedDatasetError(name, "inputs", found, "each once", "give it a weight in training instead")
        first_with[real] = name
    if os.path.realpath(idx_path(output)) in first_with:
        found, remedy = "the output among the inputs", "choose another output prefix"
        raise IndexedDatasetError(output, "output", found, "a new prefix", remedy)


def _merged_layout(names: list[str], indices: list[IndexFile], widen: bool) -> IndexLayout:
    pairs = list(zip(names, indices, strict=True))
    filled = [pair for pair in pairs if pair[1].layout.sequences]  # one without sequences fits to everything
    first_name, first = (filled or pairs)[0]
    dtype: TokenDType = np.result_type(*{index.layout.dtype for _, index in filled or pairs})
    for name, index in filled:
        if index.layout.dtype != first.layout.dtype and not widen:
            found, expected = str(index.layout.dtype), f"{first.layout.dtype}, as in {idx_path(first_name)}"
            remedy = f"merge with --widen (widen=True) for a dataset of {dtype}"
            raise IndexedDatasetError(idx_path(name), "dtype", found, expected, remedy)
        if index.layout.has_modes != first.layout.has_modes:
            found = "modes" if index.layout.has_modes else "no modes"
            expected = f"the same as in {idx_path(first_name)}"
            remedy = "merge multimodal datasets apart from others"
            raise IndexedDatasetError(idx_path(name), "modes", found, expected, remedy)
    return IndexLayout(
        dtype,
        sequences=sum(index.layout.sequences for index in indices),
        boundaries=1 + sum(index.layout.documents for index in indices),
        has_modes=bool(filled) and first.layout.has_modes,
    )


def _append(out: PartFile, name: str, index: IndexFile, dtype: TokenDType) -> Sidecar:
    """Check one input and append its tokens; returns its sidecar, made here when it has none."""
    from_files = describe_files(index, load_index(index))
    sidecar = read_sidecar(name)
    for place, said, is_so in sidecar.contradictions(from_files) if sidecar is not None else []:
        raise IndexedDatasetError(sidecar_path(name), place, str(said), f"{is_so}, as in its dataset", REMEDY)
    parts = sidecar.bin if sidecar is not None else from_files.bin
    digests: list[str] = []

    def on_digest(number: int, sha256: str) -> None:
        digests.append(sha256)
        if sidecar is not None and sha256 != parts[number].sha256:
            found, expected = f"sha256 {sha256}", f"{parts[number].sha256}, as in {sidecar_path(name)}"
            raise IndexedDatasetError(bin_path(name), f"part {number}", found, expected, REWRITE)

    if index.layout.dtype != dtype:
        for data in read_parts(bin_path(name), [part.bytes for part in parts], on_digest):
            out.append(np.frombuffer(data, index.layout.dtype).astype(dtype).data)
    elif sidecar is not None:
        out.append_file(bin_path(name), [index.bin_size])
    else:
        out.append_file(bin_path(name), [index.bin_size], on_digest)
    if sidecar is None:
        sidecar = replace(from_files, bin=[Part(index.bin_size, sha256) for sha256 in digests])
    return sidecar


def _merged_sidecar(
    described: list[Sidecar], layout: IndexLayout, tokens: int, parts: list[Part], idx: PartFile, output: str
) -> Sidecar:
    tokenizers = {sidecar.tokenizer.sha256: sidecar.tokenizer for sidecar in described if sidecar.tokenizer}
    if len(tokenizers) > 1:
        found = " and ".join(f"{each.name} ({each.sha256[:12]}…)" for each in tokenizers.values())
        remedy = "the same id means different things in them: merge only datasets of one tokenizer"
        raise IndexedDatasetError(output, "tokenizer", found, "one tokenizer for all inputs", remedy)
    everyone_knows = all(sidecar.tokenizer for sidecar in described)
    return Sidecar(
        dtype=str(layout.dtype),
        documents=layout.documents,
        sequences=layout.sequences,
        tokens=tokens,
        has_modes=layout.has_modes,
        bin=parts,
        idx=Part(idx.bytes, idx.hexdigest()),
        tokenizer=next(iter(tokenizers.values())) if tokenizers and everyone_knows else None,
        settings=_common_settings(described),
        inputs=_distinct_inputs(described),
        versions=library_versions(),
    )


def _common_settings(described: list[Sidecar]) -> dict[str, Any]:
    distinct = [described[0].settings]
    for sidecar in described:
        if sidecar.settings not in distinct:
            distinct.append(sidecar.settings)
    return distinct[0] if len(distinct) == 1 else {"merged": distinct}


def _distinct_inputs(described: list[Sidecar]) -> list[InputFile]:
    return list(dict.fromkeys(file for sidecar in described for file in sidecar.inputs))


def _lengths(indices: list[IndexFile]) -> Iterator[npt.NDArray[Any]]:
    for index in indices:
        yield from _section(index, index.layout.lengths_offset, index.layout.sequences, LENGTH)


def _boundaries(indices: list[IndexFile]) -> Iterator[npt.NDArray[Any]]:
    yield np.zeros(1, BOUNDARY)
    sequences = 0
    for index in indices:
        after_the_zero = index.layout.boundaries_offset + BOUNDARY.itemsize
        for chunk in _section(index, after_the_zero, index.layout.documents, BOUNDARY):
            yield chunk + sequences
        sequences += index.layout.sequences


def _modes(indices: list[IndexFile]) -> Iterator[npt.NDArray[Any]]:
    for index in indices:
        yield from _section(index, index.layout.modes_offset, index.layout.sequences, MODE)


def _section(index: IndexFile, offset: int, count: int, dtype: np.dtype[Any]) -> Iterator[npt.NDArray[Any]]:
    raw = load_index(index)
    for first in range(0, count, CHUNK):
        start = offset + first * dtype.itemsize
        stop = offset + min(first + CHUNK, count) * dtype.itemsize
        yield raw[start:stop].copy().view(dtype)
