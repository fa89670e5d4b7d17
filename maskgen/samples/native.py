"""Whole batches in one call.

indices --> rows, generators, masking, all arrays --> `out`, and the number of masked tokens
"""

from typing import TYPE_CHECKING

from maskgen.samples.arrays import Batch
from maskgen.vocab import Ids

if TYPE_CHECKING:
    from maskgen.samples.bert import BertSamples
    from maskgen.samples.t5 import T5Samples


def bert_batch(samples: "BertSamples", indices: Ids, out: Batch, threads: int) -> int:
    """Fill `out` with the samples at `indices` (checked, from 0) and return the number of masked tokens."""
    from maskgen.samples.base import fill_by_twin

    return fill_by_twin(samples, indices, out, threads)


def t5_batch(samples: "T5Samples", indices: Ids, out: Batch, threads: int) -> int:
    """Fill `out` with the samples at `indices` (checked, from 0) and return the number of decoder targets."""
    from maskgen.samples.base import fill_by_twin

    return fill_by_twin(samples, indices, out, threads)
