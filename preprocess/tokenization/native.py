"""The native engine: WordPiece in C++ (csrc/wordpiece.hpp), for tokenizers of which it can prove that it is exact.

tokenizer --refused unless of BERT's kind--> settings --> _native.WordPieceEngine
                                                            | learn(code point), encode(text): calls back, for what
                                                            v the tables do not settle
                                                        the reference
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from preprocess import _native
from preprocess.tokenization.engines import EngineBatch, JsonBatch, Spans, Text
from preprocess.tokenization.errors import EngineUnsupportedError, invalid_utf8, lone_surrogate, not_a_text
from preprocess.tokenization.loading import Loaded
from preprocess.tokenization.reference import encode_one

BREAK = b"\xff"

# Encoded by both engines when a tokenizer is loaded: what other versions of `tokenizers` might do differently.
PROBES = (
    "Hello, world! It's 3.14 (naïve café).",
    "a\u0301b \u0130I \u03a3\u03c3\u03c2 x\u00ady \u4e2d\u6587a\u3000b \ud55c\uad6d\uc5b4 \u1100\u1161",
    "a\x00b\x0bc\x85d\ufeffe\u200bf\u2028g \ufffdh\U000e0001i",
    "q\u1d165\U0001d165\U0001d16e \u302e\u093c \u0915\u094d\u0937 \u05d0\u05b8 \u0e01\u0e33",
    "[CLS] x[MASK]y [mask] [UNK]",
    "a" * 100 + " " + "a" * 101 + " " + "\uac00" * 34,
    "\u2260 \u037e \u1fef \u3105 \u9fff\u4dc0 \U0002b740 \U0002ceb0 \U0002f800 \U0001f600\ufe0f",
)


class NativeEngine:
    """WordPiece with BertNormalizer and BertPreTokenizer.

    Each thread has memo tables of 4 MB, kept between batches; words that went to the reference are remembered too, at
    most 4,096 of them (256 bytes each) a thread. Beside that there are the vocabulary (about 1 MB for 30,000 pieces)
    and 4 KB for each 256 code points of which a text has held one.
    """

    name = "native"

    def __init__(self, loaded: Loaded, sample_one_in: int = 0) -> None:
        specification = json.loads(loaded.tokenizer.to_str())
        reason = why_not(specification)
        if reason is not None:
            raise EngineUnsupportedError(self.name, reason)
        self._sample_one_in = sample_one_in
        model = specification["model"]
        tokenizer = loaded.tokenizer
        try:
            self._engine = _native.WordPieceEngine(
                vocabulary=model["vocab"],
                continuing_prefix=model["continuing_subword_prefix"],
                unknown_id=model["vocab"].get(model["unk_token"], -1),
                max_code_points=model["max_input_chars_per_word"],
                literals=[token["content"] for token in specification["added_tokens"]],
                learn=CodePointProbe(loaded),
                encode=lambda text: encode_one(tokenizer, text),
            )
        except ValueError as error:
            raise EngineUnsupportedError(self.name, str(error)) from error
        # A probe without ids (a vocabulary without [UNK]) is an error of the reference, and says nothing about us.
        for probe in PROBES if self._has_unknown(model) else ():
            found = self.encode_batch([probe], threads=1).ids.tolist()
            expected = encode_one(tokenizer, probe)
            if found != expected:
                raise EngineUnsupportedError(
                    self.name,
                    f"ids {found} instead of {expected} for {probe!r} with this version of `tokenizers`",
                )

    @staticmethod
    def _has_unknown(model: Mapping[str, Any]) -> bool:
        return model["unk_token"] in model["vocab"]

    def encode_batch(self, texts: Sequence[Text], threads: int) -> EngineBatch:
        """See Engine."""
        texts = texts if isinstance(texts, list) else list(texts)
        try:
            ids, lengths, sampled = self._engine.encode_batch(texts, threads=threads, sample_one_in=self._sample_one_in)
        except _native.BadTextError as error:
            what, index, place = error.args
            if what == "invalid UTF-8":
                raise invalid_utf8(index, place) from None
            if what == "lone surrogate":
                raise lone_surrogate(index, place) from None
            raise
        except TypeError:
            for index, text in enumerate(texts):
                if not isinstance(text, (str, bytes)):
                    raise not_a_text(index, type(text).__name__) from None
            raise
        return EngineBatch(ids, lengths, sampled)

    def encode_json(self, data: memoryview | bytes, spans: Spans, itemsize: int) -> JsonBatch:
        """See JsonEngine."""
        return JsonBatch(
            *self._engine.encode_json_spans(data, spans, itemsize=itemsize, sample_one_in=self._sample_one_in)
        )


def why_not(specification: Mapping[str, Any]) -> str | None:
    """Why the native engine cannot serve this tokenizer.json, or None."""
    model = specification.get("model") or {}
    if model.get("type") != "WordPiece":
        return f"a {model.get('type')} model, not WordPiece"
    for part, wanted in (("normalizer", "BertNormalizer"), ("pre_tokenizer", "BertPreTokenizer")):
        found = (specification.get(part) or {}).get("type")
        if found != wanted:
            return f"the {part} {found}, not {wanted}"
    if model.get("max_input_chars_per_word", 0) < 1:
        return f"max_input_chars_per_word {model.get('max_input_chars_per_word')}"
    for token in specification.get("added_tokens") or ():
        for flag in ("single_word", "lstrip", "rstrip", "normalized"):
            if token.get(flag):
                return f"the added token {token['content']!r} with {flag}, which only the reference can match"
    return None


class CodePointProbe:
    """What the reference makes of one code point.

    The answer is its characters as UTF-8, with 0xff for each word break, and whether a mark stays among them that may
    trade places with others.

    Marks trade places only while accents are stripped (canonical decomposition). Which ones do is a matter of their
    combining class, which Unicode promises never to change once it is assigned; so whatever version `tokenizers` is
    built with, a mark is either known to Python as one, or unassigned there. Both count as such here.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._normalize = loaded.tokenizer.normalizer.normalize_str
        self._split = loaded.tokenizer.pre_tokenizer.pre_tokenize_str
        self._decomposes = self._normalize("\u00e9") != "\u00e9"

    def __call__(self, code_point: int) -> tuple[bytes, bool]:
        """Ask between two letters, since white space at the ends would not show."""
        normal = self._normalize("a" + chr(code_point) + "a")
        effect = BREAK.join(piece.encode() for piece, _ in self._split(normal))[1:-1]
        stays = self._decomposes and any(
            unicodedata.combining(char) != 0 or unicodedata.category(char) == "Cn" for char in normal[1:-1]
        )
        return effect, stays
