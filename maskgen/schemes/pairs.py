"""Pairs of texts as Google's BERT makes them: the second part follows the first, or comes from another document.

row of the mapping --pivot--> A; --half of the time--> B from elsewhere | the rest --truncate--> [CLS] A [SEP] B [SEP]
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.hashing import Words
from maskgen.identity import array_digest
from maskgen.samples.bert import SPECIALS_OF_PAIR, truncate
from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError
from maskgen.samples.sample_map import Limits, MapFile, check_map
from maskgen.schemes.draws import Draws, below, uniforms
from maskgen.vocab import Ids, Vocab
from preprocess import IndexedDataset, IndexedDatasetError, lost_page_count

PIVOT, RANDOM, DOCUMENT, SENTENCE, TRUNCATED = range(64, 69)  # streams, apart from those of schemes
DRAWN = (PIVOT, RANDOM, DOCUMENT, SENTENCE)  # one word of each a row


@dataclass(frozen=True)
class PairBatch:
    """Rows of pairs, and what is known of them."""

    tokens: Ids
    lengths: Ids
    types: Ids
    is_random: Ids
    truncated: Ids


class PairRows:
    """Pairs from a dataset with one sentence a sequence, over the rows of build_mapping."""

    def __init__(
        self,
        dataset: IndexedDataset,
        sample_map: npt.ArrayLike,
        vocab: Vocab,
        max_seq_length: int,
        random_share: float,
    ) -> None:
        self.dataset = dataset
        self.seq_length = integer(max_seq_length, "max_seq_length", SPECIALS_OF_PAIR + 1)
        self.room = self.seq_length - SPECIALS_OF_PAIR
        self.cls_id, self.sep_id, self.pad_id = vocab.ids("cls", "sep", "pad")
        self.random_share = random_share
        text = f"a sample has max_seq_length {max_seq_length} entries, {SPECIALS_OF_PAIR} of them special"
        self.limits = Limits(dataset.prefix, len(dataset), self.room, text)
        self.sample_map = check_map(sample_map, self.limits)
        bounds = np.asarray(dataset.document_indices, np.int64)
        filled = np.flatnonzero(np.diff(bounds))
        self.starts, self.ends = bounds[filled], bounds[filled + 1]
        if random_share > 0 and len(filled) < 2:
            raise SampleError(
                f"{dataset.prefix}: {len(filled)} documents with sentences; expected two or more, to take second parts "
                "from another one; use a larger dataset, or random_share=0"
            )

    def __len__(self) -> int:
        return len(self.sample_map)

    def describe(self) -> dict[str, Any]:
        """What these rows are."""
        return {
            "kind": "pairs", "version": 1, "max_seq_length": self.seq_length, "random_share": self.random_share,
            "mapping": array_digest(self.sample_map),
        }  # fmt: skip

    def tokens(self, *_: Any, **__: Any) -> Any:
        """Not without draws: pairs are drawn."""
        raise SampleError("rows of pairs without draws; expected NextSentenceSamples around them; use its batch")

    def pairs(self, indices: Ids, draws: Draws) -> PairBatch:
        """The pairs at `indices`."""
        before = lost_page_count()
        count, width = len(indices), self.seq_length
        shapes: tuple[Any, ...] = (count, (count, width), count, count)
        zeros = [np.zeros(shape, np.int64) for shape in shapes]
        batch = PairBatch(np.full((count, width), self.pad_id), *zeros)
        luck = {stream: draws.words(stream, 1)[:, 0] for stream in DRAWN}
        for row, index in enumerate(indices.tolist()):
            a, b, is_random = self._parts(index, {stream: words[row : row + 1] for stream, words in luck.items()})
            surplus = len(a) + len(b) - self.room
            if surplus > 0:
                words = draws.words_at(TRUNCATED, np.full(surplus, row), np.arange(surplus))
                a, b = truncate(a, b, uniforms(words))
            end = [self.sep_id]
            text = np.concatenate(([self.cls_id], a, end, b, end[: len(b)]))
            batch.tokens[row, : len(text)] = text
            batch.types[row, len(a) + 2 : len(text)] = 1
            batch.lengths[row], batch.is_random[row], batch.truncated[row] = len(text), is_random, surplus > 0
        if lost_page_count() > before:
            raise IndexedDatasetError(
                self.dataset.prefix, "memory map", "a page that its file no longer has (zeros were read in its place)",
                "a file that keeps its size while it is mapped", "restore the file and ask for these samples again",
            )  # fmt: skip
        return batch

    def spans_of(self, index: int, seed: int, epoch: int = 0) -> tuple[tuple[int, int], tuple[int, int]]:
        """The sentences that A and B of a row are made of, in an epoch: first, and one past the last, of each."""
        draws = Draws(seed, epoch, np.array([index], np.int64))
        a, b, _ = self._spans(index, {stream: draws.words(stream, 1)[:, 0] for stream in DRAWN})
        return a, b

    def _parts(self, index: int, luck: dict[int, Words]) -> tuple[Ids, Ids, bool]:
        a, b, is_random = self._spans(index, luck)
        return self._text(*a), self._text(*b), is_random

    def _spans(self, index: int, luck: dict[int, Words]) -> tuple[tuple[int, int], tuple[int, int], bool]:
        first, last, target = self.sample_map[index].tolist()
        self.limits.check_row(index, first, last, target)
        sentences = last - first
        pivot = 1 + int(below(luck[PIVOT], sentences - 1)[0]) if sentences > 1 else 1
        a = first, first + pivot
        is_random = self.random_share > 0 and (sentences == 1 or float(uniforms(luck[RANDOM])[0]) < self.random_share)
        if not is_random:
            return a, (first + pivot, last), False
        own = int(np.searchsorted(self.starts, first, side="right")) - 1
        other = int(below(luck[DOCUMENT], len(self.starts) - 1)[0])
        other += other >= own
        begin, end = int(self.starts[other]), int(self.ends[other])
        start = begin + int(below(luck[SENTENCE], end - begin)[0])
        sums = np.cumsum(self.dataset.sequence_lengths[start:end], dtype=np.int64)
        used = int(self.dataset.sequence_lengths[first : first + pivot].sum(dtype=np.int64))
        taken = int(np.searchsorted(sums, max(target - used, 1))) + 1
        return a, (start, min(start + taken, end)), True

    def _text(self, first: int, last: int) -> Ids:
        if first == last:
            return np.zeros(0, np.int64)
        return np.concatenate(self.dataset[first:last], dtype=np.int64)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "sample_map": MapFile.of(self.sample_map) or self.sample_map}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if isinstance(self.sample_map, MapFile):
            self.sample_map = self.sample_map.open()

    def __repr__(self) -> str:
        return f"PairRows({self.dataset.prefix!r})"
