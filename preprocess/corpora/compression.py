"""Compressed files as streams of what is in them, checked to the last byte.

file --chunks--> one member (frame, stream) after the other --pieces of at most what was asked for--> readinto

Memory does not depend on how much comes out of a file: gzip, bzip2 and xz stop when the room they are given is full,
and zstd gets one block at a time, which is 128 KiB of content at most. A file that ends early, fails a checksum, or
goes on with something else is a CorpusFileError; what was read before that must then not be used.
"""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from preprocess.corpora.corpus_file import CorpusFile, check_unchanged, corrupt, missing_package, open_unchanged
from preprocess.errors import os_failure

HEAD_BYTES = 16  # enough for compression_of
EXTENSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bzip2", ".xz": "xz"}

_CHUNK = 1 << 16  # what is left of it is copied at every member's end: small, for files of many small members
_LARGEST_WINDOW = 1 << 31  # bytes that zstd and xz may look back, and keep in memory for it
_BZIP2_BLOCKS = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")  # a block, or the end of an empty file
_ZSTD_FRAME = b"\x28\xb5\x2f\xfd"
_ZSTD_RUN = 1  # the type of a block whose content is one byte, repeated


def compression_of(head: bytes) -> str | None:
    """Tell the compression of a file by its first HEAD_BYTES."""
    if head.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    if head.startswith(_ZSTD_FRAME) or _is_skippable(head):
        return "zstd"
    if head.startswith(b"BZh") and head[4:10] in _BZIP2_BLOCKS:  # three letters alone can begin a text
        return "bzip2"
    if head.startswith(b"\xfd7zXZ\x00"):
        return "xz"
    return None


class Stream(Protocol):
    """What open_stream gives."""

    @property
    def consumed(self) -> int:
        """Bytes of the file on disk that were read so far."""

    def readinto(self, room: memoryview) -> int:
        """Fill all of `room`, or less at the end of the content, and say how much."""

    def finish(self) -> None:
        """Raise CorpusError when the file is not what it was at the beginning; for when all was read."""

    def close(self) -> None:
        """Give the descriptor back."""


def open_stream(file: CorpusFile) -> Stream:
    """Open the content of a file, compressed or not."""
    context = zstandard_context(file.name) if file.compression == "zstd" else None
    raw = open_unchanged(file)
    if file.compression is None:
        return _Pieces(file, raw, _plain_pieces)
    if context is not None:
        return _Pieces(file, raw, lambda source: _zstd_pieces(source, context))
    return _Pieces(file, raw, _MEMBERS[file.compression])


def zstandard_context(name: str) -> Any:
    """Make what decompresses zstd, or say how to install it."""
    try:
        import zstandard
    except ImportError as error:
        raise missing_package(name, "zstandard", "reading zstd") from error
    return zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)


class _DamageError(Exception):
    """What is wrong with compressed data."""


