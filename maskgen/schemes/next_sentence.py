"""Next-sentence prediction as Google's BERT has it, with the masks of any scheme that leaves tokens in their places.

dataset, sample mapping --PairRows--> [CLS] A [SEP] B [SEP] --scheme--> text, types, is_random, labels, ...
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.samples.arrays import Batch, Field
from maskgen.samples.errors import SampleError
from maskgen.schemes.base import checked_share
from maskgen.schemes.draws import Draws
from maskgen.schemes.pairs import PairBatch, PairRows
from maskgen.schemes.samples import SchemeSamples
from maskgen.vocab import Ids, Vocab
from preprocess import IndexedDataset


class NextSentenceSamples(SchemeSamples):
    """Pairs for the next-sentence head: B follows A, or comes from another document (``is_random`` 1, half of them).

    Like BertSamples, on a dataset with one sentence a sequence and the mapping of build_mapping. A is the first
    sentences up to a pivot. A random B starts at a sentence of another document, both drawn evenly, and goes on until
    A and B have the row's target, or to the document's end; rows of one sentence always get one. Pairs longer than
    max_seq_length less 3 lose tokens of the longer part, at its front or its end. The masks are those of `scheme`
    (encoders' schemes only), which also has the `options`. BertSamples has sentence-order prediction.
    """

    def __init__(
        self,
        dataset: IndexedDataset,
        sample_map: npt.ArrayLike,
        vocab: Vocab,
        *,
        max_seq_length: int,
        scheme: str = "roberta",
        seed: int = 1234,
        random_share: float = 0.5,
        **options: Any,
    ) -> None:
        if options.get("documents"):
            raise SampleError("documents=True with pairs, which have types instead; expected False; leave it out")
        share = checked_share(random_share, "random_share")
        self.pairs = PairRows(dataset, sample_map, vocab, max_seq_length, share)
        super().__init__(self.pairs, vocab, scheme, seed=seed, **options)
        if not any(field.name == "text" for field in self.fields):
            raise SampleError(f"pairs with {scheme}, which moves tokens; expected a scheme that leaves them in place")
        self.fields += (
            Field("types", "row", self.pairs.seq_length, 0, 1),
            Field("is_random", "number", 1, 0, 1),
            Field("truncated", "number", 1, 0, 1),
        )

    def describe(self) -> dict[str, Any]:
        """The identity of these samples, as JSON holds it."""
        return {**super().describe(), "scheme": f"next-sentence/{self.scheme.name}"}

    def _rows(self, indices: Ids, draws: Draws, _threads: int) -> PairBatch:
        return self.pairs.pairs(indices, draws)

    def _write_rest(self, batch: Batch, rows: PairBatch) -> None:
        for name in ("types", "is_random", "truncated"):
            batch[name][...] = np.asarray(getattr(rows, name))
