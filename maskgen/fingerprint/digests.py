"""Digests of samples and batches, of their values alone: types in memory, engines and versions do not show.

Integers of any width count as 64-bit ones, floats as doubles, both little-endian.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


def value_bytes(array: npt.NDArray[Any]) -> memoryview:
    """The values as bytes that every machine would write."""
    wide = np.ascontiguousarray(array, "<f8" if array.dtype.kind == "f" else "<i8")
    return wide.reshape(-1).view(np.uint8).data


def combined(digests: Mapping[str, str]) -> str:
    """One digest for several with names, in the order of the names."""
    return hashlib.sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()


def batch_digest(batch: Mapping[str, npt.NDArray[Any]]) -> str:
    """The digest of all arrays of a batch, with their names and shapes."""
    digests = {}
    for name, array in batch.items():
        digest = hashlib.sha256(json.dumps(list(array.shape)).encode())
        digest.update(value_bytes(array))
        digests[name] = digest.hexdigest()
    return combined(digests)


class FieldDigests:
    """Digests of fields over many samples, whatever the batches in which they come."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}

    def update(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take in the next samples."""
        for name, array in arrays.items():
            if name not in self._fields:
                self._fields[name] = hashlib.sha256(json.dumps(list(array.shape[1:])).encode())
            self._fields[name].update(value_bytes(array))

    def fields(self) -> dict[str, str]:
        """The digest of each field so far."""
        return {name: digest.hexdigest() for name, digest in self._fields.items()}
