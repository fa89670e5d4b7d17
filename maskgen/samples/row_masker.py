"""Masks on rows of tokens that the caller has: no dataset, no mapping, one native call a batch.

tokens [B, L], lengths, seeds --mask each row from its own seed--> text, labels, loss_mask, packed predictions
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen import _native
from maskgen.masking import MaskedLmPredictions
from maskgen.masking.native import native_settings
from maskgen.masking.reference import predict_row
from maskgen.masking.settings import MaskingSettings, as_number
from maskgen.samples.arrays import Batch, Field, allocate, checked_out, in_use
from maskgen.samples.checks import checked_engine, checked_replacements, integer, integers, thread_count
from maskgen.samples.errors import SampleError
from maskgen.vocab import Vocab


class RowMasker:
    """Masks rows of up to `max_seq_length` tokens with Megatron-LM's options: ``RowMasker(vocab, ...).batch(...)``.

    A row's mask is a function of its tokens and its seed alone. `max_predictions` caps what is masked in a row, may be
    a fraction, and is the share itself by default: the predictions of create_masked_lm_predictions with
    ``numpy.random.RandomState(seed)``. [CLS] and [SEP] are never masked.
    """

    def __init__(
        self,
        vocab: Vocab,
        *,
        max_seq_length: int,
        masked_lm_prob: float = 0.15,
        max_predictions: float | None = None,
        engine: str = "native",
        max_ngrams: int = 3,
        do_whole_word_mask: bool = True,
        favor_longer_ngram: bool = False,
        do_permutation: bool = False,
        geometric_dist: bool = False,
        masking_style: str = "bert",
        replacement_ids: Sequence[int] | npt.NDArray[Any] | None = None,
    ) -> None:
        checked_engine(engine)
        if max_predictions is not None and not as_number(max_predictions) >= 0:
            raise SampleError(f"max_predictions is {max_predictions!r}; expected a number from 0 on; correct it")
        if not isinstance(vocab, Vocab):
            raise SampleError(f"vocab is a {type(vocab).__name__}; expected a Vocab; pass Vocab.from_tokenizer(path)")
        cls_id, sep_id, mask_id, self._pad = vocab.ids("cls", "sep", "mask", "pad")
        self.vocab, self.engine = vocab, engine
        self.masking = MaskingSettings(
            masked_lm_prob,
            cls_id,
            sep_id,
            mask_id,
            max_ngrams,
            bool(do_whole_word_mask),
            bool(favor_longer_ngram),
            bool(do_permutation),
            bool(geometric_dist),
            masking_style,
        )
        self.max_predictions = max_predictions
        self.replacement_ids = checked_replacements(replacement_ids, vocab)
        width, largest = integer(max_seq_length, "max_seq_length", 1), len(vocab) - 1
        self.max_seq_length = width
        self.fields = (
            Field("text", "row", width, 0, largest),
            Field("labels", "row", width, -1, largest),
            Field("loss_mask", "row", width, 0, 1),
            Field("masked_positions", "packed", width, 0, None),
            Field("masked_labels", "packed", width, 0, largest),
            Field("masked_counts", "number", width, 0, width),
        )
        self._kernel = _native.SampleBuilder(
            masking=native_settings(self.masking, self.replacement_ids),
            starts=vocab.word_starts,
            pad_id=self._pad,
            bos_id=self._pad,
            eos_id=self._pad,
            sentinels=np.empty(0, np.int32),
            binary_head=False,
        )

    def allocate(self, batch_size: int, dtypes: Any = None) -> Batch:
        """Arrays to pass to `batch` as `out`, again and again: int64, or of the types that `dtypes` names."""
        return allocate(self.fields, integer(batch_size, "batch_size", 0), dtypes)

    def batch(
        self,
        tokens: npt.NDArray[Any],
        seeds: Sequence[int] | npt.NDArray[Any],
        lengths: Sequence[int] | npt.NDArray[Any] | None = None,
        out: Batch | None = None,
        threads: int = 1,
    ) -> Batch:
        """Mask each row of `tokens` (its first ``lengths[row]`` tokens; all by default) from its seed.

        The arrays have `max_seq_length` columns, padded. The result does not depend on `threads`.
        """
        tokens = np.asarray(tokens)
        if tokens.ndim != 2 or tokens.dtype.kind not in "iu" or tokens.shape[1] > self.max_seq_length:
            raise SampleError(
                f"tokens are {tokens.dtype} of the shape {tokens.shape}; expected integers in rows of at most "
                f"max_seq_length {self.max_seq_length}; cut the rows, or raise it"
            )
        if not tokens.dtype.isnative or tokens.dtype == np.uint64:  # which the kernel does not read
            tokens = tokens.astype(np.int64)
        tokens = np.ascontiguousarray(tokens)
        count = len(tokens)
        used = np.full(count, tokens.shape[1]) if lengths is None else integers(lengths, "lengths", count)
        starts = integers(seeds, "seeds", count)
        if count and not 0 <= used.min() <= used.max() <= tokens.shape[1]:
            raise SampleError(
                f"lengths are from {used.min()} to {used.max()}; expected 0 to the {tokens.shape[1]} columns of tokens"
            )
        starts = (starts & 0xFFFFFFFF).astype(np.uint32)
        out = self.allocate(count) if out is None else checked_out(self.fields, out, count)
        fill = self._fill if self.engine == "native" else self._fill_by_twin
        masked = fill(tokens, used, starts, out, thread_count(threads, count))
        return in_use(self.fields, out, masked)

    def _fill(
        self, tokens: npt.NDArray[Any], lengths: npt.NDArray[Any], seeds: npt.NDArray[Any], out: Batch, threads: int
    ) -> int:
        caps = np.array([self._cap(length) for length in lengths.tolist()], np.float64)
        failed, masked, _ = self._kernel.plain_batch(
            tokens=tokens, lengths=lengths, max_predictions=caps, seeds=seeds, out=out, threads=threads
        )
        if failed >= 0:
            self._mask(tokens[failed, : lengths[failed]], np.random.RandomState(seeds[failed]), failed)
            raise RuntimeError(f"row {failed} could not be masked natively; please report this")
        return masked

    def _fill_by_twin(
        self, tokens: npt.NDArray[Any], lengths: npt.NDArray[Any], seeds: npt.NDArray[Any], out: Batch, _threads: int
    ) -> int:
        rng = np.random.RandomState(0)
        masked = 0
        for row, (length, seed) in enumerate(zip(lengths.tolist(), seeds.tolist(), strict=True)):
            rng.seed(seed)
            predictions = self._mask(tokens[row, :length], rng, row)
            places, end = np.array(predictions.positions, np.int64), masked + len(predictions.positions)
            for name, filler in (("text", self._pad), ("labels", -1), ("loss_mask", 0)):
                out[name][row] = filler
            out["text"][row, :length] = predictions.tokens
            out["labels"][row, places] = predictions.labels
            out["loss_mask"][row, places] = 1
            out["masked_positions"][masked:end] = places + row * self.max_seq_length
            out["masked_labels"][masked:end] = predictions.labels
            out["masked_counts"][row] = len(places)
            masked = end
        return masked

    def _mask(self, tokens: npt.NDArray[Any], rng: np.random.RandomState, row: int) -> MaskedLmPredictions:
        cap = self._cap(len(tokens))
        try:
            return predict_row(tokens, self.vocab.word_starts, self.masking, cap, self.replacement_ids, rng)
        except ValueError as error:
            raise SampleError(f"row {row}: {error}") from error

    def _cap(self, length: int) -> float:
        return float(length) if self.max_predictions is None else float(self.max_predictions)
