"""Whole batches in one call of the native kernel.

indices --> rows of the mapping, seeds --> sentences, masking, all arrays --> `out`, and the number of masked tokens

The kernel reads the dataset's memory maps without the interpreter's lock. It does not explain itself: the first row
that it cannot build goes to the twin, which raises the error.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from maskgen import _native
from maskgen.masking.native import native_settings
from maskgen.samples.arrays import Batch
from maskgen.vocab import Ids

if TYPE_CHECKING:
    from maskgen.samples.base import Samples
    from maskgen.samples.bert import BertSamples
    from maskgen.samples.t5 import T5Samples


def bert_batch(samples: "BertSamples", indices: Ids, out: Batch, threads: int) -> int:
    """Fill `out` with the samples at `indices` (checked, from 0) and return the number of masked tokens."""
    return _fill(samples, samples.kernel.bert_batch, indices, out, threads)


def t5_batch(samples: "T5Samples", indices: Ids, out: Batch, threads: int) -> int:
    """Fill `out` with the samples at `indices` (checked, from 0) and return the number of decoder targets."""
    return _fill(samples, samples.kernel.t5_batch, indices, out, threads)


def kernel_for(samples: "Samples", pad_id: int, bos_id: int, eos_id: int, binary_head: bool) -> _native.SampleBuilder:
    """The native builder with these samples' settings."""
    vocab = samples.vocab
    return _native.SampleBuilder(
        masking=native_settings(samples.masking, replacements=samples.replacement_ids),
        starts=vocab.word_starts,
        pad_id=pad_id,
        bos_id=bos_id,
        eos_id=eos_id,
        sentinels=np.array(vocab.sentinel_ids, np.int32),
        binary_head=binary_head,
    )


def _fill(samples: "Samples", build: Callable[..., Any], indices: Ids, out: Batch, threads: int) -> int:
    rows = samples.sample_map[indices].astype(np.int64)
    if len(rows) and not samples.limits.hold(rows):
        for index in indices.tolist():
            samples[index]
    failed, masked, _ = build(
        **samples.token_arrays(),
        rows=rows,
        seeds=samples.seeds(indices),
        out=out,
        threads=threads,
    )
    if failed >= 0:
        samples[int(indices[failed])]
        raise RuntimeError(f"sample {indices[failed]} could not be built natively; please report this")
    return int(masked)
