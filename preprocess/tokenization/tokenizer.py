"""The tokenizer that the rest of the project uses: an engine, the special roles, and the running check.

path --load_reference--> reference --create_engine--> Tokenizer.encode_batch(texts) --> flat ids, lengths
texts --encode_documents--> batches of ids, bounded memory, document ends and special tokens added on request
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from preprocess.indexed.format import token_dtype
from preprocess.tokenization.checking import check_sample
from preprocess.tokenization.engines import EngineBatch, Ids, JsonEngine, Spans, Text, create_engine
from preprocess.tokenization.errors import TokenizerError
from preprocess.tokenization.json_texts import decode_span, encode_spans
from preprocess.tokenization.loading import Loaded, load_reference
from preprocess.tokenization.reference import encode_one
from preprocess.tokenization.roles import Roles, require_roles, resolve_roles

# One text in so many is compared with the reference. The reference is some fifty times slower and runs alone, so 1 in
# 8,192 costs about one per cent (1 in 2,048 costs four).
SAMPLE_ONE_IN = 8192
BATCH_BYTES = 16 << 20


class Tokenizer:
    """What load_tokenizer returns."""

    def __init__(self, loaded: Loaded, engine: str, roles: Roles, sample_one_in: int) -> None:
        self._loaded = loaded
        self._engine, self.refusals = create_engine(engine, loaded, sample_one_in)
        self._json_engine = self._engine if isinstance(self._engine, JsonEngine) else None
        self._checked_any = sample_one_in == 0 or self._engine.name == "reference"
        self.roles = roles
        self.path = loaded.path
        self.digest = loaded.digest
        self.ignored = loaded.ignored

    @property
    def engine(self) -> str:
        """The name of the engine that runs; `refusals` says why faster ones do not."""
        return self._engine.name

    @cached_property
    def vocabulary_size(self) -> int:
        """The largest id plus one: embedding rows needed, gaps included."""
        return max(self._loaded.tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    @property
    def vocabulary(self) -> dict[str, int]:
        """Every token's id, added ones included."""
        return dict(self._loaded.tokenizer.get_vocab(with_added_tokens=True))

    @property
    def pieces(self) -> list[str]:
        """The token of each id, empty where there is none; of two with the same id the added one, as in decoding."""
        pieces = [""] * self.vocabulary_size
        for piece, id_ in sorted(self._loaded.tokenizer.get_vocab(with_added_tokens=False).items()):
            pieces[id_] = piece
        for id_, token in self._loaded.tokenizer.get_added_tokens_decoder().items():
            pieces[id_] = token.content
        return pieces

    @property
    def special_ids(self) -> tuple[int, ...]:
        """The ids that are no ordinary text: special added tokens, and those that play a role."""
        roles = [id_ for id_ in astuple(self.roles)[:-1] if id_ is not None]
        added = self._loaded.tokenizer.get_added_tokens_decoder().items()
        return tuple(sorted({*roles, *self.roles.sentinels, *(id_ for id_, token in added if token.special)}))

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The dtype of a dataset with this vocabulary: uint16 below 65,500 ids as in Megatron, else int32."""
        return token_dtype(self.vocabulary_size)

    def check_dtype(self, dtype: npt.DTypeLike) -> None:
        """Raise unless every id fits into `dtype`."""
        wanted = np.dtype(dtype)
        if wanted.kind not in "iu" or self.vocabulary_size - 1 > np.iinfo(wanted).max:
            raise TokenizerError(
                self.path,
                f"ids up to {self.vocabulary_size - 1}",
                f"ids that fit into {wanted}",
                f"use a wider dtype such as {self.dtype if self.dtype != wanted else np.dtype(np.int32)}",
            )

    def require(self, *roles: str) -> None:
        """Raise unless the vocabulary has a token for each of these roles (see Roles)."""
        require_roles(self.roles, roles, self._loaded.tokenizer, self.path)

    def decode(self, ids: Iterable[int]) -> str:
        """Readable text for ids, special tokens shown."""
        text: str = self._loaded.tokenizer.decode([int(id_) for id_ in ids], skip_special_tokens=False)
        return text

    def encode_batch(
        self, texts: Sequence[Text], *, threads: int = 1, add_special_tokens: bool = False
    ) -> tuple[Ids, Ids]:
        """The ids of all texts, one after the other, and one length a text; both int32.

        Texts are str or UTF-8 bytes. The result does not depend on `threads`. Nothing is truncated.
        """
        if threads < 1:
            raise TokenizerError(self.path, f"threads={threads}", "at least 1", "pass a positive number")
        texts = texts if isinstance(texts, list) else list(texts)
        batch = self._engine.encode_batch(texts, threads)
        if not self._checked_any and texts:
            # So that a corpus of a few texts is checked too.
            self._checked_any = True
            batch = EngineBatch(batch.ids, batch.lengths, sorted({0, *batch.sampled}))
        check_sample(self._engine, self._encode_by_reference, texts, batch)
        if add_special_tokens:
            return surround(batch.ids, batch.lengths, *self.surroundings())
        return batch.ids, batch.lengths

    def encode_json(
        self, data: memoryview | bytes, spans: Spans
    ) -> tuple[npt.NDArray[np.uint16] | npt.NDArray[np.int32], Ids]:
        """The ids of texts that stand in JSON: `spans`, int64[n, 2], are begin and end between their quotes.

        The same ids as those of the unescaped texts, as uint16 where that is the tokenizer's dtype, else int32, and
        one length a span: -1 (and no ids) where it is no text, by its UTF-8 or its escapes. A span of
        (-1, -1) stands for nothing and has the length 0. One thread, the caller's own.
        """
        itemsize = 2 if self.dtype == np.uint16 else 4
        spans = np.ascontiguousarray(spans)
        if self._json_engine is not None:
            batch = self._json_engine.encode_json(data, spans, itemsize)
        else:
            batch = encode_spans(self._engine, data, spans, itemsize)
        sampled = set(batch.sampled)
        if not self._checked_any:
            texts = np.flatnonzero((batch.lengths >= 0) & (spans[:, 0] >= 0))
            self._checked_any = len(texts) > 0
            sampled.update(texts[:1].tolist())
        if sampled:
            rows = sorted(sampled)
            ends = np.maximum(batch.lengths, 0).cumsum(dtype=np.int64)
            ids = [batch.ids[ends[row] - batch.lengths[row] : ends[row]] for row in rows]
            found = EngineBatch(np.concatenate(ids).astype(np.int32), batch.lengths[rows], range(len(rows)))
            check_sample(
                self._engine, self._encode_by_reference, [decode_span(data, spans, row) for row in rows], found
            )
        return batch.ids, batch.lengths

    def _encode_by_reference(self, text: str) -> list[int]:
        return encode_one(self._loaded.tokenizer, text)

    def surroundings(self) -> tuple[list[int], list[int]]:
        """The ids that the post-processor puts before and after a text, read off an empty text and one that is not."""
        with_tokens = self._loaded.tokenizer.encode("a", add_special_tokens=True).ids
        plain = encode_one(self._loaded.tokenizer, "a")
        empty = self._loaded.tokenizer.encode("", add_special_tokens=True).ids
        for start in range(len(with_tokens) - len(plain) + 1):
            before, after = with_tokens[:start], with_tokens[start + len(plain) :]
            if with_tokens[start : start + len(plain)] == plain and before + after == empty:
                return before, after
        raise TokenizerError(
            self.path, "a post-processor that changes the ids of the text", "one that adds ids around them",
            "tokenize without special tokens",
        )  # fmt: skip


def surround(
    ids: npt.NDArray[Any], lengths: Ids, before: Sequence[int], after: Sequence[int]
) -> tuple[npt.NDArray[Any], Ids]:
    """Put `before` and `after` around each text's ids, whatever their type."""
    added = len(before) + len(after)
    if added == 0:
        return ids, lengths
    starts = np.cumsum(lengths, dtype=np.int64) - lengths + added * np.arange(len(lengths), dtype=np.int64)
    result = np.empty(len(ids) + added * len(lengths), dtype=ids.dtype)
    own = np.ones(len(result), dtype=bool)
    for offset, id_ in enumerate(before):
        result[starts + offset] = id_
        own[starts + offset] = False
    for offset, id_ in enumerate(after):
        places = starts + len(before) + lengths + offset
        result[places] = id_
        own[places] = False
    result[own] = ids
    return result, lengths + np.int32(added)


