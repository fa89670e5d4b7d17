"""The files of one shard while they are written, and the receipt that says what is in them.

Data flow: tokens, sequence lengths and sequence counts of each key are appended to files of their own; `finish` closes
them and writes the receipt, which names them.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from preprocess.corpora.errors import Problem
from preprocess.errors import MaskgenError, os_failure
from preprocess.indexed.digests import digest_parts
from preprocess.indexed.sidecar import Part
from preprocess.pipeline.quarantine import quarantine_line
from preprocess.pipeline.statistics import LengthHistogram, add_counts
from preprocess.pipeline.work_folder import WorkFolder, write_file

# Bytes gathered before they are digested, in eight parts, and written. Large shards have large parts, so that the list
# of all parts of a dataset stays short.
SMALLEST_BUFFER = 4 << 20
LARGEST_BUFFER = 64 << 20
SMALLEST_ROOM = 1 << 16


@dataclass
class KeyCounts:
    """What one key's documents came to."""

    sequences: int = 0
    tokens: int = 0
    empty: int = 0  # documents without a token
    unknown: int = 0  # tokens that are [UNK]
    lengths: dict[int, int] = field(default_factory=dict)  # documents by their number of tokens


@dataclass
class PieceCounts:
    """What one piece of an input came to."""

    documents: int = 0
    lines: int = 0
    problems: dict[str, int] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)  # reason and finding, when the whole file was left out


@dataclass
class FileFacts:
    """One file of a shard."""

    name: str
    parts: list[Part]

    @property
    def bytes(self) -> int:
        """All of it."""
        return sum(part.bytes for part in self.parts)


@dataclass
class Receipt:
    """What is in a shard."""

    plan: str
    number: int
    limit: int | None  # it holds only so many documents, because the whole run was limited
    pieces: list[PieceCounts]
    keys: list[KeyCounts]
    files: dict[str, FileFacts]

    @property
    def documents(self) -> int:
        """Of all pieces."""
        return sum(piece.documents for piece in self.pieces)

    @property
    def has_unreadable(self) -> bool:
        """Whether a file was left out as a whole."""
        return any(piece.unreadable for piece in self.pieces)

    @property
    def problems(self) -> dict[str, int]:
        """Of all pieces, by reason."""
        return add_counts(piece.problems for piece in self.pieces)

    def suits(self, on_error: str) -> bool:
        """Whether a run with this policy may use the shard: it is free of bad records, or treats them alike."""
        if on_error == "error":
            return not self.problems and not self.has_unreadable
        return on_error == "skip" or not self.problems or "quarantine" in self.files

    def to_json(self) -> bytes:
        """The receipt's file."""
        return json.dumps(self, default=vars).encode("ascii")


