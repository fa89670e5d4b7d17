"""From rows of a block mapping to tokens: sentences, titles, and the form in which an encoder reads them.

sentences of a row --concatenated, cut to fit--> [CLS] title [SEP] block [SEP]; a query --> [CLS] query [SEP]
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.blocks.block_map import Map, check_blocks
from maskgen.identity import array_digest, dataset_identity
from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError
from maskgen.samples.sample_map import MapFile
from maskgen.vocab import Ids, Vocab
from preprocess import IndexedDataset, IndexedDatasetError, lost_page_count

SPECIALS = 3  # [CLS] title [SEP] block [SEP]; the mapping leaves room for so many with and without titles
SPECIALS_OF_ONE = 2
NO_TOKENS = np.zeros(0, np.int64)


def title_sizes(dataset: IndexedDataset, titles: IndexedDataset | None) -> npt.NDArray[np.int32]:
    """The tokens of the title of each document of `dataset`, for build_blocks_mapping; without titles 0."""
    documents = len(dataset.document_indices) - 1
    if titles is None:
        return np.zeros(documents, np.int32)
    if len(titles.document_indices) - 1 != documents:
        raise SampleError(
            f"{titles.prefix}: {len(titles.document_indices) - 1} titles; expected {documents}, one for each document "
            f"of {dataset.prefix}; make both from the same lines"
        )
    ends = np.concatenate(([0], np.cumsum(titles.sequence_lengths, dtype=np.int64)))
    return np.diff(ends[titles.document_indices]).astype(np.int32)


class BlockTexts:
    """The texts behind a block mapping. Titles are found by document, whether or not some of them are empty."""

    def __init__(
        self,
        dataset: IndexedDataset,
        titles: IndexedDataset | None,
        block_map: npt.ArrayLike,
        vocab: Vocab,
        max_seq_length: int,
        first_document: int,
    ) -> None:
        self.dataset, self.titles, self.vocab = dataset, titles, vocab
        self.max_seq_length = integer(max_seq_length, "max_seq_length", SPECIALS + 2)
        self.first_document = integer(first_document, "first_document", 0)
        self.cls_id, self.sep_id, self.pad_id = vocab.ids("cls", "sep", "pad")
        title_sizes(dataset, titles)  # which checks that there is one for each document
        self.rows: Map = check_blocks(block_map, dataset, self.first_document)

    def __len__(self) -> int:
        return len(self.rows)

    def sentences(self, row: int) -> list[Ids]:
        """The sentences of a block."""
        first, last = self.rows[row, :2].tolist()
        return [self._checked(self.dataset, number) for number in range(first, last)]

    def title(self, row: int) -> Ids | None:
        """The title of a block's document, cut to half of the room where it would leave none for the block."""
        if self.titles is None:
            return None
        document = int(self.rows[row, 2]) + self.first_document
        first, last = self.titles.document_indices[document : document + 2].tolist()
        parts = [self._checked(self.titles, number) for number in range(first, last)]
        title = np.concatenate(parts) if parts else NO_TOKENS
        room = self.max_seq_length - SPECIALS
        return title if len(title) <= room else title[: room // 2]

    def context(self, sentences: list[Ids], title: Ids | None) -> Ids:
        """A block as an encoder reads it."""
        taken = SPECIALS_OF_ONE if title is None else SPECIALS + len(title)
        block = np.concatenate([NO_TOKENS, *sentences])[: self.max_seq_length - taken]
        cls, sep = [self.cls_id], [self.sep_id]
        front = cls if title is None else np.concatenate((cls, title, sep))
        return np.concatenate((front, block, sep))

    def query(self, sentence: Ids) -> Ids:
        """A query as an encoder reads it."""
        kept = sentence[: self.max_seq_length - SPECIALS_OF_ONE]
        return np.concatenate(([self.cls_id], kept, [self.sep_id]))

    def block_data(self, row: int) -> list[int]:
        """First sentence, one past the last, document of the dataset, number of the block."""
        first, last, document, number = self.rows[row].tolist()
        return [first, last, document + self.first_document, number]

    def largest_number(self) -> int:
        """The largest value that `block_data` can have."""
        numbers = int(self.rows[:, 3].max(initial=0))
        return max(len(self.dataset), len(self.dataset.document_indices), numbers)

    def check_pages(self, before: int) -> None:
        """Raise where zeros were read in place of a page that is gone, since `lost_page_count` was `before`."""
        if lost_page_count() > before:
            raise IndexedDatasetError(
                self.dataset.prefix, "memory map", "a page that its file no longer has (zeros were read in its place)",
                "files (texts, titles, mapping) that keep their size while they are mapped",
                "restore the file and ask for these blocks again",
            )  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """What these texts are."""
        return {
            "kind": "blocks",
            "version": 1,
            "samples": len(self),
            "mapping": array_digest(self.rows),
            "first_document": self.first_document,
            "titles": None if self.titles is None else dataset_identity(self.titles),
        }

    def _checked(self, dataset: IndexedDataset, number: int) -> Ids:
        tokens: Ids = dataset[number].astype(np.int64)
        if tokens.size and int(tokens.view(np.uint64).max()) >= len(self.vocab):  # negative ones are large so
            wrong = tokens[tokens.view(np.uint64) >= len(self.vocab)][0]
            raise SampleError(
                f"{dataset.prefix}: sequence {number} holds the id {wrong}; expected ids below {len(self.vocab)}, the "
                f"vocabulary of {self.vocab.name}; use the tokenizer that this dataset was made with"
            )
        return tokens

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "rows": MapFile.of(self.rows) or self.rows}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if isinstance(self.rows, MapFile):
            self.rows = self.rows.open()
