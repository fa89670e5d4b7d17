"""A file of a corpus as it was found, opened only as long as it is still the same.

A run plans by what it found and reads later, in many processes. Whoever opens a file compares its size and its time
with what was found, and does so again behind the last byte: two states of one file never end up in one dataset.
"""

import os
import stat
from dataclasses import dataclass
from io import FileIO

from preprocess.corpora.errors import CORRUPT_FILE, REMEDIES, WRONG_ENCODING, CorpusError, CorpusFileError
from preprocess.errors import MaskgenError, os_failure

UTF8_MARK = b"\xef\xbb\xbf"
_FOREIGN_MARKS = {  # the longer ones first: one mark of UTF-32 begins with one of UTF-16
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


@dataclass(frozen=True)
class CorpusFile:
    """One input: a file, or a Hugging Face dataset."""

    name: str  # for people: as it was given, or the folder that was given and the rest
    path: str  # absolute; of a dataset on the hub its name
    bytes: int  # on disk, 0 when it is on the hub
    modified_ns: int  # 0 when it is on the hub
    format: str  # jsonl, text, parquet or datasets
    compression: str | None = None  # gzip, zstd, bzip2 or xz, by its first bytes
    split: str | None = None  # of a Hugging Face dataset


def open_unchanged(file: CorpusFile) -> FileIO:
    """Open a file that is still what was found."""
    try:
        descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # never wait for a FIFO's writer
    except FileNotFoundError:
        raise changed(file, "no file any more") from None
    except OSError as error:
        raise os_failure(file.name, "open it", error, "check that it is still there") from error
    opened = FileIO(descriptor, "rb")
    try:
        check_unchanged(file, opened)
    except CorpusError:
        opened.close()
        raise
    return opened


def check_unchanged(file: CorpusFile, opened: FileIO) -> None:
    """Raise CorpusError when size or time of an open file are not those that were found."""
    state = os.fstat(opened.fileno())
    if not stat.S_ISREG(state.st_mode):
        raise changed(file, "no regular file any more")
    compare_state(file, state.st_size, state.st_mtime_ns)


def compare_state(file: CorpusFile, size: int, modified_ns: int) -> None:
    """Raise CorpusError when these are not the size and time that were found."""
    if size != file.bytes:
        raise changed(file, f"{size} bytes")
    if modified_ns != file.modified_ns:
        raise changed(file, "a later or earlier time of modification")


def folder_state(path: str) -> tuple[int, int]:
    """Add up the bytes of all files below a folder, and find the time of the newest."""
    size = newest = 0
    for folder, _, names in os.walk(path):
        for name in names:
            state = os.stat(os.path.join(folder, name))
            size += state.st_size
            newest = max(newest, state.st_mtime_ns)
    return size, newest


def changed(file: CorpusFile, found: str) -> CorpusError:
    """Say that a file is not what the run began with."""
    remedy = "leave inputs alone while a run reads them, and start a new run for the new content"
    return CorpusError(file.name, "changed during the run", found, f"the {file.bytes} bytes that were there", remedy)


def corrupt(file: CorpusFile, place: str, found: str) -> CorpusFileError:
    """Say that a file cannot be read to its end."""
    found = " ".join(found.split()) or "damage"
    return CorpusFileError(file.name, place, found, "a whole file", REMEDIES[CORRUPT_FILE], CORRUPT_FILE)


def mark_length(file: CorpusFile, head: bytes) -> int:
    """Measure the UTF-8 byte order mark in the first four bytes; those of other encodings are a CorpusFileError."""
    for mark, encoding in _FOREIGN_MARKS.items():
        if head.startswith(mark):
            found = f"the byte order mark of {encoding}"
            raise CorpusFileError(file.name, "byte 0", found, "UTF-8", REMEDIES[WRONG_ENCODING], WRONG_ENCODING)
    return len(UTF8_MARK) if head.startswith(UTF8_MARK) else 0


def has_foreign_mark(head: bytes) -> bool:
    """Whether these first bytes are those of UTF-16 or UTF-32."""
    return head.startswith(tuple(_FOREIGN_MARKS))


def missing_package(name: str, package: str, purpose: str) -> MaskgenError:
    """Say which package to install for an input."""
    return MaskgenError(f"{name}: {purpose} needs the package {package}, which is not installed: pip install {package}")
