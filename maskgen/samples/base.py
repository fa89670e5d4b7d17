"""What all kinds of samples share: checked settings, the generator of a sample, access by index, slice and batch.

index --row of the mapping--> sentences of the dataset --generator seeded with (seed + index) mod 2^32--> arrays

Nothing is kept from one sample to the next, so order, threads, processes and restarts cannot change a sample.
"""

import operator
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from dataclasses import field as dataclass_field
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen import _native
from maskgen.identity import array_digest, dataset_identity, plain, vocab_digest
from maskgen.masking import MaskedLmPredictions
from maskgen.masking.reference import predict_row
from maskgen.masking.settings import MaskingSettings
from maskgen.samples.arrays import Batch, Field, checked_out, in_use
from maskgen.samples.by_index import ByIndex, Sample
from maskgen.samples.checks import checked_engine, checked_indices, checked_replacements, integer, thread_count
from maskgen.samples.errors import SampleError
from maskgen.samples.native import ABSENT
from maskgen.samples.sample_map import Limits, MapFile, check_map
from maskgen.vocab import Ids, Vocab
from preprocess import IndexedDataset, IndexedDatasetError, lost_page_count

VERSION = 1  # of what Megatron-LM's schemes promise: it changes when their bits do


@dataclass
class Notes:
    """What the masking of one sample drew, and what it came to, for those who look into it."""

    drawn: list[int] = dataclass_field(default_factory=list)  # lengths of n-grams, in words
    predictions: MaskedLmPredictions | None = None


@dataclass(frozen=True)
class Drawing:
    """What one call asks for besides indices: which epoch, and the masking, with the rate of this call."""

    epoch: int
    masking: MaskingSettings
    notes: Notes | None = None


