"""Byte-level BPE through the `gigatoken` package, an optional extra."""

import json
import zlib
from collections.abc import Sequence

import numpy as np

from preprocess.tokenization.engines import EngineBatch, Text
from preprocess.tokenization.errors import EngineUnsupportedError
from preprocess.tokenization.loading import Loaded
from preprocess.tokenization.reference import as_str


class GigatokenEngine:
    """Byte-level BPE alone: other kinds are refused, and so is whatever the package refuses itself."""

    name = "gigatoken"

    def __init__(self, loaded: Loaded, sample_one_in: int = 0) -> None:
        content = loaded.tokenizer.to_str()
        specification = json.loads(content)
        model = specification["model"]["type"]
        if model != "BPE":
            raise EngineUnsupportedError(self.name, f"a {model} model, not BPE")
        if (specification.get("pre_tokenizer") or {}).get("type") != "ByteLevel" or specification.get("normalizer"):
            raise EngineUnsupportedError(self.name, "a normalizer, or a pre_tokenizer that is not ByteLevel")
        try:
            import gigatoken
        except ImportError as error:
            raise EngineUnsupportedError(
                self.name, "no package `gigatoken`", "install maskgen[gigatoken], or use another engine"
            ) from error
        try:
            self._engine = gigatoken.Tokenizer.from_json(content)
        except Exception as error:  # its own kinds are not documented
            raise EngineUnsupportedError(self.name, f"a refusal of the package: {error}") from error
        self._sample_one_in = sample_one_in

    def encode_batch(self, texts: Sequence[Text], threads: int) -> EngineBatch:
        """See Engine. The package has one pool for the process; `threads` says whether to use it."""
        strings = [as_str(text, index) for index, text in enumerate(texts)]
        rows = self._engine.encode_batch(strings, parallel=threads > 1)
        layout = rows.layout
        offsets = np.asarray(layout.offsets.data, dtype=np.int64)
        ids = np.asarray(layout.content.data)[offsets[0] : offsets[-1]].astype(np.int32)
        return EngineBatch(ids, np.diff(offsets).astype(np.int32), self._sample(strings))

    def _sample(self, strings: Sequence[str]) -> list[int]:
        if self._sample_one_in == 0:
            return []
        return [
            index
            for index, string in enumerate(strings)
            if (zlib.crc32(string[:64].encode()) + len(string)) % self._sample_one_in == 0
        ]
