"""Digests of a run of bytes in parts, eight of one length side by side: four times as fast as one after the other."""

import hashlib

from preprocess import _native
from preprocess.indexed.sidecar import Part

LANES = 8
ALIGNMENT = 64 * LANES  # so that no part ends inside a token, and none in the middle of a block
LEAST = 1 << 16  # bytes; less is not worth more than one part


def digest_parts(data: memoryview) -> list[Part]:
    """All of `data` as parts in order; hashlib would say the same of each."""
    whole = len(data) // ALIGNMENT * ALIGNMENT if len(data) >= LEAST else 0
    size = whole // LANES
    parts = [Part(size, digest.hex()) for digest in _native.sha256_lanes(data[:whole])] if whole else []
    if len(data) > whole:
        parts.append(Part(len(data) - whole, hashlib.sha256(data[whole:]).hexdigest()))
    return parts
