"""Compressed corpora: all members, no damage unseen, memory that does not follow the content."""

import builtins
import bz2
import functools
import gzip
import lzma
import os
import random
import tracemalloc
import zlib
from contextlib import closing

import pytest
import zstandard
from corpus_files import MAX, write
from helpers import assert_explains
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess import MaskgenError
from preprocess.corpora.compression import compression_of, open_stream
from preprocess.corpora.errors import CORRUPT_FILE, WRONG_ENCODING, CorpusError, CorpusFileError
from preprocess.corpora.line_blocks import line_blocks


def zstd(content):
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


def streamed_zstd(content):
    """Without the length in the header, in blocks as they come, as the command line tool does."""
    compressor = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compressobj()
    half = len(content) // 2
    return (
        compressor.compress(content[:half])
        + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        + compressor.compress(content[half:])
        + compressor.flush()
    )


COMPRESS = {"gzip": functools.partial(gzip.compress, mtime=0), "zstd": zstd, "bzip2": bz2.compress, "xz": lzma.compress}
KINDS = sorted(COMPRESS)
RANDOM = random.Random(5)
CONTENT = b"".join(bytes(RANDOM.choices(b"abcdefghij \n", k=100)) + b"\n" for _ in range(3000))


def read(file, step=1 << 16):
    found = []
    room = memoryview(bytearray(step))
    with closing(open_stream(file)) as stream:
        while count := stream.readinto(room):
            found.append(bytes(room[:count]))
        stream.finish()
        assert stream.consumed == file.bytes
        assert stream.readinto(room) == 0
    assert all(len(part) == step for part in found[:-1])
    return b"".join(found)


@pytest.mark.parametrize("kind", KINDS)
def test_content(tmp_path, kind):
    data = COMPRESS[kind](CONTENT)
    assert compression_of(data[:16]) == kind
    file = write(tmp_path / "a", data, compression=kind)
    assert read(file) == CONTENT
    assert read(file, 997) == CONTENT
    assert read(write(tmp_path / "b", COMPRESS[kind](b""), compression=kind)) == b""


def test_plain_and_empty_files(tmp_path):
    assert read(write(tmp_path / "a", CONTENT)) == CONTENT
    assert read(write(tmp_path / "b", b"")) == b""


@pytest.mark.parametrize(
    "text", [b"", b"B", b"BZh9 is how it begins", b"\x1f\x8b", b"(\xb5/", b"P*M", b"{}", b"\xfd7z"]
)
def test_texts_that_look_like_compressed_files(text):
    assert compression_of(text) is None


@pytest.mark.parametrize("kind", KINDS)
def test_case_17_concatenated_members(tmp_path, kind):
    parts = [b"", b"a\n", CONTENT, b"b", b""]
    data = b"".join(COMPRESS[kind](part) for part in parts)
    assert read(write(tmp_path / "a", data, compression=kind)) == b"".join(parts)


def test_many_small_members(tmp_path):
    data = b"".join(gzip.compress(b"%d\n" % number) for number in range(5000))
    file = write(tmp_path / "a.gz", data, compression="gzip")
    assert read(file) == b"".join(b"%d\n" % number for number in range(5000))


def test_frames_of_zstd_of_every_kind(tmp_path):
    skippable = b"\x5a\x2a\x4d\x18" + (70_000).to_bytes(4, "little") + bytes(70_000)
    noise = random.Random(6).randbytes(300_000)
    runs = b"x" * 400_000
    frames = [zstd(CONTENT), skippable, streamed_zstd(CONTENT), zstd(noise), skippable, streamed_zstd(runs), zstd(b"")]
    assert compression_of(skippable[:16]) == "zstd"
    file = write(tmp_path / "a.zst", b"".join(frames), compression="zstd")
    assert read(file) == CONTENT + CONTENT + noise + runs


def test_a_large_window_of_zstd(tmp_path):
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=28)  # the tool's --long=28
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = compressor.compress(CONTENT) + compressor.flush()
    assert read(write(tmp_path / "a.zst", data, compression="zstd")) == CONTENT