def read_receipt(work: WorkFolder, number: int, plan: str) -> Receipt:
    """A finished shard's receipt; an error when it is damaged or belongs to another plan."""
    path = work.receipt_path(number)
    remedy = "remove that file and run the same command again"
    try:
        with open(path, "rb") as file:
            facts = json.loads(file.read())
        receipt = Receipt(
            plan=facts["plan"],
            number=facts["number"],
            limit=facts["limit"],
            pieces=[PieceCounts(**piece) for piece in facts["pieces"]],
            keys=[
                KeyCounts(**{**key, "lengths": {int(length): count for length, count in key["lengths"].items()}})
                for key in facts["keys"]
            ],
            files={
                kind: FileFacts(file["name"], [Part(**part) for part in file["parts"]])
                for kind, file in facts["files"].items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MaskgenError(f"{path}: found a damaged receipt ({error!r}), expected a shard's; {remedy}") from None
    except OSError as error:
        raise os_failure(path, "read it", error, remedy) from None
    if (receipt.plan, receipt.number) != (plan, number):
        raise MaskgenError(f"{path}: found a receipt of another plan, expected {plan[:12]}…; {remedy}")
    return receipt


def sound_receipt(work: WorkFolder, number: int, plan: str) -> Receipt | None:
    """A shard's receipt if it is of this plan and its files have their sizes; else it is taken away."""
    try:
        receipt = read_receipt(work, number, plan)
        if all(os.path.getsize(work.file(file.name)) == file.bytes for file in receipt.files.values()):
            return receipt
    except (MaskgenError, OSError):
        pass
    with suppress(FileNotFoundError):
        os.unlink(work.receipt_path(number))
    return None


class _Buffer:
    """Memory that is filled from the front, and that the next shard fills again.

    Growing a new one for each shard cost as much as digesting what is in it: moves, and the first touch of each page.
    """

    _spare: ClassVar[dict[str, list["_Buffer"]]] = {}  # by the kind of file, since these differ in size

    def __init__(self) -> None:
        self._room = memoryview(bytearray(SMALLEST_ROOM))
        self._filled = 0

    @classmethod
    def of(cls, kind: str) -> "_Buffer":
        """One that is empty."""
        try:
            return cls._spare[kind].pop()
        except (KeyError, IndexError):
            return cls()

    def give_back(self, kind: str) -> None:
        self._filled = 0
        self._spare.setdefault(kind, []).append(self)

    def __len__(self) -> int:
        return self._filled

    def append(self, view: memoryview) -> None:
        end = self._filled + len(view)
        if end > len(self._room):
            old = self._room
            self._room = memoryview(bytearray(max(end, 2 * len(old))))
            self._room[: self._filled] = old[: self._filled]
        self._room[self._filled : end] = view
        self._filled = end

    def take(self) -> memoryview:
        """What is in it, valid until something is appended."""
        view = self._room[: self._filled]
        self._filled = 0
        return view


class _ShardFile:
    """One file: buffered, and digested buffer by buffer."""

    def __init__(self, path: str, kind: str, buffer_bytes: int) -> None:
        self.path = path
        self.bytes = 0
        self._kind = kind
        self._buffer_bytes = buffer_bytes
        self._parts: list[Part] = []
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._buffer = _Buffer.of(kind)

    def append(self, data: npt.NDArray[Any] | bytes) -> None:
        whole = memoryview(data) if isinstance(data, bytes) else data.data
        view = whole.cast("B") if len(whole) else memoryview(b"")  # nothing cannot be cast
        self._buffer.append(view)
        self.bytes += len(view)
        if len(self._buffer) >= self._buffer_bytes:
            self._flush()

    def _flush(self) -> None:
        view = self._buffer.take()
        self._parts += digest_parts(view)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise os_failure(self.path, f"write at byte {self.bytes - len(view)}", error, "check the folder") from None

    def finish(self) -> FileFacts:
        self._flush()
        self._close()
        return FileFacts(os.path.basename(self.path), self._parts)

    def discard(self) -> None:
        if self._descriptor >= 0:
            self._close()
        with suppress(FileNotFoundError):
            os.unlink(self.path)

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
        self._buffer.give_back(self._kind)


class ShardWriter:
    """Writes the files of a shard made from about `size` bytes; no receipt names them before `finish`."""

    def __init__(self, work: WorkFolder, number: int, keys: int, *, size: int, lines: bool, quarantine: bool) -> None:
        self._work, self._number = work, number
        self._counts = [KeyCounts() for _ in range(keys)]
        self._histograms = [LengthHistogram() for _ in range(keys)]
        self._pieces: list[PieceCounts] = []
        kinds = [f"{key}.{kind}" for key in range(keys) for kind in ("bin", "lengths", "counts")]
        kinds += ["lines"] * lines + ["quarantine"] * quarantine
        token = os.urandom(6).hex()
        buffer_bytes = min(max(SMALLEST_BUFFER, size // 4), LARGEST_BUFFER)
        self._files: dict[str, _ShardFile] = {}
        try:
            for kind in kinds:
                self._files[kind] = _ShardFile(work.file(f"{number:05d}.{kind}.{token}"), kind, buffer_bytes)
        except OSError as error:
            self.discard()
            raise os_failure(work.path, "create a shard's files there", error, "check the folder") from None

    def begin_piece(self) -> PieceCounts:
        """Start with the next input; the counts are for the caller to add to."""
        self._pieces.append(PieceCounts())
        return self._pieces[-1]

    def add(
        self, key: int, ids: npt.NDArray[Any], sequence_lengths: npt.NDArray[np.int32], counts: npt.NDArray[np.int32]
    ) -> None:
        """Some documents of one key: their ids, the lengths of their sequences, how many sequences each has."""
        self._files[f"{key}.bin"].append(ids)
        self._files[f"{key}.lengths"].append(sequence_lengths)
        self._files[f"{key}.counts"].append(counts)
        totals = self._counts[key]
        totals.sequences += len(sequence_lengths)
        totals.tokens += len(ids)
        totals.empty += int(np.count_nonzero(counts == 0))

    def count(self, key: int, document_lengths: npt.NDArray[np.int32], unknown: int) -> None:
        """Statistics of the same documents."""
        self._histograms[key].add(document_lengths)
        self._counts[key].unknown += unknown

    def add_lines(self, lines: npt.NDArray[np.int64]) -> None:
        """Where the documents came from."""
        if "lines" in self._files:
            self._files["lines"].append(lines)

    def add_problems(self, file: str, problems: Sequence[Problem]) -> None:
        """Count bad records, and keep them where the user wants to see them."""
        counts = self._pieces[-1].problems
        for problem in problems:
            counts[problem.reason] = counts.get(problem.reason, 0) + 1
            if "quarantine" in self._files:
                self._files["quarantine"].append(quarantine_line(file, len(self._pieces) - 1, problem))

    def finish(self, plan: str, limit: int | None) -> Receipt:
        """Write the receipt: from here on the shard is complete."""
        for counts, histogram in zip(self._counts, self._histograms, strict=True):
            counts.lengths = histogram.counts()
        files = {kind: file.finish() for kind, file in self._files.items()}
        receipt = Receipt(plan, self._number, limit, self._pieces, self._counts, files)
        write_file(self._work.receipt_path(self._number), receipt.to_json())
        self._files.clear()
        return receipt

    def discard(self) -> None:
        """Give up: no file stays."""
        for file in self._files.values():
            file.discard()
