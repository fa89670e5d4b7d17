"""Some records of a corpus -> ids, sequences and documents, the way Megatron-LM's tool lays them out.

documents --split into sentences, where asked--> texts --tokenizer--> ids and a length a text
          --special tokens around each text; texts without a token left out; end of document--> sequences
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from preprocess.corpora.json_lines import JsonRecords
from preprocess.corpora.records import Document, TextRecords
from preprocess.pipeline.options import Options
from preprocess.sentences import load_splitter
from preprocess.tokenization import Tokenizer
from preprocess.tokenization.tokenizer import surround


@dataclass(frozen=True)
class Encoded:
    """One key's part of some records."""

    ids: npt.NDArray[Any]  # of the dataset's type
    sequence_lengths: npt.NDArray[np.int32]
    sequence_counts: npt.NDArray[np.int32]  # one a document

    def document_lengths(self) -> npt.NDArray[np.int32]:
        """Tokens of each document's text."""
        if len(self.sequence_lengths) == len(self.sequence_counts) and (self.sequence_counts == 1).all():
            return self.sequence_lengths
        ends = np.concatenate(([0], np.cumsum(self.sequence_lengths, dtype=np.int64)))
        return np.diff(ends[np.concatenate(([0], np.cumsum(self.sequence_counts)))]).astype(np.int32)

    def count_of(self, id_: int) -> int:
        """How often an id occurs in the texts."""
        return int(np.count_nonzero(self.ids == id_))

    def first(self, documents: int) -> "Encoded":
        """Only the first documents."""
        counts = self.sequence_counts[:documents]
        lengths = self.sequence_lengths[: counts.sum(dtype=np.int64)]
        return Encoded(self.ids[: lengths.sum(dtype=np.int64)], lengths, counts)


class DocumentEncoder:
    """Turns records into what is written, one Encoded for each key."""

    def __init__(self, tokenizer: Tokenizer, options: Options) -> None:
        self._tokenizer = tokenizer
        self._before: Sequence[int] = ()
        self._after: Sequence[int] = ()
        if options.add_special_tokens:
            self._before, self._after = tokenizer.surroundings()
        self._eod = tokenizer.roles.eod if options.append_eod else None
        self._split = (
            load_splitter(options.splitter, language=options.language, keep_newlines=options.keep_newlines)
            if options.split_sentences
            else None
        )

    def encode(self, records: JsonRecords | TextRecords, keys: int) -> tuple[JsonRecords | TextRecords, list[Encoded]]:
        """The records again, without those that turned out to be no documents, and their ids for each key."""
        if isinstance(records, JsonRecords):
            if self._split is None:
                return self._encode_raw(records, keys)
            records = records.as_text()
        return records, [self.encode_texts(records.documents[key]) for key in range(keys)]

    def _encode_raw(self, records: JsonRecords, keys: int) -> tuple[JsonRecords | TextRecords, list[Encoded]]:
        while not records.odd:
            encoded = []
            for key in range(keys):
                ids, lengths = self._tokenizer.encode_json(records.data, records.spans[:, key])
                bad = np.flatnonzero(lengths < 0)
                if len(bad):
                    records, _ = records.without(bad)
                    break
                encoded.append(self._lay_out(ids, lengths, np.ones(len(lengths), np.int32)))
            else:
                return records, encoded
        # A record that only the twin can read: rare, so the whole block takes the slower way.
        text = records.as_text()
        return text, [self.encode_texts(text.documents[key]) for key in range(keys)]

    def encode_texts(self, documents: Sequence[Document]) -> Encoded:
        """The ids of one key's documents."""
        texts: list[str | bytes] = []
        counts = np.ones(len(documents), np.int32)
        for number, document in enumerate(documents):
            if isinstance(document, list):
                parts: list[str] = document
                if self._split is not None:
                    parts = [sentence for part in document for sentence in self._split(part)]
            elif self._split is not None:
                parts = self._split(document.decode() if isinstance(document, bytes) else document)
            else:
                texts.append(document)
                continue
            texts += parts
            counts[number] = len(parts)
        ids, lengths = self._tokenizer.encode_batch(texts)
        return self._lay_out(ids.astype(self._tokenizer.dtype, copy=False), lengths, counts)

    def _lay_out(self, ids: npt.NDArray[Any], lengths: npt.NDArray[np.int32], counts: npt.NDArray[np.int32]) -> Encoded:
        if self._before or self._after:
            ids, lengths = surround(ids, lengths, self._before, self._after)
        kept = lengths > 0
        if not kept.all():
            owners = np.repeat(np.arange(len(counts)), counts)
            counts = np.bincount(owners[kept], minlength=len(counts)).astype(np.int32)
            lengths = lengths[kept]
        if self._eod is not None:
            lasts = np.cumsum(counts)[counts > 0] - 1
            ids = np.insert(ids, np.cumsum(lengths, dtype=np.int64)[lasts], self._eod)
            lengths = lengths.copy()
            lengths[lasts] += 1
        return Encoded(ids, lengths, counts)
