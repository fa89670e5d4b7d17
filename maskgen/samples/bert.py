"""BERT's samples: one or two runs of sentences with words masked in them, and the order of the two to predict.

sentences --pivot, swap--> A, B --truncate--> [CLS] A [SEP] B [SEP] --mask--> text, types, labels, masks

Each step draws from the sample's generator in Megatron-LM's order, so the arrays are Megatron-LM's.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.samples import native
from maskgen.samples.arrays import Batch, Field
from maskgen.samples.base import Drawing, Samples, padded
from maskgen.samples.by_index import Sample
from maskgen.samples.errors import SampleError
from maskgen.vocab import Ids, Vocab
from preprocess import IndexedDataset

SPECIALS_OF_PAIR, SPECIALS_OF_ONE = 3, 2


class BertSamples(Samples):
    """Masked samples for BERT, from a dataset with one sentence a sequence and the mapping of build_mapping.

    With `binary_head`, sentences are split into A and B and in half of the samples the two are swapped:
    ``is_random`` is 1 for these. It is the target of the next-sentence head, and since both parts come from the same
    document it is sentence-order prediction (SOP) at the same time: Megatron-LM has one target for both. Without it
    all sentences are A. Samples have the keys text, types, labels (-1 where nothing is to be predicted), loss_mask,
    padding_mask, is_random and truncated.

    `replacement_ids` are what a random replacement is drawn from: every id by default, as in Megatron-LM, special ones
    too; ``vocab.ordinary_ids`` leaves those out.
    """

    scheme = "bert"
    keys = ("text", "types", "labels", "is_random", "loss_mask", "padding_mask", "truncated")

    def __init__(
        self,
        dataset: IndexedDataset,
        sample_map: npt.ArrayLike,
        vocab: Vocab,
        *,
        max_seq_length: int,
        masked_lm_prob: float = 0.15,
        seed: int = 1234,
        binary_head: bool = True,
        engine: str = "native",
        max_ngrams: int = 3,
        do_whole_word_mask: bool = True,
        favor_longer_ngram: bool = False,
        do_permutation: bool = False,
        geometric_dist: bool = False,
        masking_style: str = "bert",
        replacement_ids: Sequence[int] | npt.NDArray[Any] | None = None,
    ) -> None:
        super().__init__(
            dataset,
            sample_map,
            vocab,
            max_seq_length=max_seq_length,
            specials=SPECIALS_OF_PAIR if binary_head else SPECIALS_OF_ONE,
            seed=seed,
            engine=engine,
            masking={
                "masked_lm_prob": masked_lm_prob,
                "max_ngrams": max_ngrams,
                "do_whole_word_mask": bool(do_whole_word_mask),
                "favor_longer_ngram": bool(favor_longer_ngram),
                "do_permutation": bool(do_permutation),
                "geometric_dist": bool(geometric_dist),
                "masking_style": masking_style,
            },
            replacement_ids=replacement_ids,
        )
        self._cls, self._sep, self._pad = vocab.ids("cls", "sep", "pad")
        vocab.require("mask")
        self.binary_head = bool(binary_head)
        width, largest = self.max_seq_length, len(vocab) - 1
        self.fields = (
            Field("text", "row", width, 0, largest),
            Field("types", "row", width, 0, max(1, self._pad)),
            Field("labels", "row", width, -1, largest),
            Field("padding_mask", "row", width, 0, 1),
            Field("loss_mask", "row", width, 0, 1),
            Field("is_random", "number", width, 0, 1),
            Field("truncated", "number", width, 0, 1),
            Field("lengths", "number", width, 0, width),
            Field("masked_positions", "packed", width, 0, None),
            Field("masked_labels", "packed", width, 0, largest),
            Field("masked_counts", "number", width, 0, width),
        )

    def _own_options(self) -> dict[str, Any]:
        return {"binary_head": self.binary_head}

    def _native_batch(self) -> Callable[["BertSamples", Ids, Batch, int, Drawing], int]:
        return native.bert_batch

    def _assemble(self, index: int, drawing: Drawing) -> tuple[Sample, int]:
        first, last, target = self._row(index)
        rng = self._seeded(index, drawing)
        tokens = self._tokens(first, last)
        pivot, swap = self._split(index, first, last, rng)
        a, b = (tokens[pivot:], tokens[:pivot]) if swap else (tokens[:pivot], tokens[pivot:])
        surplus = len(tokens) - target
        if surplus > 0:
            a, b = truncate(a, b, rng.random_sample(surplus))
        end = np.array([self._sep])
        whole = np.concatenate(([self._cls], a, end, b, end[: len(b)]), dtype=np.int64)
        predictions = self._masked(whole, target, rng, drawing)
        width, length = self.max_seq_length, len(whole)
        labels = np.full(width, -1, np.int64)
        loss_mask = np.zeros(width, np.int64)
        labels[predictions.positions] = predictions.labels
        loss_mask[predictions.positions] = 1
        sample = {
            "text": padded(predictions.tokens, width, self._pad),
            "types": padded(np.repeat((0, 1), (len(a) + 2, length - len(a) - 2)), width, self._pad),
            "labels": labels,
            "is_random": np.int64(swap),
            "loss_mask": loss_mask,
            "padding_mask": padded(np.ones(length, np.int64), width, 0),
            "truncated": np.int64(surplus > 0),
        }
        return sample, length

    def _split(self, index: int, first: int, last: int, rng: np.random.RandomState) -> tuple[int, bool]:
        """How many tokens are before the pivot, and whether the two parts are swapped."""
        sentences = last - first
        if not self.binary_head:
            return int(self.dataset.sequence_lengths[first:last].sum()), False
        if sentences < 2:
            raise SampleError(
                f"{self.dataset.prefix}: sample {index} has the one sentence {first}; expected at least 2 for a "
                "binary head; build the mapping with min_num_sent=2, or pass binary_head=False"
            )
        pivot = int(rng.randint(1, sentences)) if sentences >= 3 else 1
        swap = bool(rng.random_sample() < 0.5)
        return int(self.dataset.sequence_lengths[first : first + pivot].sum()), swap


def truncate(a: Ids, b: Ids, draws: npt.NDArray[np.float64]) -> tuple[Ids, Ids]:
    """Drop a token a draw from the longer part, from `b` if they are equal; at its front for a draw below 1/2."""
    starts, ends = [0, 0], [len(a), len(b)]
    for draw in draws.tolist():
        part = 0 if ends[0] - starts[0] > ends[1] - starts[1] else 1
        if draw < 0.5:
            starts[part] += 1
        else:
            ends[part] -= 1
    return a[starts[0] : ends[0]], b[starts[1] : ends[1]]
