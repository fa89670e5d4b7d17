"""What people want to know about a dataset, as text: counts, length percentiles, single documents.

Data flow: lengths stream from the mapped index in chunks into a histogram, so a billion sequences cost no memory.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from preprocess import IndexedDataset, IndexedDatasetError
from preprocess.indexed.sidecar import TokenizerInfo, read_sidecar
from preprocess.pipeline.provenance import origins

PERCENTILES = (0, 1, 25, 50, 75, 99, 100)
CHUNK = 1 << 20
Decode = Callable[[list[int]], str]


def describe(dataset: IndexedDataset) -> str:
    """The overview that ``maskgen inspect PREFIX`` prints."""
    documents = len(dataset.document_indices) - 1
    size = os.path.getsize(f"{dataset.prefix}.bin")
    tokens = size // dataset.dtype.itemsize
    modes = ", multimodal" if dataset.sequence_modes is not None else ""
    lines = [
        f"{dataset.prefix}",
        f"  documents  {documents:,}",
        f"  sequences  {len(dataset):,}",
        f"  tokens     {tokens:,} of {dataset.dtype}, {size:,} bytes{modes}",
    ]
    if len(dataset):
        lines += _percentile_lines("a sequence", lambda: _in_chunks(dataset.sequence_lengths))
    if documents:
        lines += _percentile_lines("a document", lambda: document_lengths(dataset))
        empty = sum(int(np.count_nonzero(chunk == 0)) for chunk in document_lengths(dataset))
        lines.append(f"  documents without a token: {empty:,}")
    sidecar = read_sidecar(dataset.prefix)
    if sidecar is None:
        lines.append("  no sidecar (.json): origin and digests are unknown")
    else:
        if sidecar.tokenizer is not None:
            name, vocabulary = sidecar.tokenizer.name, sidecar.tokenizer.vocabulary_size
            lines.append(f"  tokenizer  {name} ({vocabulary:,} entries, sha256 {sidecar.tokenizer.sha256[:12]}…)")
        lines += [f"  input      {file.name} ({file.bytes:,} bytes)" for file in sidecar.inputs[:5]]
        if len(sidecar.inputs) > 5:
            lines.append(f"             and {len(sidecar.inputs) - 5:,} more")
        lines.append(f"  made by    {', '.join(f'{name} {value}' for name, value in sidecar.versions.items())}")
        lines.append(f"  digest     {sidecar.digest}")
    return "\n".join(lines) + "\n"


def check_document(dataset: IndexedDataset, document: int) -> int:
    """The number of a document, counted from 0; an error where there is none, or so few from the end."""
    documents = len(dataset.document_indices) - 1
    if not -documents <= document < documents:
        found, expected = str(document), f"0 to {documents - 1}" if documents else "no document: the dataset is empty"
        raise IndexedDatasetError(
            dataset.prefix, "document", found, expected, "maskgen inspect PREFIX shows the counts"
        )
    return document % documents


def is_other_mode(dataset: IndexedDataset, sequence: int) -> bool:
    """Whether a sequence holds no ids, as images beside captions do."""
    modes = dataset.sequence_modes
    return modes is not None and bool(modes[sequence])


def show_document(dataset: IndexedDataset, document: int, decode: Decode | None) -> str:
    """One document, sequence by sequence: decoded text, or ids where there is no tokenizer."""
    document = check_document(dataset, document)
    first, last = (int(each) for each in dataset.document_indices[document : document + 2])
    total = sum(len(sequence) for sequence in dataset[first:last])
    lines = [f"document {document}: {last - first} sequences, {total} tokens"]
    for index in range(first, last):
        ids = dataset[index].tolist()
        if is_other_mode(dataset, index):
            text = "no ids: the bytes of an image"
        else:
            text = decode(ids) if decode is not None else " ".join(map(str, ids))
        lines.append(f"  [{index}] {len(ids)} tokens: {text}")
    return "\n".join(lines) + "\n"


def document_starts(dataset: IndexedDataset, first: int, end: int) -> npt.NDArray[np.int64]:
    """The token at which each of the documents from `first` to `end` starts, and at which the last of them ends."""
    sequences, pointers = dataset.document_indices[first : end + 1], dataset.sequence_pointers
    starts = np.full(len(sequences), len(dataset.tokens), np.int64)
    inside = sequences < len(pointers)
    starts[inside] = pointers[sequences[inside]] // dataset.dtype.itemsize
    return starts


def document_lengths(dataset: IndexedDataset) -> Iterator[npt.NDArray[np.int64]]:
    """Tokens in each document, chunk by chunk."""
    documents = len(dataset.document_indices) - 1
    for first in range(0, documents, CHUNK):
        yield np.diff(document_starts(dataset, first, min(first + CHUNK, documents)))


def percentiles(chunks: Iterator[npt.NDArray[Any]]) -> list[int]:
    """The PERCENTILES of the values in all `chunks`, each one of the values (the nearest rank at or below)."""
    values, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for chunk in chunks:  # a histogram over the distinct values: lengths repeat, so it stays small
        values, inverse = np.unique(np.concatenate((values, chunk)), return_inverse=True)
        weights = np.concatenate((counts, np.ones(len(chunk), np.int64)))
        counts = np.bincount(inverse, weights).astype(np.int64)
    ranks = np.cumsum(counts)
    wanted = [max(1, -(-int(ranks[-1]) * percent // 100)) for percent in PERCENTILES]
    return [int(values[np.searchsorted(ranks, rank)]) for rank in wanted]


def _percentile_lines(of: str, chunks: Callable[[], Iterator[npt.NDArray[Any]]]) -> list[str]:
    names = {0: "min", 50: "median", 100: "max"}
    shown = [f"{names.get(p, f'{p}%')} {value:,}" for p, value in zip(PERCENTILES, percentiles(chunks()), strict=True)]
    return [f"  tokens {of}: {' · '.join(shown)}"]


def _in_chunks(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    for first in range(0, len(array), CHUNK):
        yield array[first : first + CHUNK]


def other_tokenizer(made_by: TokenizerInfo | None, path: str, digest: str) -> str | None:
    """A line that says so where a dataset was made with another tokenizer than the one at `path`."""
    if made_by is None or made_by.sha256 == digest:
        return None
    return (
        f"tokenized with {made_by.name} (sha256 {made_by.sha256[:12]}…), and {path} is another one, or read otherwise "
        f"({digest[:12]}…): "
        "its pieces are the right ones only where both have the same ids"
    )


def show_origin(dataset: IndexedDataset, document: int) -> str:
    """Where a document came from, for datasets made with ``--provenance``; nothing for others."""
    documents = len(dataset.document_indices) - 1
    found = origins(dataset.prefix, [document % documents])
    return "" if found is None else f"  from {found[0].file}, line {found[0].line}\n"