class Samples(ByIndex):
    """Samples by index: ``samples[i]``, ``samples[i:j]``, ``samples.batch(indices)``. See BertSamples and T5Samples."""

    scheme: str
    fields: tuple[Field, ...]
    keys: tuple[str, ...]  # those of the fields that a single sample has
    binary_head = False
    last_builder: tuple[MaskingSettings, _native.SampleBuilder] | None = None

    def __init__(
        self,
        dataset: IndexedDataset,
        sample_map: npt.ArrayLike,
        vocab: Vocab,
        *,
        max_seq_length: int,
        specials: int,
        seed: int,
        engine: str,
        masking: Mapping[str, Any],
        replacement_ids: Sequence[int] | npt.NDArray[Any] | None,
    ) -> None:
        if not isinstance(dataset, IndexedDataset):
            raise SampleError(
                f"dataset is a {type(dataset).__name__}; expected an IndexedDataset; pass IndexedDataset(prefix)"
            )
        if not isinstance(vocab, Vocab):
            raise SampleError(f"vocab is a {type(vocab).__name__}; expected a Vocab; pass Vocab.from_tokenizer(path)")
        self.dataset, self.vocab, self.engine = dataset, vocab, checked_engine(engine)
        self.max_seq_length = integer(max_seq_length, "max_seq_length", specials + 1)
        self.seed = integer(seed, "seed", None)
        self.replacement_ids = checked_replacements(replacement_ids, vocab)
        special_ids: dict[str, Any] = {
            name: ABSENT if id_ is None else id_
            for name, id_ in (("cls_id", vocab.cls_id), ("sep_id", vocab.sep_id), ("mask_id", vocab.mask_id))
        }
        try:
            self.masking = MaskingSettings(**special_ids, **masking)
        except ValueError as error:
            raise SampleError(f"{error}; correct it") from error
        room = f"a sample has max_seq_length {max_seq_length} entries, {specials} of them special"
        self.limits = Limits(dataset.prefix, len(dataset), self.max_seq_length - specials, room)
        self.sample_map = check_map(sample_map, self.limits)
        self._generators = threading.local()

    @abstractmethod
    def _assemble(self, index: int, drawing: Drawing) -> tuple[Sample, int]:
        """The twin: the sample at `index` (checked, from 0), and how many entries of its text are in use."""

    @abstractmethod
    def _native_batch(self) -> Callable[[Any, Ids, Batch, int, Drawing], int]:
        """The function of maskgen.samples.native that fills batches of this kind."""

    def _write_rest(self, out: Batch, row: int, length: int, masked: int) -> None:
        """Write what only batches of this kind have."""

    def __len__(self) -> int:
        return len(self.sample_map)

    def sample(self, index: int | np.integer[Any], *, epoch: int = 0, rate: float | None = None) -> Sample:
        """One sample, with the masks of an epoch, and another share of masked tokens than `masked_lm_prob`."""
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"sample {number} of {len(self)}")
        before = lost_page_count()
        drawing = self._drawing(epoch, rate)
        make = self._twin_sample if self.engine == "reference" else self._native_sample
        try:
            return make(number % len(self), drawing)
        finally:
            self._check_pages(before)

    def _twin_sample(self, index: int, drawing: Drawing) -> Sample:
        return self._assemble(index, drawing)[0]

    def _native_sample(self, index: int, drawing: Drawing) -> Sample:
        """A batch of one: a tenth of the time that the twin takes."""
        out: Batch = {field.name: np.empty(field.shape(1), np.int64) for field in self.fields}
        self._native_batch()(self, np.array([index]), out, 1, drawing)
        return {name: out[name][0] for name in self.keys}

    def notes(self, index: int, *, epoch: int = 0) -> Notes:
        """What the masking of sample `index` (from 0) drew; from the twin, whatever the engine."""
        notes = Notes()
        self._assemble(index, replace(self._drawing(epoch, None), notes=notes))
        return notes

    def batch(
        self,
        indices: Iterable[int] | npt.NDArray[Any],
        out: Batch | None = None,
        threads: int = 1,
        *,
        epoch: int = 0,
        rate: float | None = None,
    ) -> Batch:
        """The samples at `indices`, stacked: new arrays, or `out`, from `allocate` or of the same make.

        Sample `i` of epoch `e` draws what sample ``i + e * len(samples)`` of a mapping that goes on would draw. `rate`
        takes the place of `masked_lm_prob` in this call. The result does not depend on `threads`. Packed arrays come
        back as views of what is in use.
        """
        drawing = self._drawing(epoch, rate)
        chosen = checked_indices(indices, len(self))
        threads = thread_count(threads, len(chosen))
        out = self.allocate(len(chosen)) if out is None else checked_out(self.fields, out, len(chosen))
        before = lost_page_count()
        fill = fill_by_twin if self.engine == "reference" else self._native_batch()
        try:
            masked = fill(self, chosen, out, threads, drawing)
        finally:
            self._check_pages(before)
        return in_use(self.fields, out, masked)

    def describe(self) -> dict[str, Any]:
        """All that these samples are a function of, as JSON: two objects that say the same give the same bits."""
        masking = asdict(self.masking)
        ids = {name: masking.pop(name) for name in ("cls_id", "sep_id", "mask_id")}
        own = {"max_seq_length": self.max_seq_length, **self._own_options()}
        masking["masked_lm_prob"] = float(masking["masked_lm_prob"])
        description = {
            "scheme": self.scheme,
            "scheme_version": VERSION,
            "seed": self.seed,
            "options": {**own, **masking, **ids, "replacement_ids": array_digest(self.replacement_ids)},
            "vocab": vocab_digest(self.vocab),
            "rows": {"kind": "sentences", "samples": len(self), "mapping": array_digest(self.sample_map)},
            "data": dataset_identity(self.dataset),
        }
        result: dict[str, Any] = plain(description)
        return result

    @abstractmethod
    def _own_options(self) -> dict[str, Any]:
        """The options that only this kind of samples has, for `describe`."""

    def _generator(self) -> np.random.RandomState:
        """The generator of this thread; after a sample, in the state that the sample left."""
        generator: np.random.RandomState | None = getattr(self._generators, "own", None)
        if generator is None:
            generator = self._generators.own = np.random.RandomState(0)
        return generator

    def _drawing(self, epoch: int, rate: float | None) -> Drawing:
        masking = self.masking
        try:
            if rate is not None:
                masking = replace(masking, masked_lm_prob=rate)
        except ValueError as error:
            raise SampleError(f"rate: {error}; correct it") from error
        return Drawing(integer(epoch, "epoch", 0), masking)

    def _seeded(self, index: int, drawing: Drawing) -> np.random.RandomState:
        generator = self._generator()
        # 1.3 us, where making one costs 67
        generator.seed((self.seed + index + drawing.epoch * len(self)) % 2**32)
        return generator

    def _row(self, index: int) -> tuple[int, int, int]:
        first, last, target = self.sample_map[index].tolist()
        self.limits.check_row(index, first, last, target)
        return first, last, target

    def _tokens(self, first: int, last: int) -> Ids:
        """The tokens of some sentences, one after the other; an error where one is not in the vocabulary."""
        tokens: Ids = np.concatenate(self.dataset[first:last], dtype=np.int64)
        # As unsigned, so that one comparison finds negative ids, too.
        if tokens.size and tokens.view(np.uint64).max() >= len(self.vocab):
            ends = self.dataset.sequence_lengths[first:last].cumsum(dtype=np.int64)
            place = int(np.argmax(tokens.view(np.uint64) >= len(self.vocab)))
            raise SampleError(
                f"{self.dataset.prefix}: sequence {first + int(np.searchsorted(ends, place, side='right'))} holds the "
                f"id {tokens[place]}; expected ids below {len(self.vocab)}, the vocabulary of {self.vocab.name}; use "
                "the tokenizer that this dataset was made with"
            )
        return tokens

    def _masked(self, tokens: Ids, target: int, rng: np.random.RandomState, drawing: Drawing) -> MaskedLmPredictions:
        masking, notes = drawing.masking, drawing.notes or Notes()
        cap = masking.masked_lm_prob * target
        starts = self.vocab.word_starts
        notes.predictions = predict_row(tokens, starts, masking, cap, self.replacement_ids, rng, notes.drawn)
        return notes.predictions

    def seeds(self, indices: Ids, epoch: int = 0) -> npt.NDArray[np.uint32]:
        """The seed of each sample: (seed + index) mod 2^32, where indices go on from epoch to epoch."""
        return ((indices + (self.seed + epoch * len(self)) % 2**32) % 2**32).astype(np.uint32)

    def token_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The dataset's maps, as the kernel reads them."""
        dataset = self.dataset
        pointers, lengths = dataset.sequence_pointers, dataset.sequence_lengths
        return {"tokens": dataset.tokens, "pointers": pointers, "lengths": lengths}

    def _check_pages(self, before: int) -> None:
        """Whatever was made of a lost page, or failed over its zeros, is the fault of the page."""
        if lost_page_count() > before:
            raise IndexedDatasetError(
                self.dataset.prefix, "memory map", "a page that its file no longer has (zeros were read in its place)",
                "files (.bin, .idx, mapping) that keep their size while they are mapped",
                "restore the file and ask for these samples again",
            )  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name not in ("_generators", "last_builder")}
        state["sample_map"] = MapFile.of(self.sample_map) or self.sample_map
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if isinstance(self.sample_map, MapFile):
            self.sample_map = self.sample_map.open()
        self._generators = threading.local()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.dataset.prefix!r}: {len(self)} samples, seed {self.seed})"


def fill_by_twin(samples: Samples, indices: Ids, out: Batch, _threads: int, drawing: Drawing) -> int:
    """Fill `out` sample by sample: what every faster way has to equal. Returns the number of masked tokens."""
    masked = 0
    for row, index in enumerate(indices.tolist()):
        sample, length = samples._assemble(index, drawing)
        for name, value in sample.items():
            out[name][row] = value
        places = np.flatnonzero(sample["loss_mask"])
        end = masked + len(places)
        out["masked_positions"][masked:end] = places + row * len(sample["loss_mask"])
        out["masked_labels"][masked:end] = sample["labels"][places]
        out["masked_counts"][row] = len(places)
        out["lengths"][row] = length
        samples._write_rest(out, row, length, len(places))
        masked = end
    return masked


def padded(values: Sequence[int] | Ids, width: int, filler: int) -> Ids:
    """An int64 array of `width` that begins with `values`."""
    array = np.full(width, filler, np.int64)
    array[: len(values)] = values
    return array
