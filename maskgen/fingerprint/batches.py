"""The digests of the global batches of some steps, put together from the rows of any number of ranks.

step --BatchSource, one a rank--> each rank's rows --joined--> the global batch --> digests of its order and its arrays
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from maskgen.batches import BatchSource
from maskgen.fingerprint.digests import batch_digest
from maskgen.mapping.arguments import memory_limit
from maskgen.samples.arrays import Batch, Field
from maskgen.samples.errors import SampleError
from maskgen.samples.opening import AnySamples

COPIES = 2  # of a batch: the ranks' parts, and the whole of them
ENDS = "cumulative_lengths"  # where documents end in a batch laid end to end: the one array that is no field


def batches_stage(
    samples: AnySamples, steps: Sequence[int], batch_size: int, seed: int, threads: int, ranks: int
) -> dict[str, Any]:
    """For each step: which samples, of which epochs, in which order; and what is in their arrays."""
    needed = COPIES * 8 * batch_size * sum(math.prod(field.shape(1)) for field in samples.fields)
    if needed > memory_limit():
        raise SampleError(
            f"batch_size is {batch_size}; expected a batch that fits into the {memory_limit()} bytes of this machine, "
            f"and it takes {needed}; lower it"
        )
    sources = [
        BatchSource(samples, batch_size=batch_size, seed=seed, rank=rank, world_size=ranks, threads=max(1, threads))
        for rank in range(ranks)
    ]
    found = {}
    for step in steps:
        draws = sources[0].draws(step * batch_size)
        parts = [source.batch_at(step * batch_size) for source in sources]
        found[str(step)] = {
            "order": batch_digest({"epochs": draws.epochs, "indices": draws.indices}),
            "arrays": batch_digest(joined(parts, samples.fields)),
        }
    order = {name: value for name, value in sources[0].describe().items() if name != "samples"}
    return {"batch_size": batch_size, **order, "steps": found}


def joined(parts: Sequence[Batch], fields: Sequence[Field]) -> Batch:
    """The global batch of the ranks' parts: rows one after the other, places counted from its first row."""
    number = next(field.name for field in fields if field.kind == "number")
    rows = [len(part[number]) for part in parts]
    first = np.concatenate(([0], np.cumsum(rows)))
    whole = {}
    for field in fields:
        arrays = [part[field.name] for part in parts]
        if field.kind == "packed" and field.most is None:
            arrays = [array + row * field.width for array, row in zip(arrays, first.tolist(), strict=False)]
        whole[field.name] = np.concatenate(arrays)
    if ENDS in parts[0]:
        before = np.cumsum([0, *(part[ENDS][-1] for part in parts[:-1])])
        ends = [part[ENDS][1:] + start for part, start in zip(parts, before.tolist(), strict=True)]
        whole[ENDS] = np.concatenate([[0], *ends])
    return whole
