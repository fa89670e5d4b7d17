"""Captions with their images: the stage between records and what is written of them.

records (caption, image) --read, examine--> bytes --padded to words of 4, their number first--> int32
                         --tokenizer--> ids                                   document: [ids], [words of the image]

A document is Megatron-LM's pair (tools/preprocess_mmdata.py): the sequence of the caption has mode 0, that of the image
mode 1; the first word of an image says how many zero bytes follow its own.
"""

import base64
import binascii
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from preprocess.corpora.corpus_file import CorpusFile
from preprocess.corpora.errors import (
    BAD_IMAGE_NAME,
    EMPTY_CAPTION,
    MISSING_IMAGE,
    NOT_TEXT,
    UNREADABLE_IMAGE,
    BadRecordError,
    Problem,
)
from preprocess.corpora.json_lines import JsonRecords
from preprocess.corpora.records import TextRecords
from preprocess.images import ImageError, examine
from preprocess.pipeline.encoding import DocumentEncoder, Encoded
from preprocess.pipeline.options import Options

MODES_OF_PAIR = (0, 1)
WORD = np.dtype("<i4")
AT_ONCE = 32 << 20  # bytes of images that are held: a block of lines may name thousands
Records = JsonRecords | TextRecords
Words = npt.NDArray[np.int32]


@dataclass(frozen=True)
class EncodedPairs(Encoded):
    """Captions and images in turn; what is counted of documents is counted of captions."""

    def document_lengths(self) -> npt.NDArray[np.int32]:
        """Tokens of each caption."""
        return self.sequence_lengths[::2]

    def count_of(self, id_: int) -> int:
        """How often an id occurs in the captions."""
        is_text = np.repeat(np.arange(len(self.sequence_lengths)) % 2 == 0, self.sequence_lengths)
        return int(np.count_nonzero(self.ids[is_text] == id_))

    def first(self, documents: int) -> Encoded:
        """Only the first pairs."""
        kept = super().first(documents)
        return EncodedPairs(kept.ids, kept.sequence_lengths, kept.sequence_counts)


def encode_pairs(
    encoder: DocumentEncoder, block: Records, file: CorpusFile, options: Options
) -> Iterator[tuple[Records, Sequence[Encoded]]]:
    """The pairs of a block of lines, some at a time; records without a caption or an image become problems."""
    if not isinstance(block, JsonRecords):
        raise TypeError(f"records are {type(block).__name__}; JSON lines have images")
    text = block.as_text()
    captions = encoder.encode_texts([each if isinstance(each, (str, bytes)) else "" for each in text.documents[0]])
    ends = np.concatenate(([0], np.cumsum(captions.sequence_lengths, dtype=np.int64)))
    place = np.cumsum(captions.sequence_counts) - 1  # of each caption among those that are not empty
    group = _Group(block, text, block.lines_before)
    for record, line in enumerate(text.lines.tolist()):
        try:
            caption = text.documents[0][record]
            if isinstance(caption, list):
                raise BadRecordError(NOT_TEXT, "a list of captions")
            if not captions.sequence_counts[record] or not caption.strip():  # the second with special tokens around
                raise BadRecordError(EMPTY_CAPTION, "a text without a token")
            words = image_words(image_bytes(text.documents[1][record], file, options))
        except BadRecordError as error:
            group.problems.append(block.problem_at(line, error))
            continue
        ids = captions.ids[ends[place[record]] : ends[place[record] + 1]]
        group.add(line, ids.astype(WORD, copy=False), words)
        if group.bytes >= AT_ONCE:
            yield group.finished(line + 1, last=False)
            group = _Group(block, text, line + 1)
    yield group.finished(block.lines_before + block.lines_read, last=True)


class _Group:
    """Pairs that are held together, and the lines that they are from."""

    def __init__(self, block: JsonRecords, text: TextRecords, begin: int) -> None:
        self._block, self._text, self._begin = block, text, begin
        self._lines: list[int] = []
        self._parts: list[Words] = []
        self.bytes = 0
        self.problems: list[Problem] = []

    def add(self, line: int, ids: npt.NDArray[Any], words: Words) -> None:
        self._lines.append(line)
        self._parts += (ids, words)
        self.bytes += words.nbytes

    def finished(self, end: int, *, last: bool) -> tuple[Records, Sequence[Encoded]]:
        """What is written, of the lines before `end`."""
        of_lines = [each for each in self._text.problems if self._begin <= each.line < end]
        records = replace(
            self._text,
            documents=[],
            lines=np.array(self._lines, np.int64),
            lines_read=end - self._begin,
            bytes_read=self._text.bytes_read if last else 0,
            problems=sorted(of_lines + self.problems, key=lambda problem: problem.line),
        )
        lengths = np.array([len(part) for part in self._parts], np.int32)
        ids = np.concatenate([np.zeros(0, WORD), *self._parts])
        return records, [EncodedPairs(ids, lengths, np.full(len(self._lines), 2, np.int32))]


def image_bytes(value: Any, file: CorpusFile, options: Options) -> bytes:
    """The whole image that a record names or holds; a BadRecordError where there is none."""
    if isinstance(value, list):
        raise BadRecordError(NOT_TEXT, "a list of images")
    text = value.decode() if isinstance(value, bytes) else value
    if options.image_encoding == "base64":
        try:
            content = base64.b64decode(text.encode(), validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRecordError(UNREADABLE_IMAGE, f"no base64: {error}") from None
    else:
        root = os.path.dirname(file.path) if options.image_root is None else options.image_root
        content = read_image(root, text, options.max_line_bytes)
    try:
        examine(content)
    except ImageError as error:
        raise BadRecordError(
            UNREADABLE_IMAGE, str(error) if options.image_encoding == "base64" else f"{text}: {error}"
        ) from None
    return content


def read_image(root: str, name: str, most: int) -> bytes:
    """A file below `root`, which a line must not leave: who wrote it need not be who may read all files here."""
    parts = name.split("/")
    if not name or "\0" in name or os.path.isabs(name) or ".." in parts:
        raise BadRecordError(BAD_IMAGE_NAME, repr(name[:200]))
    path = os.path.join(root, name)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # of a FIFO, no wait for its writer
    except OSError as error:
        raise BadRecordError(MISSING_IMAGE, f"{path[:400]} ({error.strerror})") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BadRecordError(MISSING_IMAGE, f"{path}, which is no file")
        if status.st_size > most:
            raise BadRecordError(UNREADABLE_IMAGE, f"{path} of {status.st_size} bytes; --max-line-bytes allows {most}")
        with open(descriptor, "rb", closefd=False) as opened:
            return opened.read(most + 1)
    except OSError as error:
        raise BadRecordError(UNREADABLE_IMAGE, f"{path} ({error.strerror})") from None
    finally:
        os.close(descriptor)


def image_words(content: bytes) -> Words:
    """The sequence of an image: how many bytes are padding, its bytes, the padding."""
    padding = -len(content) % WORD.itemsize
    return np.frombuffer(padding.to_bytes(4, "little") + content + bytes(padding), WORD)
