"""What data and settings are, in a few hundred bytes of JSON: what a saved state or a fingerprint is compared with.

dataset, mapping, vocabulary --digests--> describe() of samples --difference--> None, or the first place that differs

An identity does not depend on where files lie, nor on what cannot change a result (engines, threads, ranks).
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.mapping.cache import dataset_key
from maskgen.vocab import ROLES, Vocab
from preprocess import IndexedDataset
from preprocess.errors import os_failure
from preprocess.indexed.digests import digest_parts
from preprocess.indexed.format import bin_path
from preprocess.indexed.sidecar import read_sidecar
from preprocess.probing import look_at

CHUNK = 4 << 20  # bytes digested at a time; a part of what array_digest promises
PROBES = 64
LONGEST_VALUE = 80


def dataset_identity(dataset: IndexedDataset) -> dict[str, Any]:
    """What a dataset is, wherever its files are: counts and a digest.

    The digest is made of the sidecar's, which covers every token, and of a look at the index and the tokens at some
    places; without a sidecar, of the whole index and that look. It takes milliseconds with a sidecar.
    """
    sidecar = read_sidecar(dataset.prefix)
    digest = hashlib.sha256(f"{dataset_key(dataset)} ".encode())
    digest.update(_look_at_tokens(bin_path(dataset.prefix)))
    return {
        "digest": digest.hexdigest(),
        "digest_of": "index" if sidecar is None else "sidecar",
        "tokens": len(dataset.tokens),
        "sequences": len(dataset),
        "documents": len(dataset.document_indices) - 1,
        "dtype": str(dataset.dtype),
    }


def array_digest(array: npt.NDArray[Any]) -> str:
    """A digest of type, shape and values, whatever the order in memory; a mapped file is read once, in chunks."""
    little = array.dtype.newbyteorder("<")
    total = hashlib.sha256(json.dumps([little.str, list(array.shape)]).encode())
    flat = array.reshape(-1) if array.flags.c_contiguous else np.ascontiguousarray(array).reshape(-1)
    step = max(1, CHUNK // max(1, array.dtype.itemsize))
    for start in range(0, len(flat), step):
        chunk = np.ascontiguousarray(flat[start : start + step], little)
        for part in digest_parts(chunk.view(np.uint8).data):
            total.update(f" {part.bytes} {part.sha256}".encode())
    return total.hexdigest()


def vocab_digest(vocab: Vocab) -> str:
    """A digest of pieces, roles and word starts: all that masking reads. The name is not part of it."""
    facts = [
        vocab.pieces,
        [getattr(vocab, f"{role}_id") for role in ROLES],
        vocab.sentinel_ids,
        sorted(vocab.special_ids),
        array_digest(vocab.word_starts),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def settings_digest(description: Mapping[str, Any]) -> str:
    """One digest of a whole description: equal when `difference` finds nothing."""
    return hashlib.sha256(json.dumps(plain(description), sort_keys=True).encode()).hexdigest()


def plain(value: Any) -> Any:
    """`value` with what JSON would read back: dicts, lists, and Python's own numbers for numpy's."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """The first place where two descriptions differ, with both values; None where they are the same.

    >>> difference({"seed": 1, "options": {"prob": 0.15}}, {"seed": 1, "options": {"prob": 0.2}})
    'options.prob: 0.15 and 0.2'
    """
    return _difference(plain(one), plain(other), "")


def _difference(one: Any, other: Any, path: str) -> str | None:
    if isinstance(one, dict) and isinstance(other, dict):
        keys: Iterable[str] = [*one, *(key for key in other if key not in one)]
        pairs = [(f"{path}.{key}" if path else key, one.get(key, _Nothing), other.get(key, _Nothing)) for key in keys]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{path}[{i}]", left, right) for i, (left, right) in enumerate(zip(one, other, strict=True))]
    elif isinstance(one, list) and isinstance(other, list):
        return f"{path}: {len(one)} entries and {len(other)}"
    else:
        # As text, so that True is not 1 and a NaN is itself.
        return None if _text(one) == _text(other) else f"{path}: {_short(one)} and {_short(other)}"
    for place, left, right in pairs:
        if (found := _difference(left, right, place)) is not None:
            return found
    return None


class _Nothing:
    """Stands for a key that one of two descriptions does not have."""


def _text(value: Any) -> str:
    return "nothing" if value is _Nothing else json.dumps(value)


def _short(value: Any) -> str:
    text = _text(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def _look_at_tokens(path: str) -> bytes:
    try:
        size = os.path.getsize(path)
    except OSError as error:
        raise os_failure(path, "read it", error, "check the disk and the network") from None
    digest = hashlib.sha256()
    look_at(path, size, PROBES, digest)
    return digest.digest()
