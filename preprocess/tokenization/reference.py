"""The definition: Hugging Face `tokenizers`, and what it needs around it (UTF-8, errors, flat arrays)."""

from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from preprocess.tokenization.engines import EngineBatch, Ids, Text
from preprocess.tokenization.errors import invalid_utf8, lone_surrogate, not_a_text
from preprocess.tokenization.loading import Loaded


def as_str(text: Text, index: int) -> str:
    """The text as a str that `tokenizers` can take; TextError otherwise."""
    if isinstance(text, bytes):
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            raise invalid_utf8(index, error.start) from error
    if not isinstance(text, str):
        raise not_a_text(index, type(text).__name__)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise lone_surrogate(index, error.start) from error
    return text


def encode_one(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of one text, nothing added around them."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def flatten(rows: Sequence[Sequence[int]]) -> tuple[Ids, Ids]:
    """Rows of ids as one array and their lengths."""
    lengths = np.fromiter((len(row) for row in rows), dtype=np.int32, count=len(rows))
    ids = np.empty(int(lengths.sum(dtype=np.int64)), dtype=np.int32)
    position = 0
    for row in rows:
        ids[position : position + len(row)] = row
        position += len(row)
    return ids, lengths


class ReferenceEngine:
    """Serves every tokenizer.

    With one thread it stays in the calling thread; with more, `tokenizers` uses its own pool, whose size the
    environment decides (RAYON_NUM_THREADS).
    """

    name = "reference"

    def __init__(self, loaded: Loaded, sample_one_in: int = 0) -> None:  # noqa: ARG002 - nothing to compare with
        self._tokenizer = loaded.tokenizer

    def encode_batch(self, texts: Sequence[Text], threads: int) -> EngineBatch:
        """See Engine."""
        strings = [as_str(text, index) for index, text in enumerate(texts)]
        if threads > 1:
            encodings = self._tokenizer.encode_batch_fast(strings, add_special_tokens=False)
            rows = [encoding.ids for encoding in encodings]
        else:
            rows = [encode_one(self._tokenizer, string) for string in strings]
        return EngineBatch(*flatten(rows), sampled=())
