"""What a run came to: the counts for the sidecar, and the lines that the user reads."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from preprocess.corpora.inputs import input_look
from preprocess.errors import MaskgenError
from preprocess.indexed.sidecar import InputFile
from preprocess.pipeline.plan import Plan
from preprocess.pipeline.shard_files import KeyCounts, PieceCounts, Receipt
from preprocess.pipeline.statistics import LengthHistogram, add_counts

DEFAULT_LIMIT = "1%"


@dataclass(frozen=True)
class ErrorLimit:
    """How much may be skipped: a number of records, or a share of them."""

    text: str
    count: int | None
    share: float | None

    @staticmethod
    def parse(text: str) -> "ErrorLimit":
        """From ``100`` or ``0.5%``."""
        match = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?)%", text.strip())
        if match is None or (match[2] and float(match[2]) > 100):
            raise MaskgenError(f"--max-errors: found {text!r}, expected a number or a percentage such as 0.5%")
        return ErrorLimit(text, int(match[1]) if match[1] else None, float(match[2]) / 100 if match[2] else None)

    def check(self, totals: "Totals", plan: Plan, quarantine: str | None) -> None:
        """Raise when more than this was skipped. Of files that were left out, their share of the bytes counts."""
        skipped = sum(totals.skipped.values())
        lost_bytes = sum(plan.files[number].bytes for number in totals.left_out)
        if self.count is not None:
            too_many = skipped + len(totals.left_out) > self.count
        else:
            share = self.share or 0.0
            everything = sum(file.bytes for file in plan.files)
            too_many = skipped > share * (skipped + totals.documents) or lost_bytes > share * everything
        if too_many:
            raise MaskgenError(
                f"found {totals.skipped_words(plan)} among {skipped + totals.documents:,} records, expected at most "
                f"{self.text}; look at {quarantine or 'them with --on-error quarantine'}, or raise --max-errors "
                "(nothing is lost: the same command with another limit continues from here)"
            )


@dataclass
class Totals:
    """Sums over all shards. They do not depend on how the work was divided."""

    documents: int = 0
    lines: int = 0
    blank: int | None = 0  # None where records are not lines
    skipped: dict[str, int] = field(default_factory=dict)
    left_out: dict[int, tuple[str, str]] = field(default_factory=dict)  # files, with reason and finding
    lines_of_files: list[int] = field(default_factory=list)
    files: set[int] = field(default_factory=set)
    keys: list[KeyCounts] = field(default_factory=list)

    def skipped_words(self, plan: Plan) -> str:
        """What is missing from the datasets, in words."""
        parts = [f"{count:,} {reason}" for reason, count in self.skipped.items()]
        parts += [f"{plan.files[number].name} ({reason}: {found})" for number, (reason, found) in self.left_out.items()]
        return ", ".join(parts)


def add_up(plan: Plan, receipts: Sequence[Receipt], histograms: Sequence[LengthHistogram] = ()) -> Totals:
    """All receipts together; their lengths are in `histograms` already, or still in them."""
    totals = Totals(lines_of_files=[0] * len(plan.files))
    problems = []
    one_line_each = True
    for unreadable in plan.unreadable:
        totals.left_out[unreadable.file] = (unreadable.reason, unreadable.found)
        totals.files.add(unreadable.file)
    for receipt in receipts:
        for piece, counts in zip(plan.shards[receipt.number], receipt.pieces, strict=False):
            _add_piece(totals, piece.file, counts)
            problems.append(counts.problems)
            file = plan.files[piece.file]
            one_line_each &= file.format != "text" or plan.options.text_documents == "line"
    totals.skipped = add_counts(problems)
    totals.blank = totals.lines - totals.documents - sum(totals.skipped.values()) if one_line_each else None
    for key in range(len(plan.options.json_keys)):
        histogram = histograms[key] if histograms else LengthHistogram()
        sums = KeyCounts()
        for receipt in receipts:
            part = receipt.keys[key]
            if not histograms:
                histogram.merge(part.lengths)
            sums.sequences += part.sequences
            sums.tokens += part.tokens
            sums.empty += part.empty
            sums.unknown += part.unknown
        sums.lengths = histogram.counts()
        totals.keys.append(sums)
    return totals


def _add_piece(totals: Totals, file: int, counts: PieceCounts) -> None:
    totals.files.add(file)
    totals.documents += counts.documents
    totals.lines += counts.lines
    totals.lines_of_files[file] += counts.lines
    if counts.unreadable:
        totals.left_out[file] = (counts.unreadable[0], counts.unreadable[1])


def sidecar_inputs(plan: Plan, totals: Totals) -> list[InputFile]:
    """The inputs as the sidecar lists them; for a part of the corpus those that it is from."""
    return [
        InputFile(
            file.name,
            file.bytes,
            sha256=plan.content.get(file.name),
            modified_ns=None if file.name in plan.content else file.modified_ns,
            lines=lines,
            look=None if file.name in plan.content else input_look(file),
        )
        for number, (file, lines) in enumerate(zip(plan.files, totals.lines_of_files, strict=True))
        if number in totals.files
    ]


def sidecar_statistics(plan: Plan, totals: Totals, key: int) -> dict[str, Any]:
    """One key's counts, as its sidecar has them."""
    counts = totals.keys[key]
    return {
        "empty_documents": counts.empty,
        "unknown_tokens": counts.unknown,
        "unknown_share": round(counts.unknown / counts.tokens, 9) if counts.tokens else 0.0,
        "tokens_per_document": LengthHistogram(counts.lengths).percentiles(),
        "lines_read": totals.lines,
        "blank_lines": totals.blank,
        "skipped": totals.skipped,
        "files_left_out": [
            {"name": plan.files[number].name, "reason": reason, "found": found}
            for number, (reason, found) in sorted(totals.left_out.items())
        ],
    }


