"""Verifying a dataset: everything that its files can say about each other, collected instead of raised.

Data flow: the index is checked as a reader does it, then compared with the sidecar (counts, sizes, the digest of
``.idx``); with ``full`` the tokens are read once for the digests of ``.bin`` and the range of ids.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, TypeVar

import numpy as np
from tqdm import tqdm

from preprocess.errors import IndexedDatasetError
from preprocess.indexed.check import RawBytes, check_index
from preprocess.indexed.format import REWRITE, bin_path, dataset_prefix, idx_path, sidecar_path
from preprocess.indexed.index_file import IndexFile, load_index, open_index
from preprocess.indexed.partial import COPY_CHUNK
from preprocess.indexed.sidecar import Sidecar, read_sidecar

T = TypeVar("T")


@dataclass
class VerifyReport:
    """What was looked at and what was wrong; `ok` when nothing was."""

    prefix: str
    findings: list[IndexedDatasetError] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)
    documents: int | None = None
    sequences: int | None = None
    tokens: int | None = None
    digest: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def summary(self) -> str:
        """One line for people."""
        line = f"{self.prefix}: {self.documents:,} documents, {self.sequences:,} sequences, {self.tokens:,} tokens"
        line += f"; checked: {', '.join(self.checked)}"
        return line + (f"; not checked: {', '.join(self.not_checked)}" if self.not_checked else "")

    def as_dict(self) -> dict[str, object]:
        """The same for programs."""
        findings = [
            {"path": e.path, "place": e.place, "found": e.found, "expected": e.expected, "remedy": e.remedy}
            for e in self.findings
        ]
        return {"ok": self.ok, **vars(self), "findings": findings}


def verify_dataset(
    prefix: str | os.PathLike[str],
    *,
    full: bool = False,
    vocabulary_size: int | None = None,
    progress: bool = False,
) -> VerifyReport:
    """Check the dataset at `prefix`; `full` also reads all tokens.

    The range of ids is checked against `vocabulary_size`, or against that of the tokenizer named in the sidecar;
    giving one implies `full`.
    """
    report = VerifyReport(dataset_prefix(prefix))
    full = full or vocabulary_size is not None
    sidecar = _noting(report, lambda: read_sidecar(report.prefix))
    index = _noting(report, lambda: open_index(report.prefix))
    if index is None:
        return report
    report.checked.append("sizes")
    raw = _noting(report, lambda: load_index(index))
    if raw is None:
        return report
    # load_index skips what this process has checked before, by inode and time; here nothing is taken on trust.
    _noting(report, lambda: check_index(index.path, raw, index.layout, index.bin_size))
    report.checked.append("index")
    report.documents, report.sequences = index.layout.documents, index.layout.sequences
    report.tokens = index.bin_size // index.layout.dtype.itemsize
    if sidecar is not None:
        _compare_with_sidecar(report, index, raw, sidecar)
    elif not os.path.lexists(sidecar_path(report.prefix)):
        report.not_checked.append(f"digests (there is no {sidecar_path(report.prefix)})")
    if full:
        _read_tokens(report, index, raw, sidecar, vocabulary_size, progress)
    return report


def _noting(report: VerifyReport, step: Callable[[], T]) -> T | None:
    try:
        return step()
    except IndexedDatasetError as error:
        report.findings.append(error)
        return None


def _compare_with_sidecar(report: VerifyReport, index: IndexFile, raw: RawBytes, sidecar: Sidecar) -> None:
    layout = index.layout
    facts = {
        "dtype": (sidecar.dtype, str(layout.dtype)),
        "documents": (sidecar.documents, layout.documents),
        "sequences": (sidecar.sequences, layout.sequences),
        "tokens": (sidecar.tokens, report.tokens),
        "has_modes": (sidecar.has_modes, layout.has_modes),
        "idx.bytes": (sidecar.idx.bytes, index.identity[3]),
        "idx.sha256": (sidecar.idx.sha256, hashlib.sha256(raw.data).hexdigest()),
        "bin": (f"{sidecar.bin_size} bytes", f"{index.bin_size} bytes"),
    }
    for place, (said, is_so) in facts.items():
        if said != is_so:
            path = idx_path(report.prefix)
            expected = f"{said}, as {sidecar_path(report.prefix)} says"
            report.findings.append(IndexedDatasetError(path, place, str(is_so), expected, REWRITE))
    report.checked.append("sidecar")
    report.digest = sidecar.digest


def _read_tokens(
    report: VerifyReport,
    index: IndexFile,
    raw: RawBytes,
    sidecar: Sidecar | None,
    vocabulary_size: int | None,
    progress: bool,
) -> None:
    if vocabulary_size is None and sidecar is not None and sidecar.tokenizer is not None:
        vocabulary_size = sidecar.tokenizer.vocabulary_size
    path = bin_path(report.prefix)
    parts = sidecar.bin if sidecar is not None and sidecar.bin_size == index.bin_size else []
    outside, first_outside = 0, (0, 0)
    position = 0
    with (
        open(path, "rb", buffering=0) as file,
        tqdm(total=index.bin_size, unit="B", unit_scale=True, desc="verify", disable=None if progress else True) as bar,
    ):
        for part_number, part_size in enumerate([part.bytes for part in parts] or [index.bin_size]):
            digest = hashlib.sha256()
            for data in _chunks(file, part_size):
                digest.update(data)
                if vocabulary_size is not None:
                    tokens = np.frombuffer(data, index.layout.dtype)
                    if tokens.size and (tokens.max() >= vocabulary_size or tokens.min() < 0):
                        bad = np.flatnonzero((tokens >= vocabulary_size) | (tokens < 0))
                        if not outside:
                            where = position // index.layout.dtype.itemsize + int(bad[0])
                            first_outside = (where, int(tokens[bad[0]]))
                        outside += bad.size
                position += len(data)
                bar.update(len(data))
            if parts and digest.hexdigest() != parts[part_number].sha256:
                place = f"bytes {position - part_size} to {position} (part {part_number})"
                found, expected = (
                    f"sha256 {digest.hexdigest()}",
                    f"{parts[part_number].sha256}, as the sidecar says",
                )
                report.findings.append(IndexedDatasetError(path, place, found, expected, REWRITE))
    if parts:
        report.checked.append("digests")
    if vocabulary_size is None:
        report.not_checked.append("range of ids (give the vocabulary size or a tokenizer)")
        return
    report.checked.append("range of ids")
    if outside:
        where, token = first_outside
        place = _place_of_token(index, raw, where)
        found = f"id {token}" + (f" (and {outside - 1} more outside)" if outside > 1 else "")
        remedy = "the dataset was made with another tokenizer, or is damaged"
        report.findings.append(IndexedDatasetError(path, place, found, f"0 to {vocabulary_size - 1}", remedy))


def _chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    while size:
        data = file.read(min(size, COPY_CHUNK))
        if not data:
            return
        size -= len(data)
        yield data


def _place_of_token(index: IndexFile, raw: RawBytes, token: int) -> str:
    layout = index.layout
    pointers = raw[layout.pointers_offset : layout.boundaries_offset].view(np.int64)
    byte = token * layout.dtype.itemsize
    sequence = int(np.searchsorted(pointers, byte, side="right")) - 1
    return f"sequence {sequence}, token {(byte - int(pointers[sequence])) // layout.dtype.itemsize}"
