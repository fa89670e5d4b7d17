"""Samples that say who they are, in memory: their arrays hold dataset, epoch, index and rate."""

import numpy as np

from maskgen.samples.arrays import Field, allocate, checked_out

WIDTH = 4


class CountedSamples:
    """Sample i of epoch e: i, e and the dataset's name, a row made of i, and i % (WIDTH + 1) packed entries."""

    def __init__(self, length, name=0, *, options=0, extra=()):
        self.length, self.name, self.options = length, name, options
        self.fields = (
            Field("index", "number", WIDTH, 0, 2**40),
            Field("epoch", "number", WIDTH, 0, 2**40),
            Field("dataset", "number", WIDTH, 0, 2**20),
            Field("rate", "number", WIDTH, 0, 1000),
            Field("row", "row", WIDTH, -1, 2**40),
            Field("places", "packed", WIDTH, 0, None),
            Field("labels", "packed", WIDTH, 0, 2**40),
            *extra,
        )

    def __len__(self):
        return self.length

    def allocate(self, batch_size, dtypes=None):
        return allocate(self.fields, batch_size, dtypes)

    def batch(self, indices, out=None, threads=1, *, epoch=0, rate=None):
        assert threads >= 1
        indices = np.asarray(indices, np.int64)
        if len(indices) and not 0 <= indices.min() <= indices.max() < self.length:
            raise IndexError(f"sample {indices.max()} of {self.length}")
        out = self.allocate(len(indices)) if out is None else checked_out(self.fields, out, len(indices))
        out["index"][:], out["epoch"][:], out["dataset"][:] = indices, epoch, self.name
        out["rate"][:] = 0 if rate is None else round(rate * 1000)
        out["row"][:] = indices[:, None] * 10 + np.arange(WIDTH)
        mask = np.arange(WIDTH) < (indices % (WIDTH + 1))[:, None]
        places = np.flatnonzero(mask)
        out["places"][: len(places)] = places
        out["labels"][: len(places)] = out["row"].ravel()[places]
        return {**out, "places": out["places"][: len(places)], "labels": out["labels"][: len(places)]}

    def describe(self):
        return {"scheme": "counted", "name": self.name, "length": self.length, "options": self.options}


def drawn(batch):
    """(dataset, epoch, index) of each row."""
    return list(zip(batch["dataset"].tolist(), batch["epoch"].tolist(), batch["index"].tolist(), strict=True))


def joined(batches):
    """The batches of all ranks, in order, as one batch."""
    batches = list(batches)
    result = {
        name: np.concatenate([batch[name] for batch in batches])
        for name in batches[0]
        if name not in ("places", "masked_positions")
    }
    name = "places" if "places" in batches[0] else "masked_positions"
    rows, moved = 0, []
    for batch in batches:
        matrix = batch["row" if name == "places" else "labels"]
        moved.append(batch[name] + rows * matrix.shape[1])
        rows += len(matrix)
    return {**result, name: np.concatenate(moved)}


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert np.array_equal(found[name], array), name
