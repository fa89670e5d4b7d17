"""Word n-grams that belong together: the file that keeps them, and where they stand in rows.

FILE.json --load, checked--> NGrams --hashes of words--> candidates --compared token by token--> n-grams by word

The file is JSON and nothing in it is executed: ids of each n-gram, its pointwise mutual information, its count.
"""

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from maskgen.hashing import Words
from maskgen.identity import vocab_digest
from maskgen.samples.errors import SampleError
from maskgen.schemes.words import WordRuns, lookup
from maskgen.vocab import Ids, Table, Vocab
from preprocess.errors import os_failure

FORMAT, VERSION = "maskgen-ngrams", 1
SHORTEST, LONGEST = 2, 5
FILTER_BITS = 22  # of a table of truth values: with 800,000 n-grams it holds back four of five other runs of words


class NGrams:
    """N-grams of 2 to 5 words of a vocabulary."""

    def __init__(self, ngrams: Iterable[Sequence[int]], vocab: Vocab) -> None:
        rows = [tuple(map(int, each)) for each in ngrams]
        self.lengths: Ids = np.array([len(each) for each in rows], np.int64)
        self.tokens: Ids = np.array([id_ for each in rows for id_ in each], np.int64)
        self.starts: Ids = np.cumsum(self.lengths) - self.lengths
        allowed = np.zeros(len(vocab), np.bool_)
        allowed[vocab.ordinary_ids] = True
        if self.tokens.size and not (0 <= self.tokens.min() <= self.tokens.max() < len(vocab)):
            raise SampleError(f"ids from {self.tokens.min()} to {self.tokens.max()}; expected ids below {len(vocab)}")
        if not allowed[self.tokens].all() or (self.lengths == 0).any():
            raise SampleError("an n-gram is empty or holds a special id; expected ordinary ids")
        among = np.ones(len(self.tokens), np.bool_)
        words = WordRuns.of(self.tokens, among, vocab.word_starts[self.tokens], self.starts)
        first = np.searchsorted(words.starts, self.starts)
        self.sizes: Ids = np.diff(np.append(first, len(words.starts)))
        if self.sizes.size and not SHORTEST <= self.sizes.min() <= self.sizes.max() <= LONGEST:
            raise SampleError(
                f"n-grams of {self.sizes.min()} to {self.sizes.max()} words; expected {SHORTEST} to {LONGEST}"
            )
        self.filter = np.zeros(1 << FILTER_BITS, np.bool_)
        self.tables: dict[int, tuple[Words, Ids]] = {}
        for size, (hashes, _) in enumerate(words.runs(LONGEST), 1):
            numbers = np.flatnonzero(self.sizes == size)
            if len(numbers):
                own, index, counts = np.unique(hashes[first[numbers]], return_index=True, return_counts=True)
                if counts.max() > 1:
                    twice = rows[numbers[index[counts.argmax()]]]
                    raise SampleError(f"the n-gram {list(twice)} is there twice; expected each once")
                self.tables[size] = own, numbers[index]
                self.filter[own >> np.uint64(64 - FILTER_BITS)] = True

    def __len__(self) -> int:
        return len(self.lengths)

    def longest_from(self, tokens: Ids, words: WordRuns) -> Ids:
        """From each word on, how many words the longest n-gram has that is there; 1 where there is none."""
        sizes = np.ones(len(words.starts), np.int64)
        for size, (hashes, exist) in enumerate(words.runs(LONGEST), 1):
            if size not in self.tables:
                continue
            known, numbers = self.tables[size]
            likely = np.flatnonzero(exist & self.filter[hashes >> np.uint64(64 - FILTER_BITS)])
            entries = lookup(hashes[likely], known)
            likely, entries = likely[entries >= 0], numbers[entries[entries >= 0]]
            sizes[likely[self._same(tokens, words.starts[likely], words.ends[likely + size - 1], entries)]] = size
        return sizes

    def _same(self, tokens: Ids, starts: Ids, ends: Ids, entries: Ids) -> Table:
        """Whether the tokens between `starts` and `ends` are those of the n-grams with these numbers."""
        fit = ends - starts == self.lengths[entries]
        lengths = np.where(fit, self.lengths[entries], 0)
        owners = np.repeat(np.arange(len(entries)), lengths)
        within = np.arange(len(owners)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        unequal = tokens[starts[owners] + within] != self.tokens[self.starts[entries[owners]] + within]
        same: Table = fit.copy()
        same[owners[unequal]] = False
        return same

    @classmethod
    def load(cls, path: str | os.PathLike[str], vocab: Vocab) -> "NGrams":
        """The n-grams of a file that `save_ngrams` wrote, for the vocabulary that it was written for."""
        name = os.fspath(path)
        try:
            with open(name, encoding="utf-8") as file:
                content = json.load(file)
        except OSError as error:
            raise os_failure(name, "read it", error, "find n-grams with maskgen pmi") from None
        except (ValueError, RecursionError) as error:
            raise SampleError(
                f"{name}: no JSON ({error}); expected a file that maskgen pmi wrote; make it again"
            ) from None
        if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("version") != VERSION:
            raise SampleError(f"{name}: not a file of n-grams, version {VERSION}; make it with maskgen pmi")
        if content.get("vocab") != vocab_digest(vocab):
            raise SampleError(
                f"{name}: n-grams of another vocabulary; expected those of {vocab.name}; make the file with the "
                "tokenizer, and the roles, that it is used with"
            )
        ngrams = content.get("ngrams")
        if not isinstance(ngrams, list) or not all(
            isinstance(each, list) and all(type(id_) is int for id_ in each) for each in ngrams
        ):
            raise SampleError(f"{name}: ngrams are not lists of ids; make the file again with maskgen pmi")
        try:
            return cls(ngrams, vocab)
        except (SampleError, OverflowError) as error:
            raise SampleError(f"{name}: {error}; make the file again with maskgen pmi") from None


def save_ngrams(
    path: str | os.PathLike[str], vocab: Vocab, ngrams: Sequence[Sequence[int]], facts: dict[str, Any]
) -> None:
    """Write a file of n-grams: complete under its name, or not at all."""
    name = os.fspath(path)
    content = {"format": FORMAT, "version": VERSION, "vocab": vocab_digest(vocab), **facts, "ngrams": list(ngrams)}
    partial = f"{name}.{os.getpid()}.partial"
    try:
        with open(partial, "w", encoding="utf-8") as file:
            json.dump(content, file, separators=(",", ":"))
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, name)
    except OSError as error:
        raise os_failure(name, "write it", error, "check the folder") from None
    finally:
        with suppress(OSError):
            os.unlink(partial)
