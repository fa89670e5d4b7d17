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
from maskgen.masking.settings import MaskingSettings
from maskgen.samples.arrays import Batch
from maskgen.vocab import Ids

ABSENT = -1  # the id of a special token that a vocabulary does not have: equal to no token

if TYPE_CHECKING:
    from maskgen.samples.base import Drawing
    from maskgen.samples.bert import BertSamples
    from maskgen.samples.t5 import T5Samples


def bert_batch(samples: "BertSamples", indices: Ids, out: Batch, threads: int, drawing: "Drawing") -> int:
    """Fill `out` with the samples at `indices` (checked, from 0) and return the number of masked tokens."""
    builder = _builder(samples, drawing.masking)
    return _fill(samples, builder.bert_batch, indices, out, threads, drawing)


def t5_batch(samples: "T5Samples", indices: Ids, out: Batch, threads: int, drawing: "Drawing") -> int:
    """Fill `out` with the samples at `indices` (checked, from 0) and return the number of decoder targets."""
    builder = _builder(samples, drawing.masking)
    return _fill(samples, builder.t5_batch, indices, out, threads, drawing)


def _builder(samples: "BertSamples | T5Samples", masking: MaskingSettings) -> _native.SampleBuilder:
    """The native builder with these samples' settings and that masking; the last one is kept for the next batch."""
    known = samples.last_builder
    if known is not None and known[0] == masking:
        return known[1]
    vocab = samples.vocab
    pad, bos, eos = (ABSENT if id_ is None else id_ for id_ in (vocab.pad_id, vocab.bos_id, vocab.eos_id))
    builder = _native.SampleBuilder(
        masking=native_settings(masking, samples.replacement_ids),
        starts=vocab.word_starts,
        pad_id=pad,
        bos_id=bos,
        eos_id=eos,
        sentinels=np.array(vocab.sentinel_ids, np.int32),
        binary_head=samples.binary_head,
    )
    samples.last_builder = masking, builder
    return builder


def _fill(
    samples: "BertSamples | T5Samples",
    build: Callable[..., Any],
    indices: Ids,
    out: Batch,
    threads: int,
    drawing: "Drawing",
) -> int:
    rows = samples.sample_map[indices].astype(np.int64)
    if len(rows) and not samples.limits.hold(rows):
        for index in indices.tolist():
            samples._assemble(index, drawing)
    failed, masked, _ = build(
        **samples.token_arrays(),
        rows=rows,
        seeds=samples.seeds(indices, drawing.epoch),
        out=out,
        threads=threads,
    )
    if failed >= 0:
        samples._assemble(int(indices[failed]), drawing)
        raise RuntimeError(f"sample {indices[failed]} could not be built natively; please report this")
    return int(masked)
