"""One dataset from the files of shards, in the order of the plan.

00000.text.bin, 00001.text.bin ... --kernel copy--> PREFIX.bin.partial     as soon as a shard is there, while
                                                                           later ones are being worked on; moved.py
.lengths, .counts --streamed--> PREFIX.idx.partial                         at the end, then the commit
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from preprocess.errors import MaskgenError
from preprocess.indexed.format import BOUNDARY, LENGTH, MODE, IndexLayout
from preprocess.indexed.partial import PartialDataset
from preprocess.indexed.parts import read_parts
from preprocess.indexed.sidecar import InputFile, Part, Sidecar, TokenizerInfo, library_versions
from preprocess.indexed.writer import write_index
from preprocess.pipeline.images import MODES_OF_PAIR
from preprocess.pipeline.moved import share_file
from preprocess.pipeline.shard_files import Receipt
from preprocess.pipeline.work_folder import WorkFolder

CHUNK = 1 << 18  # entries that are held at a time
FLUSH_EVERY = 8 << 20  # bytes; so that the disk works while the shards do, and the last flush is short


class Assembly:
    """The dataset of one key while its shards come in."""

    def __init__(
        self, prefix: str, key: int, dtype: np.dtype[Any], work: WorkFolder, *, move: bool, pairs: bool = False
    ) -> None:
        self.prefix, self.key, self._dtype, self._work = prefix, key, dtype, work
        self._move = move  # shards' tokens, so that they are there only once
        self._pairs = pairs  # documents of a caption and an image
        self.receipts: list[Receipt] = []
        self._partial = PartialDataset(prefix, staging=work.path)
        self._out = self._partial.create("bin")
        self._flushed = 0

    def append(self, receipt: Receipt, *, check: bool) -> None:
        """Add the next shard's tokens. `check` reads them for their digest: an earlier run may have met a power cut."""
        facts = receipt.files[f"{self.key}.bin"]
        digests: list[str] = []
        keep = (lambda _, sha256: digests.append(sha256)) if check else None
        self._out.append_file(self._path(receipt, "bin"), [part.bytes for part in facts.parts], keep)
        if check and digests != [part.sha256 for part in facts.parts]:
            raise damaged(self._work, receipt, f"{self.key}.bin")
        if check:
            for kind in ("lengths", "counts"):
                check_file(self._work, receipt, f"{self.key}.{kind}")
        if self._move and not self.receipts:
            self._move = share_file(self._out.path, self._work, self.key)
        if self._move:
            os.unlink(self._path(receipt, "bin"))
        self.receipts.append(receipt)
        if self._out.bytes - self._flushed >= FLUSH_EVERY:
            self._out.flush_to_disk()
            self._flushed = self._out.bytes

    def commit(self, tokenizer: TokenizerInfo, settings: dict[str, Any], inputs: Sequence[InputFile],
               statistics: dict[str, Any]) -> None:  # fmt: skip
        """Make the dataset exist."""
        counts = [receipt.keys[self.key] for receipt in self.receipts]
        documents = sum(receipt.documents for receipt in self.receipts)
        layout = IndexLayout(self._dtype, sum(each.sequences for each in counts), documents + 1, has_modes=self._pairs)
        idx = self._partial.create("idx", digest=True)
        write_index(idx, layout, lengths=self._lengths, boundaries=self._boundaries, modes=self._modes)
        files = [receipt.files[f"{self.key}.bin"] for receipt in self.receipts]
        sidecar = Sidecar(
            dtype=str(self._dtype),
            documents=documents,
            sequences=layout.sequences,
            tokens=sum(each.tokens for each in counts),
            has_modes=self._pairs,
            bin=[part for file in files for part in file.parts],
            idx=Part(idx.bytes, idx.hexdigest()),
            tokenizer=tokenizer,
            settings=settings,
            inputs=list(inputs),
            versions=library_versions("tokenizers"),
            statistics=statistics,
        )
        self._partial.create("json").append(sidecar.to_json())
        self._partial.commit()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._partial.discard()

    def _path(self, receipt: Receipt, kind: str) -> str:
        return self._work.file(receipt.files[f"{self.key}.{kind}"].name)

    def _lengths(self) -> Iterator[npt.NDArray[Any]]:
        for receipt in self.receipts:
            yield from read_array(self._path(receipt, "lengths"), LENGTH)

    def _modes(self) -> Iterator[npt.NDArray[Any]]:
        for receipt in self.receipts:
            left = receipt.documents
            while left:
                yield np.tile(np.array(MODES_OF_PAIR, MODE), min(left, CHUNK))
                left -= min(left, CHUNK)

    def _boundaries(self) -> Iterator[npt.NDArray[Any]]:
        yield np.zeros(1, BOUNDARY)
        sequences = 0
        for receipt in self.receipts:
            for counts in read_array(self._path(receipt, "counts"), LENGTH):
                ends = np.cumsum(counts, dtype=BOUNDARY) + sequences
                sequences = int(ends[-1])
                yield ends


def read_array(path: str, dtype: np.dtype[Any]) -> Iterator[npt.NDArray[Any]]:
    """A file of numbers, some at a time."""
    size = os.path.getsize(path)
    if size % dtype.itemsize:
        raise MaskgenError(f"{path}: found {size} bytes, expected whole numbers; remove it and its receipt")
    with open(path, "rb") as file:
        while data := file.read(CHUNK * dtype.itemsize):
            yield np.frombuffer(data, dtype)


def check_file(work: WorkFolder, receipt: Receipt, kind: str) -> None:
    """Raise unless a file of a shard is what its receipt says."""
    facts = receipt.files[kind]
    path = work.file(facts.name)
    digests: list[str] = []
    if os.path.getsize(path) == facts.bytes:
        for _ in read_parts(path, [part.bytes for part in facts.parts], lambda _, sha256: digests.append(sha256)):
            pass
    if digests != [part.sha256 for part in facts.parts]:
        raise damaged(work, receipt, kind)


def damaged(work: WorkFolder, receipt: Receipt, kind: str) -> MaskgenError:
    """The error for a shard that is not what its receipt says. The receipt goes, so that the shard is done again."""
    with suppress(FileNotFoundError):
        os.unlink(work.receipt_path(receipt.number))
    return MaskgenError(
        f"{work.file(receipt.files[kind].name)}: found other bytes than were written (a power cut?), "
        "expected those of its receipt; that shard was thrown away: run the same command again"
    )
