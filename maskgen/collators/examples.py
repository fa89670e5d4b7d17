"""Map-style datasets of examples, as a DataLoader takes them: ids, and what their masks are a function of.

.bin/.idx --a document: its sequences end to end--> Example
texts, or pairs of prompt and answer --tokenizer, once--> ids in memory --> Example
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError
from maskgen.vocab import Ids
from preprocess import IndexedDataset

Around = tuple[int | None, int | None]


@dataclass(frozen=True, eq=False)
class Example:
    """A sequence. The first `prefix` of its ids are given: collators for prefixes hide the others alone."""

    ids: Ids
    index: int
    epoch: int = 0
    prefix: int = 0


class _Examples:
    """What both kinds share: masks are those of `epoch`; ``set_epoch`` goes on to the next ones."""

    def __init__(self, count: int, epoch: int) -> None:
        self._count = count
        self.set_epoch(epoch)

    def set_epoch(self, epoch: int) -> None:
        """Take the masks of that epoch from now on; worker processes that run already keep theirs."""
        self.epoch = integer(epoch, "epoch", 0)

    def __len__(self) -> int:
        return self._count

    def _place(self, index: Any) -> int:
        place = operator.index(index)
        if not -self._count <= place < self._count:
            raise IndexError(f"example {place} of {self._count}")
        return place % self._count


class DocumentExamples(_Examples):
    """The documents of a dataset; of each the first `prefix_sequences` sequences are its prefix.

    `documents` are those to take, by default all. `add_special` puts ids before and after each, where they are not
    None.
    """

    def __init__(
        self,
        dataset: IndexedDataset,
        *,
        documents: range | None = None,
        prefix_sequences: int = 0,
        add_special: Around = (None, None),
        epoch: int = 0,
    ) -> None:
        self.dataset, self.add_special = dataset, add_special
        self.prefix_sequences = integer(prefix_sequences, "prefix_sequences", 0)
        count = len(dataset.document_indices) - 1
        self.documents = range(count) if documents is None else documents
        if self.documents and not 0 <= min(self.documents) <= max(self.documents) < count:
            raise SampleError(f"documents are {documents} of {count}; expected some of them; correct the range")
        super().__init__(len(self.documents), epoch)

    def __getitem__(self, index: int) -> Example:
        place = self._place(index)
        first, last = self.dataset.document_indices[self.documents[place] :][:2].tolist()
        sequences = [self.dataset[each] for each in range(first, last)]
        split = min(self.prefix_sequences, len(sequences))
        return _example(sequences[:split], sequences[split:], self.add_special, place, self.epoch)


class TextExamples(_Examples):
    """Texts, or pairs of a prompt and its answer, encoded once by a tokenizer of preprocess.load_tokenizer."""

    def __init__(
        self,
        texts: Sequence[str | tuple[str, str]],
        tokenizer: Any,
        *,
        add_special: Around = (None, None),
        epoch: int = 0,
    ) -> None:
        if isinstance(texts, str):
            raise SampleError("texts is one string; expected several; put it into a list")
        pairs = [("", text) if isinstance(text, str) else tuple(text) for text in texts]
        if wrong := next((pair for pair in pairs if len(pair) != 2), None):
            raise SampleError(f"{len(wrong)} texts in one example; expected a text, or a prompt and an answer")
        self.add_special = add_special
        ids, lengths = tokenizer.encode_batch([text for pair in pairs for text in pair])
        self._parts = np.split(ids, np.cumsum(lengths)[:-1]) if pairs else []
        super().__init__(len(pairs), epoch)

    def __getitem__(self, index: int) -> Example:
        place = self._place(index)
        prefix, suffix = self._parts[2 * place : 2 * place + 2]
        return _example([prefix], [suffix], self.add_special, place, self.epoch)


def _example(prefix: Sequence[Any], suffix: Sequence[Any], around: Around, index: int, epoch: int) -> Example:
    begin, end = ([] if id_ is None else [id_] for id_ in around)
    given = np.concatenate([np.array(begin, np.int64), *prefix]).astype(np.int64)
    others = np.concatenate([*suffix, np.array(end, np.int64)]).astype(np.int64)
    given_count = len(given) if any(map(len, prefix)) else 0
    return Example(np.concatenate([given, others]), index, epoch, given_count)