@dataclass(frozen=True)
class Summary:
    """What `tokenize` returns."""

    prefixes: Sequence[str]  # of the finished datasets
    totals: Totals
    plan: Plan
    bytes_done: int  # of input, by this run
    shards_done: int  # by this run
    shards_found: int  # finished by earlier ones
    seconds: float
    seconds_starting: float  # until the first worker had a shard to work on
    quarantine: str | None = None
    already_complete: bool = False

    def lines(self) -> list[str]:
        """For people."""
        if self.already_complete:
            return [f"{prefix}: already complete, made by the same command" for prefix in self.prefixes]
        found = []
        for prefix, counts in zip(self.prefixes, self.totals.keys, strict=False):
            documents = self.totals.documents
            percentiles = LengthHistogram(counts.lengths).percentiles()
            middle = f", median {percentiles['p50']:,}, longest {percentiles['max']:,}" if percentiles else ""
            mean = counts.tokens / documents if documents else 0.0
            unknown = 100 * counts.unknown / counts.tokens if counts.tokens else 0.0
            found.append(
                f"{prefix}: {documents:,} documents, {counts.sequences:,} sequences, {counts.tokens:,} tokens "
                f"({mean:,.1f} a document{middle}); {counts.empty:,} empty, {unknown:.3f} % unknown"
            )
        if self.totals.skipped or self.totals.left_out:
            where = f"; see {self.quarantine}" if self.quarantine else ""
            found.append(f"left out: {self.totals.skipped_words(self.plan)}{where}")
        if self.prefixes and not self.totals.documents:  # a task of several makes no dataset
            found.append("no document was found: the datasets are empty")
        working = max(self.seconds - self.seconds_starting, 1e-9)
        found.append(
            f"{self.bytes_done / 1e6:,.1f} MB in {self.seconds:,.1f} s, {self.seconds_starting:,.1f} s of it to start: "
            f"{self.bytes_done / 1e6 / working:,.1f} MB/s"
            + (f"; {self.shards_found} shards were there from an earlier run" if self.shards_found else "")
        )
        return found
