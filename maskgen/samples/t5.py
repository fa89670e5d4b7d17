"""T5's samples: spans of a text replaced by sentinels, and the spans to predict.

sentences --concatenate, cut--> tokens --mask--> spans --close at gaps--> text_enc, text_dec, labels, masks
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.masking import MaskedSpan
from maskgen.samples import native
from maskgen.samples.arrays import Batch, decoder_fields
from maskgen.samples.base import Drawing, Samples, padded
from maskgen.samples.by_index import Sample
from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError
from maskgen.vocab import Ids, Vocab
from preprocess import IndexedDataset


class T5Samples(Samples):
    """Samples with corrupted spans for encoders and decoders, as Megatron-LM makes them.

    The encoder reads the text with a sentinel for each span; the decoder reads its start token, then each sentinel and
    its span, and predicts the same one place earlier, up to the end token. Samples have the keys text_enc, text_dec,
    labels (-1 in the padding), loss_mask and truncated.

    Spans that touch are not merged. A span that jumps over a [CLS] or [SEP] inside of the text is closed there and goes
    on with a new sentinel; Megatron-LM loses that id.
    """

    scheme = "t5"
    keys = ("text_enc", "text_dec", "labels", "loss_mask", "truncated")

    def __init__(
        self,
        dataset: IndexedDataset,
        sample_map: npt.ArrayLike,
        vocab: Vocab,
        *,
        max_seq_length: int,
        max_seq_length_dec: int,
        masked_lm_prob: float = 0.15,
        seed: int = 1234,
        engine: str = "native",
        max_ngrams: int = 10,
        do_whole_word_mask: bool = True,
        favor_longer_ngram: bool = False,
        geometric_dist: bool = True,
    ) -> None:
        super().__init__(
            dataset,
            sample_map,
            vocab,
            max_seq_length=max_seq_length,
            specials=0,
            seed=seed,
            engine=engine,
            masking={
                "masked_lm_prob": masked_lm_prob,
                "max_ngrams": max_ngrams,
                "do_whole_word_mask": bool(do_whole_word_mask),
                "favor_longer_ngram": bool(favor_longer_ngram),
                "geometric_dist": bool(geometric_dist),
                "masking_style": "t5",
            },
            replacement_ids=None,
        )
        self._bos, self._eos, self._pad = vocab.ids("bos", "eos", "pad")
        vocab.require("sentinels")
        self.max_seq_length_dec = integer(max_seq_length_dec, "max_seq_length_dec", 1)
        self.fields = decoder_fields(len(vocab) - 1, self.max_seq_length, self.max_seq_length_dec)

    def _own_options(self) -> dict[str, Any]:
        return {"max_seq_length_dec": self.max_seq_length_dec}

    def _native_batch(self) -> Callable[["T5Samples", Ids, Batch, int, Drawing], int]:
        return native.t5_batch

    def _assemble(self, index: int, drawing: Drawing) -> tuple[Sample, int]:
        first, last, target = self._row(index)
        rng = self._seeded(index, drawing)
        tokens = self._tokens(first, last)
        truncated = len(tokens) > target
        tokens = tokens[:target]
        runs = list(closed_at_gaps(self._masked(tokens, target, rng, drawing).spans))
        self._check_room(index, runs)
        text: list[int] = []
        targets: list[int] = []
        plain, done = tokens.tolist(), 0
        for sentinel, (begin, end) in zip(self.vocab.sentinel_ids, runs, strict=False):
            text += [*plain[done:begin], sentinel]
            targets += [sentinel, *plain[begin:end]]
            done = end
        text += plain[done:]
        width = self.max_seq_length_dec
        sample = {
            "text_enc": padded(text, self.max_seq_length, self._pad),
            "text_dec": padded([self._bos, *targets], width, self._pad),
            "labels": padded([*targets, self._eos], width, -1),
            "loss_mask": padded(np.ones(len(targets) + 1, np.int64), width, 0),
            "truncated": np.int64(truncated),
        }
        return sample, len(text)

    def _check_room(self, index: int, runs: list[tuple[int, int]]) -> None:
        have = len(self.vocab.sentinel_ids)
        if len(runs) > have:
            raise SampleError(
                f"{self.dataset.prefix}: sample {index} needs {len(runs)} sentinels and {self.vocab.name} has {have}; "
                "give the vocabulary more sentinel_ids, or lower masked_lm_prob or max_seq_length"
            )
        needed = sum(end - begin for begin, end in runs) + len(runs) + 1
        if needed > self.max_seq_length_dec:
            raise SampleError(
                f"{self.dataset.prefix}: sample {index} needs {needed} entries for its decoder and max_seq_length_dec "
                f"is {self.max_seq_length_dec}; raise it, or lower masked_lm_prob"
            )

    def _write_rest(self, out: Batch, row: int, length: int, masked: int) -> None:
        out["padding_mask"][row] = np.arange(self.max_seq_length) < length
        out["lengths_dec"][row] = masked


def closed_at_gaps(spans: Sequence[MaskedSpan]) -> Iterator[tuple[int, int]]:
    """The runs of neighbouring places in each span, as (begin, end): one a span, more where it jumps over an id."""
    for places, _ in spans:
        begin = places[0]
        for place, following in zip(places, [*places[1:], -1], strict=True):
            if following != place + 1:
                yield begin, place + 1
                begin = following
