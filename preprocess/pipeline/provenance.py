"""Where each document came from: ``PREFIX.lines.npy``, one number a document.

The number is the document's line (or row) counted through all inputs, one after the other; the sidecar says how many
lines each input has, so a number leads to a file and a line in it. Four bytes a document, eight beyond 4 billion lines.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from preprocess.errors import MaskgenError, os_failure
from preprocess.indexed.sidecar import read_sidecar

if TYPE_CHECKING:  # whoever looks up a line needs neither a plan nor a tokenizer
    from preprocess.pipeline.shard_files import Receipt
    from preprocess.pipeline.work_folder import WorkFolder

LINE = np.dtype(np.int64)


def lines_path(prefix: str) -> str:
    """The file beside a dataset."""
    return f"{prefix}.lines.npy"


def corpus_lines(work: "WorkFolder", receipts: "Sequence[Receipt]") -> Iterator[npt.NDArray[np.int64]]:
    """Each shard's documents' lines, counted from the start of the corpus."""
    before = 0
    for receipt in receipts:
        lines = np.fromfile(work.file(receipt.files["lines"].name), LINE)
        first = 0
        for piece in receipt.pieces:
            lines[first : first + piece.documents] += before
            first += piece.documents
            before += piece.lines
        yield lines


def write_lines(prefix: str, arrays: Iterator[npt.NDArray[np.int64]], documents: int, lines: int) -> None:
    """Write the file of a dataset: before its index, so that a dataset that should have it does."""
    path = lines_path(prefix)
    dtype = np.dtype("<u4" if lines <= 1 << 32 else "<u8")
    own = f"{path}.partial"
    try:
        with open(own, "wb") as file:
            header = {"descr": dtype.str, "fortran_order": False, "shape": (documents,)}
            np.lib.format.write_array_header_1_0(file, header)
            for array in arrays:
                file.write(array.astype(dtype).data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(own, path)
    except OSError as error:
        raise os_failure(path, "write it", error, "check the folder") from None


@dataclass(frozen=True)
class Origin:
    """A document's place in the corpus."""

    file: str
    line: int  # 1-based


def origins(prefix: str, documents: Sequence[int]) -> list[Origin] | None:
    """Where these documents came from; None for a dataset that was made without provenance."""
    path = lines_path(prefix)
    if not os.path.exists(path):
        return None
    sidecar = read_sidecar(prefix)
    try:
        lines = np.load(path, mmap_mode="r", allow_pickle=False)
        fits = sidecar is not None and lines.shape == (sidecar.documents,) and lines.dtype.kind == "u"
    except (ValueError, OSError, EOFError) as error:
        raise MaskgenError(f"{path}: found {error}, expected the lines of a dataset; remove it") from None
    if sidecar is None or not fits or any(file.lines is None for file in sidecar.inputs):
        raise MaskgenError(f"{path}: found lines that do not belong to {prefix}, expected its own; remove that file")
    ends = np.cumsum([file.lines or 0 for file in sidecar.inputs])
    found = []
    for document in documents:
        line = int(lines[document])
        place = int(np.searchsorted(ends, line, side="right"))
        if place == len(ends):
            raise MaskgenError(f"{path}: found line {line}, expected less than {int(ends[-1])}; remove that file")
        file = sidecar.inputs[place]
        found.append(Origin(file.name, line - int(ends[place]) + (file.lines or 0) + 1))
    return found
