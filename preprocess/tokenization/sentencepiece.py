"""SentencePiece model files, as far as `tokenizers` can follow them: Unigram models.

file --protobuf fields--> pieces, scores, normaliser tables --> tokenizers.Tokenizer

The file is a protocol buffer of a fixed, published shape; the few fields that matter are read here, so that no
protobuf package is needed.
"""

import struct
from collections.abc import Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from preprocess.tokenization.errors import TokenizerError

Field = int | bytes | float

# ModelProto
PIECES, TRAINER, NORMALIZER = 1, 2, 3
# SentencePiece
PIECE, SCORE, TYPE = 1, 2, 3
UNKNOWN_TYPE, CONTROL_TYPE, USER_DEFINED_TYPE = 2, 3, 4
# TrainerSpec
MODEL_TYPE, BYTE_FALLBACK = 3, 35
UNIGRAM = 1
# NormalizerSpec
CHARACTER_MAP, ADD_DUMMY_PREFIX, REMOVE_EXTRA_WHITESPACES = 2, 3, 4


def load_sentencepiece(path: str, content: bytes) -> Tokenizer:
    """A tokenizer with the ids of the SentencePiece model in `content`."""
    try:
        return _build(path, content)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise TokenizerError(
            path,
            f"bytes that are no SentencePiece model ({error})",
            "a SentencePiece model",
            "check the file",
        ) from error


def _build(path: str, content: bytes) -> Tokenizer:
    vocabulary: list[tuple[str, float]] = []
    special: list[AddedToken] = []
    unknown = None
    trainer: dict[int, Field] = {}
    normalizer: dict[int, Field] = {}
    for number, value in _fields(content):
        if number == PIECES and isinstance(value, bytes):
            entry = dict(_fields(value))
            piece = _bytes(entry.get(PIECE, b"")).decode()
            kind = entry.get(TYPE, 1)
            if kind == UNKNOWN_TYPE:
                unknown = len(vocabulary)
            if kind in (UNKNOWN_TYPE, CONTROL_TYPE):
                special.append(AddedToken(piece, special=True, normalized=False))
            elif kind == USER_DEFINED_TYPE:
                special.append(AddedToken(piece, special=False, normalized=False))
            score = entry.get(SCORE, 0.0)
            vocabulary.append((piece, score if isinstance(score, float) else 0.0))
        elif number == TRAINER and isinstance(value, bytes):
            trainer = dict(_fields(value))
        elif number == NORMALIZER and isinstance(value, bytes):
            normalizer = dict(_fields(value))
    if not vocabulary:
        raise IndexError("no pieces in it")
    if trainer.get(MODEL_TYPE, UNIGRAM) != UNIGRAM:
        raise TokenizerError(
            path,
            "a SentencePiece model that is not of the Unigram kind",
            "a Unigram model: the only kind that can be read from this file with the same ids",
            "convert it to tokenizer.json with the `transformers` package and load that",
        )
    tokenizer = Tokenizer(models.Unigram(vocabulary, unknown, bool(trainer.get(BYTE_FALLBACK, 0))))
    steps: list[normalizers.Normalizer] = []
    character_map = _bytes(normalizer.get(CHARACTER_MAP, b""))
    if character_map:
        steps.append(normalizers.Precompiled(character_map))
    if normalizer.get(REMOVE_EXTRA_WHITESPACES, 1):
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    if steps:
        tokenizer.normalizer = normalizers.Sequence(steps)
    prefix = "always" if normalizer.get(ADD_DUMMY_PREFIX, 1) else "never"
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prefix)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=prefix)
    tokenizer.add_tokens(special)
    return tokenizer


def _bytes(value: Field) -> bytes:
    if not isinstance(value, bytes):
        raise IndexError("a field of an unexpected type")
    return value


def _fields(content: bytes) -> Iterator[tuple[int, Field]]:
    position = 0

    def number() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = content[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(content):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
        elif key & 7 == 2:
            length = number()
            if position + length > len(content):
                raise IndexError("a field that is cut")
            position += length
            yield key >> 3, content[position - length : position]
        elif key & 7 == 5:
            position += 4
            yield key >> 3, float(struct.unpack_from("<f", content, position - 4)[0])
        elif key & 7 == 1:
            position += 8
            yield key >> 3, float(struct.unpack_from("<d", content, position - 8)[0])
        else:
            raise IndexError(f"a field of type {key & 7}")
