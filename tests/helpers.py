"""What several tests need: a slow, independent statement of the format, and small datasets made with it."""

import itertools
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from preprocess import IndexedDataset, IndexedDatasetError, IndexedDatasetWriter

GOLDEN = Path(__file__).parent / "golden"
CODES = {"uint8": 1, "int8": 2, "int16": 3, "int32": 4, "int64": 5, "uint16": 8}

_clock = itertools.count(1_000_000_000_000_000_000, 1_000_000_000)


@dataclass
class Index:
    """The fields of an index, to be bent out of shape one at a time; `pack` writes whatever they say."""

    lengths: list[int]
    documents: list[int]
    dtype: str = "uint16"
    modes: list[int] | None = None
    magic: bytes = b"MMIDIDX\x00\x00"
    version: int = 1
    code: int | None = None
    sequence_count: int | None = None
    document_count: int | None = None
    pointers: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lengths, self.documents = list(self.lengths), list(self.documents)
        if not self.pointers:
            itemsize = np.dtype(self.dtype).itemsize
            ends = list(itertools.accumulate((length * itemsize for length in self.lengths), initial=0))
            self.pointers = ends[:-1]

    def pack(self) -> bytes:
        sequences = len(self.lengths) if self.sequence_count is None else self.sequence_count
        documents = len(self.documents) if self.document_count is None else self.document_count
        code = CODES[self.dtype] if self.code is None else self.code
        header = self.magic + struct.pack("<QBQQ", self.version, code, sequences, documents)
        body = struct.pack(f"<{len(self.lengths)}i", *self.lengths)
        body += struct.pack(f"<{len(self.pointers)}q", *self.pointers)
        body += struct.pack(f"<{len(self.documents)}q", *self.documents)
        return header + body + struct.pack(f"<{len(self.modes or [])}b", *(self.modes or []))


def write_files(prefix: Path | str, index: bytes, tokens: bytes) -> str:
    """Write both files as they are. Each call gets its own modification time, as files made minutes apart would."""
    for extension, content in (("idx", index), ("bin", tokens)):
        path = f"{prefix}.{extension}"
        with open(path, "wb") as file:
            file.write(content)
        touch(path)
    return str(prefix)


def touch(path: str) -> None:
    moment = next(_clock)
    os.utime(path, ns=(moment, moment))


def write_dataset(
    prefix: Path | str,
    documents: Sequence[Sequence[Sequence[int]]],
    dtype: str = "uint16",
    modes: Sequence[Sequence[int]] | None = None,
) -> str:
    """A dataset through the writer: documents of sequences of tokens."""
    with IndexedDatasetWriter(str(prefix), dtype) as writer:
        for number, document in enumerate(documents):
            tokens = [token for sequence in document for token in sequence]
            lengths = [len(sequence) for sequence in document]
            writer.add_document(tokens, lengths, None if modes is None else modes[number])
    return str(prefix)


def contents(prefix: Path | str) -> tuple[bytes, bytes]:
    """The bytes of ``.bin`` and ``.idx``."""
    return Path(f"{prefix}.bin").read_bytes(), Path(f"{prefix}.idx").read_bytes()


def read_all(prefix: Path | str) -> list[list[int]]:
    """Every sequence of a dataset, through the reader, after touching every array of its index."""
    dataset = IndexedDataset(prefix)
    assert dataset.document_indices[-1] == len(dataset)
    assert len(dataset.sequence_lengths) == len(dataset.sequence_pointers) == len(dataset)
    return [sequence.tolist() for sequence in dataset]


def leftovers(folder: Path | str) -> list[str]:
    """Temporary files in a folder."""
    return sorted(name for name in os.listdir(folder) if name.endswith((".partial", ".writing")))


def assert_explains(error: IndexedDatasetError, path: str = "") -> None:
    """An error must name file, place, what was found and expected, and what to do."""
    assert path in error.path
    for part in (error.path, error.place, error.found, error.expected, error.remedy):
        assert part
        assert part in str(error)
    assert "\n" not in str(error)
