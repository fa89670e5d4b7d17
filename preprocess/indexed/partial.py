"""A dataset while it is being written: temporary names, one writer at a time, and a commit in a safe order.

Data flow: everything goes to ``PREFIX.*.partial`` beside the final names. ``commit`` flushes all of it to disk, takes
away an older index, renames ``.bin`` and ``.json``, and renames ``.idx`` last: so an index that exists belongs to a
complete ``.bin``, whenever the process or the machine stops. A lock on ``PREFIX.writing`` keeps a second writer out;
it ends with the process that holds it, and the next writer clears what a dead one left behind.

A prefix such as ``s3://bucket/corpus`` is written to a local staging folder first (below TMPDIR) and then sent there,
the ``.idx`` last, as one PUT.
"""

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from preprocess.errors import IndexedDatasetError

PUBLISHED = ("bin", "json", "idx")  # in the order of their renames
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
COPY_CHUNK = 8 << 20


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
        view = memoryview(data).cast("B") if len(data) else memoryview(b"")
        if self._digest is not None:
            self._digest.update(view)
        with _explained(self.path, f"write {len(view)} bytes at byte {self.bytes}"):
            while view:
                written = os.write(self._file.fileno(), view)
                self.bytes += written
                view = view[written:]

    def append_file(self, source: str, size: int, digest: Digest | None = None) -> None:
        """Append the `size` bytes of another file: inside the kernel where the system can and nothing is digested."""
        with open(source, "rb", buffering=0) as file:
            copied = 0
            if self._digest is None and digest is None:
                with _explained(self.path, f"append {source}"):
                    copied = _copy_in_kernel(file.fileno(), self._file.fileno(), size)
                self.bytes += copied
                file.seek(copied)
            while copied < size:
                data = file.read(min(COPY_CHUNK, size - copied))
                if not data:
                    found, remedy = (
                        f"{copied} bytes",
                        "it was cut while it was read: run the same command again",
                    )
                    raise IndexedDatasetError(source, "size", found, f"{size}", remedy)
                if digest is not None:
                    digest.update(data)
                self.append(data)
                copied += len(data)

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
    """All temporary files of one dataset under `prefix`, the lock on it, and its commit."""

    def __init__(self, prefix: str) -> None:
        self.target = prefix
        self.prefix = _staging_prefix(prefix) if is_url(prefix) else prefix
        self._folder = os.path.dirname(os.path.abspath(self.prefix))
        with _explained(self._folder, "create the folder"):
            os.makedirs(self._folder, exist_ok=True)
        self._files: dict[str, PartFile] = {}
        self._lock = _lock(f"{self.prefix}.writing")
        try:
            self._remove_partials()
        except IndexedDatasetError:
            self._release()
            raise

    def create(self, kind: str, *, digest: bool = False) -> PartFile:
        """Open a new temporary file of one of the PUBLISHED or SPOOLS kinds."""
        part = PartFile(self._partial_path(kind), hashlib.sha256() if digest else None)
        self._files[kind] = part
        return part

    def commit(self) -> None:
        """Make the dataset exist: all of it or, when anything stops this, nothing."""
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
        if self.target != self.prefix:
            _upload(self.prefix, self.target)
        self._release()

    def discard(self) -> None:
        """Leave nothing behind; an older dataset under the same prefix stays as it was."""
        self._release()

    def _release(self) -> None:
        for part in self._files.values():
            part.close()
        self._files.clear()
        self._remove_partials()
        if self.target != self.prefix:
            for kind in PUBLISHED:
                _remove(f"{self.prefix}.{kind}")
        _remove(f"{self.prefix}.writing")
        os.close(self._lock)
        if self.target != self.prefix:
            with suppress(OSError):  # another writer with the same target may be waiting in it
                os.rmdir(self._folder)

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


def is_url(prefix: str) -> bool:
    """Whether a prefix names an object store and not a local file."""
    return "://" in prefix


def _staging_prefix(url: str) -> str:
    # The same name for the same target, so that the next run finds and clears what a killed one left.
    name = hashlib.sha256(url.encode()).hexdigest()[:24]
    return os.path.join(tempfile.gettempdir(), f"maskgen-staging-{name}", os.path.basename(url) or "dataset")


def _upload(staged: str, url: str) -> None:
    try:
        import fsspec
    except ImportError:
        found, remedy = "no fsspec package", 'install it: pip install "maskgen[cloud]"'
        raise IndexedDatasetError(url, "object store", found, "fsspec, which sends files there", remedy) from None
    filesystem, path = fsspec.core.url_to_fs(url)
    with _explained(url, "send the dataset"):
        if filesystem.exists(f"{path}.idx"):
            filesystem.rm(f"{path}.idx")
        for kind in PUBLISHED:
            filesystem.put_file(f"{staged}.{kind}", f"{path}.{kind}")


def _lock(path: str) -> int:
    """An exclusive lock on `path`, held until the descriptor closes or the process ends."""
    while True:
        with _explained(path, "create it"):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            found, remedy = "a lock of another process", "wait for it, or choose another output prefix"
            raise IndexedDatasetError(path, "lock", found, "one writer at a time", remedy) from None
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
                os.close(descriptor)
                raise
            return descriptor  # a file system without locks: one writer at a time is then the user's promise
        try:
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)  # its holder finished and removed the name between our open and our lock: try again


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
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            remedy = "make room there and run the same command again: nothing incomplete was left under the final names"
        else:
            remedy = "check that the folder exists and may be written to"
        raise IndexedDatasetError(path, attempt, reason, "success", remedy) from error