class _Source:
    """The bytes on disk."""

    def __init__(self, file: CorpusFile, raw: io.FileIO) -> None:
        self._file = file
        self._raw = raw
        self._buffer = io.BufferedReader(raw, _CHUNK)
        self.room = 0  # how much the next piece may hold: set before each is asked for

    def read(self, count: int) -> bytes:
        """Up to `count` bytes, fewer only at the end of the file."""
        try:
            return self._buffer.read(count)
        except OSError as error:
            raise os_failure(self._file.name, "read it", error, "check the disk, or copy the file again") from error

    def read_all(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        data = self.read(count)
        if len(data) < count:
            raise _DamageError("the end of a truncated file")
        return data


class _Pieces:
    """A Stream of the pieces that a generator takes from a source; a piece may be larger than what is asked for."""

    def __init__(
        self, file: CorpusFile, raw: io.FileIO, pieces: "Callable[[_Source], Iterator[bytes | memoryview]]"
    ) -> None:
        self._file = file
        self._raw = raw
        self._source = _Source(file, raw)
        self._pieces = pieces(self._source)
        self._rest = memoryview(b"")
        self._offset = 0

    @property
    def consumed(self) -> int:
        return self._raw.tell()

    def readinto(self, room: memoryview) -> int:
        filled = 0
        while filled < len(room):
            if not self._rest and not self._next_piece(len(room) - filled):
                break
            count = min(len(self._rest), len(room) - filled)
            room[filled : filled + count] = self._rest[:count]
            self._rest = self._rest[count:]
            filled += count
        self._offset += filled
        return filled

    def _next_piece(self, room: int) -> bool:
        self._source.room = room
        try:
            piece = next(self._pieces, None)
        except (_DamageError, zlib.error, lzma.LZMAError, EOFError, ValueError) as error:
            raise self._corrupt(error) from error
        except OSError as error:  # what bzip2 calls damage; real ones were explained where they happened
            raise self._corrupt(error) from error
        self._rest = memoryview(piece or b"")
        return piece is not None

    def _corrupt(self, error: Exception) -> Exception:
        return corrupt(self._file, f"behind byte {self._offset} of the decompressed content", str(error))

    def finish(self) -> None:
        check_unchanged(self._file, self._raw)

    def close(self) -> None:
        self._raw.close()


def _plain_pieces(source: _Source) -> Iterator[bytes]:
    while piece := source.read(source.room):
        yield piece


class _Member(Protocol):
    """One of the parts that a file is joined from; the objects of bz2 and lzma are such."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _GzipMember:
    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # 16: with header, checksum and length

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail or data, max_length)


def _xz_member() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LARGEST_WINDOW)


def _member_pieces(source: _Source, new_member: Callable[[], _Member]) -> Iterator[bytes]:
    data = source.read(_CHUNK)
    while data:
        member = new_member()
        while not member.eof:
            if member.needs_input and not data:
                data = source.read(_CHUNK)
            ended = member.needs_input and not data
            piece, data = member.decompress(data, source.room), b""
            if piece:
                yield piece
            elif ended and not member.eof:
                raise _DamageError("the end of a truncated file")
        data = _behind_padding(source, member.unused_data)


def _behind_padding(source: _Source, data: bytes) -> bytes:
    """Skip zeros, which tapes and block devices leave behind a file."""
    while True:
        data = data.lstrip(b"\0") or source.read(_CHUNK)
        if not data or data[0]:
            return data


_MEMBERS: dict[str, Callable[[_Source], Iterator[bytes]]] = {
    "gzip": lambda source: _member_pieces(source, _GzipMember),
    "bzip2": lambda source: _member_pieces(source, bz2.BZ2Decompressor),
    "xz": lambda source: _member_pieces(source, _xz_member),
}


def _is_skippable(head: bytes) -> bool:
    return len(head) >= 4 and head[0] & 0xF0 == 0x50 and head[1:4] == b"\x2a\x4d\x18"


def _zstd_pieces(source: _Source, context: Any) -> Iterator[bytes]:
    import zstandard

    try:
        while magic := source.read(4):
            if _is_skippable(magic):
                _skip(source, int.from_bytes(source.read_all(4), "little"))
            elif magic == _ZSTD_FRAME:
                yield from _zstd_frame(source, context.decompressobj())
            else:
                raise _DamageError("something else behind the last frame")
    except zstandard.ZstdError as error:
        raise _DamageError(str(error)) from error


def _skip(source: _Source, count: int) -> None:
    while count:
        count -= len(source.read_all(min(count, _CHUNK)))


def _zstd_frame(source: _Source, frame: Any) -> Iterator[bytes]:
    """Give a frame to the decompressor block by block, so that each answer is small, and a missing end is seen."""
    flags = source.read_all(1)[0]
    single_segment, has_checksum = flags >> 5 & 1, flags >> 2 & 1
    window_bytes = 1 - single_segment
    dictionary_bytes = (0, 1, 2, 4)[flags & 3]
    length_bytes = (single_segment, 2, 4, 8)[flags >> 6]
    rest_of_header = source.read_all(window_bytes + dictionary_bytes + length_bytes)
    frame.decompress(_ZSTD_FRAME + bytes([flags]) + rest_of_header)
    last = False
    while not last:
        block = source.read_all(3)
        fields = int.from_bytes(block, "little")
        last, kind, size = bool(fields & 1), fields >> 1 & 3, fields >> 3
        frame.decompress(block)
        content = source.read_all(1 if kind == _ZSTD_RUN else size)
        if last and has_checksum:
            content += source.read_all(4)
        if content and (piece := frame.decompress(content)):
            yield piece
    if not frame.eof:
        raise _DamageError("a frame without its end")
