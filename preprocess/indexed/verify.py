"""Verifying a dataset: everything that its files can say about each other, collected instead of raised.

Data flow: the index is checked as a reader does it, then compared with the sidecar (counts, sizes, the digest of
``.idx``); with ``full`` the tokens are read once for the digests of ``.bin`` and the range of ids.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from preprocess.errors import IndexedDatasetError
from preprocess.indexed.check import RawBytes, check_index
from preprocess.indexed.format import REWRITE, bin_path, dataset_prefix, sidecar_path
from preprocess.indexed.index_file import IndexFile, load_index, open_index
from preprocess.indexed.parts import read_parts
from preprocess.indexed.sidecar import Part, Sidecar, describe_files, read_sidecar

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
    vocabulary_size: int | None = None

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
    report.tokens = index.tokens
    parts: list[Part] = []
    if sidecar is not None and _compare_with_sidecar(report, index, raw, sidecar):
        parts = sidecar.bin
    elif sidecar is None and report.ok:
        why = "is no sidecar" if os.path.lexists(sidecar_path(report.prefix)) else "does not exist"
        report.not_checked.append(f"digests ({sidecar_path(report.prefix)} {why})")
    if full:
        tokenizer = sidecar.tokenizer if sidecar is not None else None
        known = tokenizer.vocabulary_size if tokenizer is not None else None
        report.vocabulary_size = vocabulary_size if vocabulary_size is not None else known
        _noting(report, lambda: _read_tokens(report, index, raw, parts, progress))
    return report


def _noting(report: VerifyReport, step: Callable[[], T]) -> T | None:
    try:
        return step()
    except IndexedDatasetError as error:
        report.findings.append(error)
        return None


def _compare_with_sidecar(report: VerifyReport, index: IndexFile, raw: RawBytes, sidecar: Sidecar) -> bool:
    """Note what the sidecar says and the files do not; False when the digests of ``.bin`` cannot be compared."""
    differences = sidecar.contradictions(describe_files(index, raw))
    for place, said, is_so in differences:
        expected = f"{said}, as {sidecar_path(report.prefix)} says"
        report.findings.append(IndexedDatasetError(index.path, place, str(is_so), expected, REWRITE))
    report.checked.append("sidecar")
    report.digest = sidecar.digest
    return "bin" not in {place for place, _, _ in differences}


def _read_tokens(report: VerifyReport, index: IndexFile, raw: RawBytes, parts: list[Part], progress: bool) -> None:
    """Read all tokens once, for the digests of `parts` and the range of ids."""
    path = bin_path(report.prefix)
    sizes = [part.bytes for part in parts] or [index.bin_size]

    def on_digest(number: int, sha256: str) -> None:
        if parts and sha256 != parts[number].sha256:
            start = sum(sizes[:number])
            place = f"bytes {start} to {start + sizes[number]} (part {number})"
            found, expected = f"sha256 {sha256}", f"{parts[number].sha256}, as the sidecar says"
            report.findings.append(IndexedDatasetError(path, place, found, expected, REWRITE))

    outside = _Outside(report.vocabulary_size, None if not index.layout.has_modes else _of_text(index, raw))
    disabled = None if progress else True
    from tqdm import tqdm  # not at the top: every worker would wait for it

    with tqdm(total=index.bin_size, unit="B", unit_scale=True, desc="verify", disable=disabled) as bar:
        for data in read_parts(path, sizes, on_digest):
            outside.look_at(np.frombuffer(data, index.layout.dtype))
            bar.update(len(data))
    if parts:
        report.checked.append("digests")
    if report.vocabulary_size is None:
        report.not_checked.append("range of ids (give the vocabulary size or a tokenizer)")
        return
    report.checked.append("range of ids")
    if outside.count:
        found = f"id {outside.first_id}" + (f" (and {outside.count - 1} more outside)" if outside.count > 1 else "")
        place, expected = _place_of_token(index, raw, outside.first_at), f"0 to {report.vocabulary_size - 1}"
        remedy = "the dataset was made with another tokenizer, or is damaged"
        report.findings.append(IndexedDatasetError(path, place, found, expected, remedy))


class _Outside:
    """Counts the ids outside of a vocabulary, and remembers the first."""

    def __init__(self, vocabulary_size: int | None, texts: tuple[RawBytes, RawBytes] | None) -> None:
        self.count, self.first_at, self.first_id = 0, 0, 0
        self._limit = vocabulary_size
        self._seen = 0
        self._texts = texts  # where sequences end, and which of them hold ids: bytes of images are none

    def look_at(self, tokens: npt.NDArray[Any]) -> None:
        if self._limit is not None and (tokens.max() >= self._limit or tokens.min() < 0):
            bad = np.flatnonzero((tokens >= self._limit) | (tokens < 0))
            if self._texts is not None:
                ends, are_text = self._texts
                bad = bad[are_text[np.searchsorted(ends, bad + self._seen, side="right")]]
            if not self.count and bad.size:
                self.first_at, self.first_id = self._seen + int(bad[0]), int(tokens[bad[0]])
            self.count += bad.size
        self._seen += tokens.size


def _of_text(index: IndexFile, raw: RawBytes) -> tuple[RawBytes, RawBytes]:
    layout = index.layout
    lengths = raw[layout.lengths_offset : layout.pointers_offset].view(np.int32)
    modes = raw[layout.modes_offset : layout.modes_offset + layout.sequences].view(np.int8)
    return np.cumsum(lengths, dtype=np.int64), modes == 0


def _place_of_token(index: IndexFile, raw: RawBytes, token: int) -> str:
    layout = index.layout
    pointers = raw[layout.pointers_offset : layout.boundaries_offset].view(np.int64)
    byte = token * layout.dtype.itemsize
    sequence = int(np.searchsorted(pointers, byte, side="right")) - 1
    return f"sequence {sequence}, token {(byte - int(pointers[sequence])) // layout.dtype.itemsize}"
