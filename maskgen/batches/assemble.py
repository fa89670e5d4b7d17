"""One batch of samples from several datasets or epochs.

draws --group by dataset and epoch--> samples.batch of each group --rows back to their places--> the arrays of a batch
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.batches.blend import SamplesLike
from maskgen.batches.errors import BatchError
from maskgen.batches.order import Draws
from maskgen.samples.arrays import Batch, Field, checked_out

Ids = npt.NDArray[np.int64]


def views(fields: Sequence[Field], arrays: Mapping[str, npt.NDArray[Any]], size: int) -> Batch:
    """The first parts of `arrays` as the arrays of a batch of `size`."""
    if not isinstance(arrays, Mapping) or any(field.name not in arrays for field in fields):
        return checked_out(fields, arrays, size)  # says what is missing
    return {field.name: arrays[field.name][: field.shape(size)[0]] for field in fields}


class Assembler:
    """Fills arrays with batches of draws from `samples`."""

    def __init__(self, samples: Sequence[SamplesLike]) -> None:
        self.samples = samples
        self.fields = samples[0].fields
        self._named = [(field.name, field) for field in self.fields]
        self._scratch: list[Batch] = []  # one for each thread that is at work

    def fill(self, draws: Draws, out: Batch, threads: int, rate: float | None) -> Batch:
        """The batch of these draws in `out`, arrays of exactly its size; packed arrays come back as what is in use."""
        groups = _groups(draws)
        if len(groups) == 1:
            samples, epoch = self.samples[int(draws.datasets[0])], int(draws.epochs[0])
            return samples.batch(draws.indices, out=out, threads=threads, epoch=epoch, rate=rate)
        if not groups:
            return self.samples[0].batch([], out=out, threads=threads, rate=rate)
        if any(name not in out or out[name].shape != field.shape(len(draws)) for name, field in self._named):
            checked_out(self.fields, out, len(draws))  # says what is wrong; types are looked at with each group
        scratch = self._arrays(max(map(len, groups)), out)
        packed: dict[str, list[npt.NDArray[Any]]] = {field.name: [] for field in self.fields if field.kind == "packed"}
        sources: list[Ids] = []  # the row of each packed entry
        for rows in groups:
            batch = self.samples[int(draws.datasets[rows[0]])].batch(
                draws.indices[rows],
                out=views(self.fields, scratch, len(rows)),
                threads=threads,
                epoch=int(draws.epochs[rows[0]]),
                rate=rate,
            )
            for field in self.fields:
                if field.kind != "packed":
                    out[field.name][rows] = batch[field.name]
            if packed:
                sources.append(self._unpack(batch, rows, packed))
        self._scratch.append(scratch)
        result = dict(out)
        if packed:
            order = np.argsort(np.concatenate(sources), kind="stable")
            for name, parts in packed.items():
                result[name] = out[name][: len(order)]
                np.take(np.concatenate(parts), order, out=result[name], mode="clip")
        if "cumulative_lengths" in batch:
            result["cumulative_lengths"] = cumulative_lengths(out)
        return result

    def _unpack(self, batch: Batch, rows: Ids, packed: dict[str, list[npt.NDArray[Any]]]) -> Ids:
        """Keep the packed entries of a group, with places in the whole batch; return the row of each of them."""
        row_of: Ids | None = None
        for field in self.fields:
            if field.kind == "packed":
                values = batch[field.name]
                if field.most is None:
                    row, place = np.divmod(values.astype(np.int64), field.width)
                    row_of = rows[row] if row_of is None else row_of
                    values = (rows[row] * field.width + place).astype(values.dtype)
                packed[field.name].append(values.copy())
        if row_of is None:
            raise BatchError("packed arrays without places; expected one such as masked_positions, which names rows")
        return row_of

    def _arrays(self, size: int, out: Batch) -> Batch:
        """Arrays for a group, of the types of `out`; those of an earlier batch where they are large enough."""
        dtypes = {name: array.dtype for name, array in out.items()}
        try:
            scratch = self._scratch.pop()
        except IndexError:
            scratch = {}
        fits = all(
            field.name in scratch
            and scratch[field.name].dtype == dtypes[field.name]
            and len(scratch[field.name]) >= field.shape(size)[0]
            for field in self.fields
        )
        return scratch if fits else self.samples[0].allocate(size, dtypes)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_scratch": []}


def cumulative_lengths(batch: Batch) -> npt.NDArray[np.int32]:
    """Where each document starts when the rows of a batch are laid end to end without padding, and the end."""
    inside = batch["document_ids"] >= 0
    starts = np.flatnonzero(batch["positions"][inside] == 0)
    return np.append(starts, np.count_nonzero(inside)).astype(np.int32)


def _groups(draws: Draws) -> list[Ids]:
    """The places of the draws of each dataset and epoch."""
    datasets, epochs = draws.datasets, draws.epochs
    if not len(draws):
        return []
    if (datasets == datasets[0]).all() and (epochs == epochs[0]).all():
        return [np.arange(len(draws))]
    order = np.lexsort((epochs, datasets))
    changes = (np.diff(datasets[order]) != 0) | (np.diff(epochs[order]) != 0)
    return np.split(order, np.flatnonzero(changes) + 1)
