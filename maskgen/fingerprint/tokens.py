"""The digest of a dataset's files: the one that its sidecar states, or all tokens read again.

Without a sidecar tokens are always read. With one they are read where somebody asks (`full`); otherwise the index is
read, and the tokens at a thousand places, which is all of them in a dataset of less than four megabytes. A check also
reads all of a dataset that takes it no more than some seconds.
"""

import hashlib
import os
from dataclasses import replace
from typing import Any

from tqdm import tqdm

from preprocess import IndexedDataset, IndexedDatasetError
from preprocess.indexed.format import bin_path, sidecar_path
from preprocess.indexed.index_file import load_index, open_index
from preprocess.indexed.parts import read_parts
from preprocess.indexed.sidecar import Part, describe_files, read_sidecar
from preprocess.probing import look_at

PROBES = 1024
READ_IN_CHECKS = 4 << 30  # bytes of tokens: three seconds from the page cache


def tokens_stage(dataset: IndexedDataset, full: bool, progress: bool) -> dict[str, Any]:
    """Counts, type and digest of a dataset; the digest is that of a sidecar which describes these very files."""
    path = bin_path(dataset.prefix)
    index = open_index(dataset.prefix)
    facts = describe_files(index, load_index(index))
    sidecar = read_sidecar(dataset.prefix)
    if sidecar is not None and sidecar.bin_size != facts.bin_size:
        raise IndexedDatasetError(
            path, "size", f"{facts.bin_size} bytes", f"{sidecar.bin_size}, as {sidecar_path(dataset.prefix)} says",
            "maskgen verify shows what is wrong with it",
        )  # fmt: skip
    parts = facts.bin if sidecar is None else sidecar.bin
    if full or sidecar is None:
        parts = _read(path, parts, progress)
    return {
        "digest": replace(facts, bin=parts).digest,
        "look": _look(path, facts.bin_size),
        "tokens": facts.tokens,
        "sequences": facts.sequences,
        "documents": facts.documents,
        "dtype": facts.dtype,
    }


def trusts_sidecar(dataset: IndexedDataset, full: bool) -> bool:
    """Whether the digest of the stage is that of the sidecar, so that not every token is read for it."""
    return not full and os.path.exists(sidecar_path(dataset.prefix))


def is_quick(dataset: IndexedDataset) -> bool:
    """Whether a check reads every token even where there is a sidecar."""
    return os.path.getsize(bin_path(dataset.prefix)) <= READ_IN_CHECKS


def _read(path: str, parts: list[Part], progress: bool) -> list[Part]:
    """The same parts with the digests of what is in the file."""
    digests: list[str] = []
    sizes = [part.bytes for part in parts]
    with tqdm(total=sum(sizes), unit="B", unit_scale=True, desc="tokens", disable=None if progress else True) as bar:
        for data in read_parts(path, sizes, lambda _number, sha256: digests.append(sha256)):
            bar.update(len(data))
    return [Part(size, digest) for size, digest in zip(sizes, digests, strict=True)]


def _look(path: str, size: int) -> str:
    digest = hashlib.sha256(str(size).encode())
    look_at(path, size, PROBES, digest)
    return digest.hexdigest()
