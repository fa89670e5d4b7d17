"""A dataset while it is being written: temporary names, one writer at a time, and a commit in a safe order.

Data flow: everything goes to ``PREFIX.*.partial`` beside the final names. ``commit`` flushes all of it to disk, takes
away an older index, renames ``.bin`` and ``.json``, and renames ``.idx`` last: so an index that exists belongs to a
complete ``.bin``, whenever the process or the machine stops. A lock on ``PREFIX.writing`` keeps a second writer out;
it ends with the process that holds it, and the next writer clears what a dead one left behind.

For a prefix such as ``s3://bucket/corpus`` all of that happens in a local folder; then object_store.py sends it there.
"""

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from typing import Protocol

from preprocess.errors import IndexedDatasetError, os_failure
from preprocess.indexed.format import plain_prefix
from preprocess.indexed.object_store import PUBLISHED, ObjectStore
from preprocess.indexed.parts import read_parts
from preprocess.indexed.sidecar import is_sidecar
from preprocess.stores import is_url

SPOOLS = ("lengths", "boundaries", "modes")
# What copy_file_range and sendfile answer on file systems that cannot: then bytes go through this process.
CANNOT_COPY_IN_KERNEL = (
    errno.EXDEV,
    errno.ENOSYS,
    errno.EINVAL,
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
    errno.ENOTSOCK,
    errno.EPERM,
)


class Digest(Protocol):
    """The part of hashlib's objects that is used here."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in more."""

    def hexdigest(self) -> str:
        """What was taken in, digested."""


class PartFile:
    """One temporary file: appended to, optionally digested, flushed to disk before it gets its final name."""

    def __init__(self, path: str, digest: Digest | None = None) -> None:
        self.path = path
        self.bytes = 0
        self._digest = digest
        with _explained(path, "create it"):
            self._file = open(path, "w+b", buffering=0)  # noqa: SIM115 - closed by close()

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of `data` at the end."""
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")  # nothing cannot be cast
        if self._digest is not None:
            self._digest.update(view)
        with _explained(self.path, f"write {len(view)} bytes at byte {self.bytes}"):
            while view:
                written = os.write(self._file.fileno(), view)
                self.bytes += written
                view = view[written:]

    def append_file(
        self, source: str, sizes: Sequence[int], on_digest: Callable[[int, str], None] | None = None
    ) -> None:
        """Append another file, of parts of these sizes: inside the kernel where it can and nothing is digested."""
        size = sum(sizes)
        copied = 0
        if self._digest is None and on_digest is None:
            copied = self._append_in_kernel(source, size)
        if copied < size:
            skipped = 0
            for data in read_parts(source, sizes, on_digest):
                fresh = memoryview(data)[max(0, copied - skipped) :]  # what the kernel has not already brought
                skipped += len(data)
                self.append(fresh)

    def _append_in_kernel(self, source: str, size: int) -> int:
        with _explained(self.path, f"append {source}"), open(source, "rb", buffering=0) as file:
            copied = _copy_in_kernel(file.fileno(), self._file.fileno(), size)
        self.bytes += copied
        return copied

    def chunks(self, size: int) -> Iterator[bytes]:
        """What was written so far, from the start, `size` bytes at a time."""
        for offset in range(0, self.bytes, size):
            yield os.pread(self._file.fileno(), min(size, self.bytes - offset), offset)

    def hexdigest(self) -> str:
        """The digest of everything appended; only for a file that was given one."""
        if self._digest is None:
            raise ValueError(f"{self.path} is written without a digest")
        return self._digest.hexdigest()

    def flush_to_disk(self) -> None:
        """fsync: from here on a rename may follow."""
        with _explained(self.path, "flush it to disk"):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Give the descriptor back."""
        self._file.close()


