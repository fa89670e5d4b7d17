"""Inputs that are no local files, as local files: standard input, and what lies behind URLs.

stream --copied--> FOLDER/stdin
RemoteFile --downloaded--> FOLDER/<digest of the URL>/<its name>, then FOLDER/<digest of the URL>.json: size, version,
                           sha256; a copy with a record is complete, and is not downloaded again while it is the same
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

from preprocess.errors import os_failure
from preprocess.indexed.parts import file_sha256
from preprocess.stores import RemoteFile, Store

SHOWN_OF_NAME = 100  # bytes; names in stores may be longer than those of files. The end has what tells the format


@dataclass(frozen=True)
class StagedFile:
    """The local copy of a file in a store."""

    url: str
    path: str
    bytes: int
    version: str
    sha256: str
    modified_ns: int  # of the copy


class Staging:
    """A folder of local copies. Several processes may use it at once; one of them downloads at a time."""

    def __init__(self, folder: str, *, quiet: bool = True) -> None:
        self.folder = os.path.abspath(folder)
        self._quiet = quiet

    def known(self, url: str) -> StagedFile | None:
        """The complete copy of a file, if there is one, of whatever version."""
        try:
            with open(self._record(url), encoding="ascii") as file:
                staged = StagedFile(**json.load(file))
            state = os.stat(staged.path)
        except (OSError, ValueError, TypeError):
            return None
        return staged if (state.st_size, state.st_mtime_ns) == (staged.bytes, staged.modified_ns) else None

    def fetch(self, files: Sequence[tuple[Store, RemoteFile]], *, together: str | None = None) -> list[StagedFile]:
        """Local copies of files: those that are here and the same, and all others from their stores.

        They lie in a folder each, or in the one for the URL `together`, when they belong to one another.
        """
        with self._lock():
            missing = [file for _, file in files if self._same(file) is None]
            from tqdm import tqdm  # not at the top: every worker would wait for it

            bar = tqdm(
                total=sum(file.bytes or 0 for file in missing),
                unit="B",
                unit_scale=True,
                desc="download",
                disable=True if self._quiet or not missing else None,
                delay=1.0,
            )
            with bar:
                return [self._same(file) or self._download(store, file, together, bar) for store, file in files]

    def remove(self) -> None:
        """Take the folder away with all that is in it, and the one that it is in, if that is empty now."""
        if os.path.isdir(self.folder):
            shutil.rmtree(self.folder, ignore_errors=True)
            with suppress(OSError):
                os.rmdir(os.path.dirname(self.folder))

    def _same(self, file: RemoteFile) -> StagedFile | None:
        staged = self.known(file.url)
        fits = staged is not None and file.bytes in (None, staged.bytes) and file.version == staged.version
        return staged if fits else None

    def _download(self, store: Store, file: RemoteFile, together: str | None, bar: Any) -> StagedFile:
        folder = os.path.join(self.folder, _key(together or file.url))
        stem, ending = os.path.splitext(os.path.basename(file.path))
        path = os.path.join(folder, stem.encode()[-SHOWN_OF_NAME:].decode(errors="ignore") + ending)
        try:
            with suppress(FileNotFoundError):
                os.unlink(self._record(file.url))
            os.makedirs(folder, exist_ok=True)
            for left in os.listdir(folder):  # by a process that was killed
                if left.startswith(f"{os.path.basename(path)}.") and left.endswith(".partial"):
                    os.unlink(os.path.join(folder, left))
        except OSError as error:
            raise os_failure(folder, "create the folder", error, "check the folder") from error
        store.download(file, path, bar.update)
        state = os.stat(path)
        staged = StagedFile(file.url, path, state.st_size, file.version, file_sha256(path), state.st_mtime_ns)
        own = f"{self._record(file.url)}.{os.urandom(6).hex()}.partial"
        try:
            with open(own, "w", encoding="ascii") as out:
                json.dump(asdict(staged), out)
            os.replace(own, self._record(file.url))
        except OSError as error:
            raise os_failure(own, "write it", error, "check the folder") from error
        return staged

    def _record(self, url: str) -> str:
        return os.path.join(self.folder, f"{_key(url)}.json")

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            os.makedirs(self.folder, exist_ok=True)
            lock = os.open(os.path.join(self.folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise os_failure(self.folder, "create the folder", error, "choose another one") from error
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def spool_stdin(stream: BinaryIO, folder: str) -> str:
    """Copy a stream to a file in `folder`, which exists as soon as it is complete, and return its path."""
    path = os.path.join(folder, "stdin")
    partial = f"{path}.partial"
    try:
        with open(partial, "wb") as file:
            while data := stream.read(1 << 20):
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise os_failure(path, "copy standard input there", error, "check the disk and what is piped in") from error
    finally:
        if os.path.lexists(partial):
            os.remove(partial)
    return path


def _key(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:24]
