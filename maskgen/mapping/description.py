"""What people want to know about a mapping: how many samples, of how many sentences, how long, from which documents."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.inspection import PERCENTILES, percentiles
from maskgen.mapping.cache import MappingFile
from preprocess import IndexedDataset

CHUNK = 1 << 20


def facts_of(dataset: IndexedDataset, file: MappingFile, rows: npt.NDArray[Any], reused: bool) -> dict[str, Any]:
    """The facts about the rows in `file`, in chunks, so that they cost no memory."""
    facts: dict[str, Any] = {
        "dataset": dataset.prefix,
        "path": file.path,
        "reused": reused,
        "samples": len(rows),
        "dtype": str(rows.dtype),
        "bytes": rows.nbytes,
        "documents": list(file.documents),
        "sentences": [int(boundary) for boundary in dataset.document_indices[list(file.documents)]],
    }
    if len(rows):
        facts["sentences_a_sample"] = percentiles(chunk[:, 1] - chunk[:, 0] for chunk in _chunks(rows))
        facts["target_length"] = percentiles(chunk[:, 2] for chunk in _chunks(rows))
    return facts


def as_lines(facts: dict[str, Any]) -> str:
    """The facts as ``maskgen mapping`` prints them."""
    first, end = facts["documents"]
    begin, stop = facts["sentences"]
    state = "found" if facts["reused"] else "built"
    lines = [
        facts["dataset"],
        f"  samples    {facts['samples']:,} of {facts['dtype']}, {facts['bytes']:,} bytes",
        f"  documents  {first:,} to {end:,} ({end - first:,}), {stop - begin:,} sentences",
    ]
    for key, title in (("sentences_a_sample", "sentences a sample"), ("target_length", "target length")):
        if key in facts:
            lines.append(f"  {title}: {_as_text(facts[key])}")
    if not facts["samples"]:
        lines.append(
            "  no sample: each document has fewer sentences than --min-num-sent, or more than one and a sentence of "
            "more than 512 tokens; was it made with tokenize --split-sentences?"
        )
    lines.append(f"  {state}      {os.path.abspath(facts['path'])}")
    return "\n".join(lines) + "\n"


def _as_text(values: list[int]) -> str:
    names = {0: "min", 50: "median", 100: "max"}
    return " · ".join(f"{names.get(p, f'{p}%')} {value:,}" for p, value in zip(PERCENTILES, values, strict=True))


def _chunks(rows: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK].astype(np.int64)