class PartialDataset:
    """All temporary files of one dataset under `prefix`, the lock on it, and its commit.

    `staging` is the folder for what goes to an object store, by default the system's temporary folder.
    """

    def __init__(self, prefix: str | bytes | os.PathLike[str], staging: str | None = None) -> None:
        self.target = plain_prefix(prefix)
        self._store = ObjectStore(self.target) if is_url(self.target) else None
        self.prefix = self.target if self._store is None else self._store.staging_prefix(staging)
        self._folder = os.path.dirname(os.path.abspath(self.prefix))
        with _explained(self._folder, "create the folder"):
            os.makedirs(self._folder, exist_ok=True)
        self._refuse_to_replace_what_is_not_ours()
        self._files: dict[str, PartFile] = {}
        self._lock = _lock(f"{self.prefix}.writing")
        try:
            self._remove_partials()
        except IndexedDatasetError:
            self.discard()
            raise

    def create(self, kind: str, *, digest: bool = False) -> PartFile:
        """Open a new temporary file of one of the PUBLISHED or SPOOLS kinds."""
        part = PartFile(self._partial_path(kind), hashlib.sha256() if digest else None)
        self._files[kind] = part
        return part

    def commit(self) -> None:
        """Make the dataset exist: all of it or, when anything stops this, none of it.

        An older one under the same prefix is taken away first, just before the renames.
        """
        for kind in PUBLISHED:
            self._files[kind].flush_to_disk()
        with _explained(self.target, "replace the dataset"):
            _remove(f"{self.prefix}.idx")
            self._flush_folder()
            for kind in PUBLISHED:
                if kind == "idx":
                    self._flush_folder()  # the others' names are on disk before the index gets its own
                os.replace(self._partial_path(kind), f"{self.prefix}.{kind}")
            self._flush_folder()
        if self._store is not None:
            self._store.upload(self.prefix)
            for kind in PUBLISHED:
                _remove(f"{self.prefix}.{kind}")
        self.discard()

    def discard(self) -> None:
        """Remove all temporary files and let go of the lock."""
        if self._lock.closed:
            return
        for part in self._files.values():
            part.close()
        self._files.clear()
        self._remove_partials()
        _remove(f"{self.prefix}.writing")
        self._lock.close()
        if self._store is not None:
            with suppress(OSError):  # a complete dataset that could not be sent stays there
                os.rmdir(self._folder)

    def _refuse_to_replace_what_is_not_ours(self) -> None:
        for kind in PUBLISHED:
            path = f"{self.prefix}.{kind}"
            if os.path.isdir(path):
                found, remedy = "a folder of that name", "choose another output prefix"
                raise IndexedDatasetError(path, "output", found, "a free name or a file to replace", remedy)
        path = f"{self.target}.json"
        is_foreign = os.path.lexists(path) and not is_sidecar(path)  # raw corpora are often called PREFIX.json
        if is_foreign or (self._store is not None and self._store.has_foreign_json()):
            found, remedy = "a file that is no sidecar of a dataset", "choose another output prefix, or move that file"
            raise IndexedDatasetError(path, "output", found, "a free name or an older sidecar", remedy)

    def _partial_path(self, kind: str) -> str:
        return f"{self.prefix}.{kind}.partial"

    def _remove_partials(self) -> None:
        for kind in (*PUBLISHED, *SPOOLS):
            _remove(self._partial_path(kind))

    def _flush_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _lock(path: str) -> FileIO:
    """An exclusive lock on `path`, held until the descriptor closes or the process ends."""
    while True:
        with _explained(path, "create it"):
            file = FileIO(path, "a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            found = "the lock of another writer, or of a process that one has started"
            remedy = "wait for it or end it, or choose another output prefix"
            raise IndexedDatasetError(path, "lock", found, "one writer at a time", remedy) from None
        except OSError as error:
            if error.errno in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
                return file  # a file system without locks: one writer at a time is then the user's promise
            file.close()
            raise os_failure(path, "lock it", error, "check the file system") from error
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        file.close()  # its holder finished and removed the name between our open and our lock: try again


def _copy_in_kernel(source: int, target: int, size: int) -> int:
    copied = 0
    for copy in _kernel_copies():
        try:
            while copied < size:
                count = copy(source, target, copied, min(size - copied, 1 << 30))
                if count == 0:
                    break  # some file systems answer 0 instead of an error; a cut source is noticed by the caller
                copied += count
            break
        except OSError as error:
            if error.errno not in CANNOT_COPY_IN_KERNEL:
                raise
    os.lseek(target, 0, os.SEEK_END)
    return copied


def _kernel_copies() -> Iterator[Callable[[int, int, int, int], int]]:
    if hasattr(os, "copy_file_range"):
        yield lambda source, target, offset, count: os.copy_file_range(source, target, count, offset)
    if hasattr(os, "sendfile"):
        yield lambda source, target, offset, count: os.sendfile(target, source, offset, count)


def _remove(path: str) -> None:
    with _explained(path, "remove it"), suppress(FileNotFoundError):
        os.unlink(path)


@contextmanager
def _explained(path: str, attempt: str) -> Iterator[None]:
    """Turn a failing system call into an error that says what was tried and what to do."""
    try:
        yield
    except OSError as error:
        raise os_failure(path, attempt, error, "check that the folder exists and may be written to") from error
