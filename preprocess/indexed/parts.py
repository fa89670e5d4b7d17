"""Reading a file from end to end in chunks, with the digest of each of its parts."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence

from preprocess.errors import IndexedDatasetError, os_failure

CHUNK = 8 << 20  # bytes; a multiple of every token's size


def read_parts(path: str, sizes: Sequence[int], on_digest: Callable[[int, str], None] | None = None) -> Iterator[bytes]:
    """Yield the bytes of `path`, part by part; `on_digest(number, sha256)` is called at the end of each part.

    No chunk reaches across two parts. A file that ends early is an error.
    """
    position = 0
    try:
        with open(path, "rb") as file:
            for number, size in enumerate(sizes):
                digest = hashlib.sha256()
                left = size
                while left:
                    data = file.read(min(left, CHUNK))
                    if not data:
                        remedy = "it was cut while it was read: run the same command again"
                        raise IndexedDatasetError(path, "size", f"{position} bytes", f"{sum(sizes)}", remedy)
                    left -= len(data)
                    position += len(data)
                    if on_digest is not None:
                        digest.update(data)
                    yield data
                if on_digest is not None:
                    on_digest(number, digest.hexdigest())
    except OSError as error:
        raise os_failure(path, f"read it at byte {position}", error, "check the disk and the network") from None


def file_sha256(path: str) -> str:
    """The digest of a whole file."""
    digest = hashlib.sha256()
    for data in read_parts(path, [os.path.getsize(path)]):
        digest.update(data)
    return digest.hexdigest()