def load_tokenizer(
    path: str | os.PathLike[str],
    engine: str = "auto",
    *,
    roles: Mapping[str, str] | None = None,
    require: Iterable[str] = (),
    lowercase: bool | None = None,
    strip_accents: bool | None = None,
    sample_one_in: int = SAMPLE_ONE_IN,
) -> Tokenizer:
    """Load a tokenizer file or directory.

    `engine` is "auto" (the fastest that serves it), "reference", "native", or another registered one. `roles` names
    the tokens of special roles where the usual names do not apply; `require` lists roles that must exist.
    `lowercase` and `strip_accents` are for vocab.txt. `sample_one_in=0` turns the running check off.
    """
    if sample_one_in < 0:
        raise TokenizerError(os.fspath(path), f"sample_one_in={sample_one_in}", "0 or more", "correct it")
    loaded = load_reference(path, lowercase=lowercase, strip_accents=strip_accents)
    resolved = resolve_roles(loaded.tokenizer, loaded.path, loaded.config, roles)
    require_roles(resolved, require, loaded.tokenizer, loaded.path)
    return Tokenizer(loaded, engine, resolved, sample_one_in)


@dataclass(frozen=True)
class EncodedDocuments:
    """Some documents' ids, one after the other, and one length a document."""

    ids: Ids
    lengths: Ids


def encode_documents(
    tokenizer: Tokenizer,
    texts: Iterable[Text],
    *,
    threads: int = 1,
    append_eod: bool = False,
    add_special_tokens: bool = False,
    batch_bytes: int = BATCH_BYTES,
) -> Iterator[EncodedDocuments]:
    """Encode a stream of documents, batch by batch: memory is that of `batch_bytes` of text, or of one document.

    An empty document stays one, of length 0 (1 with its end-of-document token).
    """
    if append_eod:
        tokenizer.require("eod")
    eod = [] if not append_eod or tokenizer.roles.eod is None else [tokenizer.roles.eod]

    def encode(batch: list[Text]) -> EncodedDocuments:
        ids, lengths = tokenizer.encode_batch(batch, threads=threads, add_special_tokens=add_special_tokens)
        return EncodedDocuments(*surround(ids, lengths, [], eod))

    batch: list[Text] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= batch_bytes:
            yield encode(batch)
            batch, size = [], 0
    if batch:
        yield encode(batch)