@pytest.mark.parametrize("kind", KINDS)
def test_case_16_truncated(tmp_path, kind):
    data = COMPRESS[kind](CONTENT) + COMPRESS[kind](CONTENT[:1000])
    whole = len(COMPRESS[kind](CONTENT))
    for size in [20, whole // 2, whole - 1, whole + 2, whole + 13, len(data) - 5, len(data) - 1]:
        file = write(tmp_path / "a", data[:size], compression=kind)
        with pytest.raises(CorpusFileError, match=r"truncated|something else") as caught:
            read(file)
        assert caught.value.reason == CORRUPT_FILE
        assert_explains(caught.value, "a")


def test_every_truncation_of_a_small_file_is_seen(tmp_path):
    for kind in KINDS:
        data = COMPRESS[kind](b"one line\nanother line\n")
        for size in range(1, len(data)):
            with pytest.raises(CorpusFileError):
                read(write(tmp_path / "a", data[:size], compression=kind))


@pytest.mark.parametrize("kind", KINDS)
def test_case_18_garbage_behind_the_end(tmp_path, kind):
    data = COMPRESS[kind](CONTENT)
    for garbage in (b"x", b"garbage that is not compressed", b"\xff" * 100):
        with pytest.raises(CorpusFileError) as caught:
            read(write(tmp_path / "a", data + garbage, compression=kind))
        assert caught.value.reason == CORRUPT_FILE


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_zeros_behind_the_end_are_padding(tmp_path, kind):
    data = COMPRESS[kind](CONTENT)
    for zeros in (1, 512, 100_000):
        assert read(write(tmp_path / "a", data + bytes(zeros), compression=kind)) == CONTENT
    with pytest.raises(CorpusFileError):
        read(write(tmp_path / "a", data + bytes(100_000) + b"x", compression=kind))
    assert read(write(tmp_path / "a", data + bytes(8) + data, compression=kind)) == CONTENT * 2


def test_case_20_a_bad_checksum_says_how_far_reading_came(tmp_path):
    data = bytearray(gzip.compress(CONTENT))
    data[-8] ^= 1
    file = write(tmp_path / "a.gz", bytes(data), compression="gzip")
    with pytest.raises(CorpusFileError, match="incorrect data check") as caught:
        read(file)
    assert f"byte {len(CONTENT) // (1 << 16) * (1 << 16)} of" in caught.value.place
    data = bytearray(zstd(CONTENT))
    data[-1] ^= 1
    with pytest.raises(CorpusFileError, match="checksum"):
        read(write(tmp_path / "a.zst", bytes(data), compression="zstd"))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 10_000), st.integers(1, 255), st.integers(0, 3))
def test_damage_is_an_error_or_changes_nothing(tmp_path_factory, kind, place, flip, cut):
    data = bytearray(COMPRESS[kind](CONTENT[:5000]))
    data[place % len(data)] ^= flip
    del data[len(data) - cut :]
    try:
        found = read(write(tmp_path_factory.getbasetemp() / f"damaged{os.getpid()}", bytes(data), compression=kind))
    except CorpusFileError as error:
        assert error.reason == CORRUPT_FILE  # noqa: PT017 - either this or what follows
    else:
        assert found == CONTENT[:5000] or kind == "zstd"  # without its flag, a checksum is not looked for


def zeros(kind, size):
    if kind == "gzip":
        compressor = zlib.compressobj(9, wbits=31)
    elif kind == "zstd":
        compressor = zstandard.ZstdCompressor(level=1).compressobj()
    else:
        compressor = {"bzip2": bz2.BZ2Compressor, "xz": lzma.LZMACompressor}[kind]()
    part = bytes(1 << 20)
    return b"".join(compressor.compress(part) for _ in range(size >> 20)) + compressor.flush()


@pytest.mark.parametrize("kind", KINDS)
def test_case_47_a_decompression_bomb(tmp_path, kind):
    size = (128 << 20) if kind in ("gzip", "zstd") else (32 << 20)
    data = zeros(kind, size)
    assert len(data) < size / 500
    file = write(tmp_path / "a", data, compression=kind)
    tracemalloc.start()
    (block,) = [block for block in line_blocks(file, 0, file.bytes, max_line_bytes=MAX) if block.lines]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (block.problems[0].size, block.problems[0].offset) == (size, 0)
    assert peak < 16 << 20


@pytest.mark.parametrize("kind", KINDS)
def test_lines(tmp_path, kind):
    file = write(tmp_path / "a", COMPRESS[kind](b"\xef\xbb\xbf" + CONTENT), compression=kind)
    blocks = [
        (bytes(block.data), block.offset, block.bytes_read)
        for block in line_blocks(file, 0, file.bytes, max_line_bytes=MAX, block_bytes=50_000)
    ]
    assert b"".join(data for data, _, _ in blocks) == CONTENT
    assert blocks[0][1] == 3
    assert blocks[1][1] == 3 + len(blocks[0][0])
    assert sum(bytes_read for _, _, bytes_read in blocks) == file.bytes
    empty = write(tmp_path / "b", COMPRESS[kind](b""), compression=kind)
    assert sum(block.lines for block in line_blocks(empty, 0, empty.bytes, max_line_bytes=MAX)) == 0


def test_case_29_in_a_compressed_file(tmp_path):
    file = write(tmp_path / "a.gz", gzip.compress("text\n".encode("utf-16")), compression="gzip")
    with pytest.raises(CorpusFileError) as caught:
        list(line_blocks(file, 0, file.bytes, max_line_bytes=MAX))
    assert caught.value.reason == WRONG_ENCODING


def test_case_31_a_compressed_file_that_changes(tmp_path):
    file = write(tmp_path / "a.gz", gzip.compress(CONTENT), compression="gzip")
    blocks = line_blocks(file, 0, file.bytes, max_line_bytes=MAX, block_bytes=1000)
    next(blocks)
    os.utime(tmp_path / "a.gz", ns=(1, 1))
    with pytest.raises(CorpusError, match="changed during the run"):
        list(blocks)


def test_without_the_package(tmp_path, monkeypatch):
    real = builtins.__import__

    def no_zstandard(name, *arguments, **options):
        if name == "zstandard":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", no_zstandard)
    with pytest.raises(MaskgenError, match=r"a\.zst: reading zstd needs .* pip install zstandard"):
        open_stream(write(tmp_path / "a.zst", zstd(b"x"), compression="zstd"))
