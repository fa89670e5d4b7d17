"""The stages of a fingerprint, each a small JSON object, in the order in which data flows through them.

tokens      the dataset's files
vocabulary  pieces, special ids, word starts
settings    scheme, its version, seed and every option
rows        which sentences or documents make up each sample, and in which order
samples     the first samples, masks included
batches     which samples, in which order, the batches of some steps hold, and their arrays

So the first stage that differs between two fingerprints names the cause.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from maskgen.fingerprint.batches import batches_stage
from maskgen.fingerprint.digests import FieldDigests, combined
from maskgen.fingerprint.request import Request
from maskgen.fingerprint.tokens import tokens_stage
from maskgen.identity import plain
from maskgen.samples.base import Samples
from maskgen.samples.checks import integer
from maskgen.samples.errors import SampleError
from maskgen.samples.opening import AnySamples
from preprocess import IndexedDataset

STAGES = ("tokens", "vocabulary", "settings", "rows", "samples", "batches")
ROWS, CELLS = 1024, 1 << 20  # most of what is looked at together
Stage = dict[str, Any]


@dataclass(frozen=True)
class Manner:
    """How to compute it. Nothing here changes what comes out, but for `full`, which trusts no sidecar."""

    threads: int = 0
    ranks: int = 1
    full: bool = False
    progress: bool = False


def stages(samples: AnySamples, request: Request, manner: Manner) -> Iterator[tuple[str, Stage]]:
    """Name and content of each stage, computed when it is asked for."""
    integer(manner.threads, "threads", 0)
    integer(manner.ranks, "ranks", 1)
    description = plain(samples.describe())
    yield "tokens", tokens_stage(dataset_of(samples), manner.full, manner.progress)
    yield "vocabulary", {"digest": description["vocab"]}
    yield "settings", {name: description[name] for name in ("scheme", "scheme_version", "seed", "options")}
    yield "rows", description["rows"]
    yield "samples", samples_stage(samples, request.num, manner.threads)
    if request.steps:
        yield (
            "batches",
            batches_stage(
                samples, request.steps, request.batch_size, description["seed"], manner.threads, manner.ranks
            ),
        )


def samples_stage(samples: AnySamples, num: int, threads: int) -> Stage:
    """Digests of the first samples of epoch 0, of each field; and of the first 1, 10, 100 ... of them.

    Packed arrays are left out: they say, for a batch, what the others say for each sample.
    """
    num = min(num, len(samples))
    rows = max(1, min(ROWS, CELLS // max(field.width for field in samples.fields)))
    names = [field.name for field in samples.fields if field.kind != "packed"]
    digests, first, done = FieldDigests(), {}, 0
    for mark in _marks(num):
        while done < mark:
            batch = samples.batch(range(done, min(done + rows, mark)), threads=max(1, threads))
            digests.update({name: batch[name] for name in names})
            done = min(done + rows, mark)
        first[str(mark)] = combined(digests.fields())
    return {"num": num, "fields": digests.fields(), "first": first}


def dataset_of(samples: AnySamples) -> IndexedDataset:
    """The dataset that samples are made of."""
    dataset = samples.dataset if isinstance(samples, Samples) else getattr(samples.rows, "dataset", None)
    if not isinstance(dataset, IndexedDataset):
        raise SampleError("samples without a dataset; expected rows of an IndexedDataset; make them with maskgen.rows")
    return dataset


def _marks(num: int) -> list[int]:
    marks, mark = [], 1
    while mark < num:
        marks.append(mark)
        mark *= 10
    return [*marks, num] if num else []
