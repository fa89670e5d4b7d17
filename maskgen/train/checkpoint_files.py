"""The files of one checkpoint: written and flushed one by one with their digests, which the manifest lists.

value --torch.save--> NAME.pt; bytes and sha256 of each, and of the rest of the manifest --> manifest.json
"""

import errno
import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from maskgen.train.errors import TrainError
from maskgen.train.sharding import is_sharded

FORMAT = 1
MANIFEST = "manifest.json"
READ_BYTES = 4 << 20
LARGEST_MANIFEST = 16 << 20
FIELDS: dict[str, type] = {"format": int, "step": int, "world_size": int, "notes": dict, "files": dict, "digest": str}


class _Digested:
    """A file that torch.save writes to from start to end, and the digest of what it wrote."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.bytes = 0
        self.digest = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            self._file.write(data)
        except OSError as error:
            self.error = error
            raise
        self.digest.update(data)
        self.bytes += len(data)
        return len(data)

    def flush(self) -> None:
        self._file.flush()


def check_value(value: Any, place: str) -> None:
    """Refuse what torch.load would refuse to read back: anything but tensors and plain values in lists and dicts."""
    if isinstance(value, torch.Tensor):
        if is_sharded(value):
            raise TrainError(f"{place} is one rank's part of a tensor; expected all of it; see full_state.py")
    elif type(value) in (dict, OrderedDict):
        for key, item in value.items():
            check_value(key, f"a key of {place}")
            check_value(item, f"{place}[{key!r}]")
    elif type(value) in (list, tuple):
        for number, item in enumerate(value):
            check_value(item, f"{place}[{number}]")
    elif type(value) not in (type(None), bool, int, float, str, bytes):
        raise TrainError(
            f"{place} is a {type(value).__name__}; expected tensors, numbers, strings, lists, dicts; convert it"
        )


def write_state(path: str, value: Any) -> dict[str, Any]:
    """Save `value` with torch.save, on the disk when this returns; {"bytes", "sha256"}."""
    with open(path, "wb") as file:
        digested = _Digested(file)
        try:
            torch.save(value, digested)  # type: ignore[arg-type]
        except RuntimeError:  # what PyTorch makes of a full disk
            raise digested.error or RuntimeError(f"torch.save failed at byte {digested.bytes} of {path}") from None
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": digested.bytes, "sha256": digested.digest.hexdigest()}


def write_manifest(folder: str, manifest: Mapping[str, Any]) -> None:
    """Write the manifest with a digest of itself, on the disk when this returns."""
    with open(os.path.join(folder, MANIFEST), "w", encoding="utf-8") as file:
        json.dump({**manifest, "digest": _digest(manifest)}, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: str) -> None:
    """Put the names of the folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # of file systems that cannot, and need not
            raise
    finally:
        os.close(descriptor)


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest of a checkpoint: {"format", "step", "world_size", "notes", "files"}, checked; cheap."""
    file = os.path.join(os.fspath(path), MANIFEST)
    try:
        with open(file, "rb") as opened:
            manifest = json.loads(opened.read(LARGEST_MANIFEST))
    except OSError as error:
        raise _damaged(path, f"no readable {MANIFEST} ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise _damaged(path, f"a {MANIFEST} that is no JSON") from None
    if not isinstance(manifest, dict) or any(type(manifest.get(name)) is not kind for name, kind in FIELDS.items()):
        raise _damaged(path, f"a {MANIFEST} without {', '.join(FIELDS)}")
    if manifest["format"] != FORMAT:
        raise TrainError(
            f"{os.fspath(path)}: found a checkpoint of format {manifest['format']}, expected {FORMAT}; use the version "
            "of maskgen that saved it"
        )
    if manifest.pop("digest") != _digest(manifest):
        raise _damaged(path, f"a {MANIFEST} that was changed")
    return manifest


def verify(path: str, manifest: Mapping[str, Any], names: Iterable[str]) -> None:
    """Refuse a checkpoint of which one of these files is not what was written."""
    for name in names:
        expected = manifest["files"][name]
        digest = hashlib.sha256()
        size = 0
        try:
            with open(os.path.join(path, name), "rb", buffering=0) as file:
                while block := file.read(READ_BYTES):
                    digest.update(block)
                    size += len(block)
        except OSError as error:
            raise _damaged(path, f"no readable {name} ({error.strerror})") from None
        if size != expected["bytes"]:
            raise _damaged(path, f"{size} bytes of {name} instead of {expected['bytes']}")
        if digest.hexdigest() != expected["sha256"]:
            raise _damaged(path, f"{name} with other bytes than were written")


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _damaged(path: str | os.PathLike[str], found: str) -> TrainError:
    return TrainError(f"{os.fspath(path)}: found {found}, expected a whole checkpoint; use another one")
