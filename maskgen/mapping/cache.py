"""Mappings on disk: built once for all processes and runs, mapped by all of them.

Data flow: what the dataset is and every argument are hashed into a file name below ``PREFIX.maskgen-cache/``. A file
of that name is checked and mapped. Otherwise one process, behind a lock, builds the rows, writes them under a temporary
name, flushes them to disk and renames them. So a file that exists is complete, and changed data or arguments mean
another name.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.mapping.arguments import (
    LARGEST_LENGTH,
    probability,
    repetition,
    seed_number,
    whole_number,
)
from maskgen.mapping.build import build_mapping, mapping_dtype
from maskgen.mapping.cache_folder import cache_folder, lock_folder, write_array
from maskgen.mapping.npy_file import map_rows
from maskgen.mapping.splits import part_documents
from preprocess import IndexedDataset
from preprocess.errors import os_failure
from preprocess.indexed.format import bin_path, idx_path
from preprocess.indexed.sidecar import read_sidecar
from preprocess.probing import look_at

VERSION = 1  # of the rows: whenever the same arguments give other rows, this changes
PROBES = 1024


@dataclass(frozen=True)
class MappingFile:
    """Where a mapping is, or will be, and how to build it."""

    path: str
    dtype: np.dtype[Any]
    documents: tuple[int, int]  # first, one past the last
    build: Callable[[], npt.NDArray[Any]]

    @property
    def exists(self) -> bool:
        """Whether it has been built."""
        return os.path.lexists(self.path)

    def load(self) -> npt.NDArray[Any]:
        """The rows, mapped; built first where nobody has done that."""
        if not self.exists:
            with lock_folder(os.path.dirname(self.path)):
                if not self.exists:  # the process that had the lock before may have built the same
                    write_array(self.path, self.build())
        return map_rows(self.path, 3, (self.dtype,))


def cached_mapping(
    dataset: IndexedDataset,
    *,
    num_epochs: int | None = None,
    max_num_samples: int | None = None,
    max_seq_length: int,
    short_seq_prob: float,
    seed: int,
    min_num_sent: int,
    split: str | None = None,
    part: str | int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> npt.NDArray[Any]:
    """``build_mapping`` over a dataset of sentences, or one part of a split of its documents, memory-mapped.

    `cache_dir` is ``PREFIX.maskgen-cache`` by default. Many processes may ask for the same mapping at once: one builds
    it. A file there that is not what was written is an error, never used and never unpickled.
    """
    return mapping_file(
        dataset,
        num_epochs=num_epochs,
        max_num_samples=max_num_samples,
        max_seq_length=max_seq_length,
        short_seq_prob=short_seq_prob,
        seed=seed,
        min_num_sent=min_num_sent,
        split=split,
        part=part,
        cache_dir=cache_dir,
    ).load()


def mapping_file(
    dataset: IndexedDataset,
    *,
    num_epochs: int | None = None,
    max_num_samples: int | None = None,
    max_seq_length: int,
    short_seq_prob: float,
    seed: int,
    min_num_sent: int,
    split: str | None = None,
    part: str | int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> MappingFile:
    """The file in which ``cached_mapping`` keeps the rows of these arguments."""
    repetition(num_epochs, max_num_samples)
    arguments: dict[str, Any] = {
        "num_epochs": None if num_epochs is None else int(num_epochs),
        "max_num_samples": None if max_num_samples is None else int(max_num_samples),
        "max_seq_length": whole_number("max_seq_length", max_seq_length, 2, LARGEST_LENGTH),
        "short_seq_prob": probability("short_seq_prob", short_seq_prob),
        "seed": seed_number(seed),
        "min_num_sent": whole_number("min_num_sent", min_num_sent, 1),
    }
    first, end = part_documents(split, part, len(dataset.document_indices) - 1)
    facts = {
        "function": "build_mapping",
        "version": VERSION,
        "dataset": dataset_key(dataset),
        "documents": [first, end],
        **arguments,
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    folder = cache_folder(dataset, cache_dir)

    def build() -> npt.NDArray[Any]:
        return build_mapping(dataset.document_indices[first : end + 1], dataset.sequence_lengths, **arguments)

    return MappingFile(
        os.path.join(folder, f"mapping-{key[:40]}.npy"), mapping_dtype(len(dataset)), (first, end), build
    )


def dataset_key(dataset: IndexedDataset) -> str:
    """What the dataset is: the sidecar's digest and a look at the index itself, or the digest of the whole index.

    The look costs milliseconds: a thousand places of the index, which for most datasets is all of it. It notices a
    sidecar that no longer describes the files beside it.
    """
    sidecar = read_sidecar(dataset.prefix)
    path = idx_path(dataset.prefix)
    try:
        size, bin_size = os.path.getsize(path), os.path.getsize(bin_path(dataset.prefix))
        digest = hashlib.sha256(f"{size} {bin_size} ".encode())
        if sidecar is None or (sidecar.idx.bytes, sidecar.bin_size) != (size, bin_size):
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        else:
            digest.update(sidecar.digest.encode())
            look_at(path, size, PROBES, digest)
    except OSError as error:
        raise os_failure(path, "read it", error, "check the disk and the network") from None
    return digest.hexdigest()
