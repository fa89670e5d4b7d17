"""Eight digests side by side are those of hashlib."""

import hashlib
import random

import pytest

from preprocess import _native
from preprocess.indexed.digests import ALIGNMENT, LEAST, digest_parts


@pytest.mark.parametrize("length", [*range(130), 1000, 4096, 65_537])
def test_lanes_are_those_of_hashlib(length):
    data = random.Random(length).randbytes(8 * length)
    expected = [hashlib.sha256(data[i * length : (i + 1) * length]).digest() for i in range(8)]
    assert _native.sha256_lanes(data) == expected
    assert _native.sha256_lanes(memoryview(bytearray(b"x" + data))[1:]) == expected


def test_what_cannot_be_eight_messages():
    for data in (b"1234567", memoryview(bytes(32))[::2]):
        with pytest.raises(ValueError, match="data must be"):
            _native.sha256_lanes(data)


@pytest.mark.parametrize(
    "size", [0, 1, LEAST - 1, LEAST, LEAST + 1, LEAST + ALIGNMENT - 2, 1_000_000, (4 << 20) + 2, 4 << 20]
)
def test_parts_cover_everything_in_order(size):
    data = random.Random(size).randbytes(size)
    parts = digest_parts(memoryview(data))
    assert sum(part.bytes for part in parts) == size
    assert all(part.bytes % 8 == 0 for part in parts[:-1])
    position = 0
    for part in parts:
        assert part.sha256 == hashlib.sha256(data[position : position + part.bytes]).hexdigest()
        position += part.bytes
