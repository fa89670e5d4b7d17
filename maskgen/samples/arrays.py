"""The arrays of a batch: their names, shapes and ranges, and the check that a caller's own arrays can hold them.

Three shapes: one row a sample, one number a sample, and packed, one number a masked token, where an array has room for
all tokens of the batch and its first `masked` entries are in use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.samples.errors import SampleError

Batch = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Field:
    """One array of a batch. `most` is None where values are places in the flattened batch.

    A `real` one holds floating-point numbers, of which no range is checked. Rows with `planes` have that shape instead
    of a width, and `stored` is the type that integers have where nobody asks for another.
    """

    name: str
    kind: str  # "row", "number" or "packed"
    width: int
    least: int
    most: int | None
    real: bool = False
    planes: tuple[int, ...] = ()
    stored: str = "int64"

    def shape(self, size: int) -> tuple[int, ...]:
        """The shape in a batch of `size` samples."""
        if self.kind == "row":
            return size, *(self.planes or (self.width,))
        return (size if self.kind == "number" else size * self.width,)

    def check_type(self, dtype: np.dtype[Any], size: int) -> None:
        """Raise unless each value that can occur fits into `dtype`."""
        if self.real:
            if dtype.kind != "f" or not dtype.isnative:
                raise SampleError(f"{self.name} as {dtype}: expected a floating-point type; leave it at float64")
            return
        most = max(0, size * self.width - 1) if self.most is None else self.most
        if dtype.kind == "b" and (self.least, most) == (0, 1):
            return
        if dtype.kind not in "iu" or not dtype.isnative:
            raise SampleError(
                f"{self.name} as {dtype}: expected integers as this machine writes them; pass such a type, "
                "or leave it at int64"
            )
        limits = np.iinfo(dtype)
        if self.least < limits.min or most > limits.max:
            raise SampleError(
                f"{self.name} as {dtype}: its values are {self.least} to {most}, and the type holds {limits.min} to "
                f"{limits.max}; pass a wider type"
            )


def decoder_fields(largest_id: int, width: int, width_dec: int) -> tuple[Field, ...]:
    """The arrays of samples with an encoder and a decoder."""
    return (
        Field("text_enc", "row", width, 0, largest_id),
        Field("padding_mask", "row", width, 0, 1),
        Field("text_dec", "row", width_dec, 0, largest_id),
        Field("labels", "row", width_dec, -1, largest_id),
        Field("loss_mask", "row", width_dec, 0, 1),
        Field("truncated", "number", width, 0, 1),
        Field("lengths", "number", width, 0, width),
        Field("lengths_dec", "number", width_dec, 0, width_dec),
        Field("masked_positions", "packed", width_dec, 0, None),
        Field("masked_labels", "packed", width_dec, 0, largest_id),
        Field("masked_counts", "number", width_dec, 0, width_dec),
    )


def allocate(fields: Sequence[Field], size: int, dtypes: Mapping[str, npt.DTypeLike] | None) -> Batch:
    """Arrays for batches of `size`: int64, and float64 for reals, where `dtypes` says nothing else."""
    wanted = dict(dtypes or {})
    unknown = sorted(set(wanted) - {field.name for field in fields})
    if unknown:
        raise SampleError(
            f"dtypes names {', '.join(unknown)}; expected arrays of these samples: "
            f"{', '.join(field.name for field in fields)}; correct the names"
        )
    arrays = {}
    for field in fields:
        dtype = np.dtype(wanted.get(field.name, np.float64 if field.real else field.stored))
        field.check_type(dtype, size)
        arrays[field.name] = np.zeros(field.shape(size), dtype)
    return arrays


def in_use(fields: Sequence[Field], arrays: Batch, used: int) -> Batch:
    """The arrays of a batch, packed ones as views of their first `used` entries."""
    packed = {field.name for field in fields if field.kind == "packed"}
    return {name: array[:used] if name in packed else array for name, array in arrays.items()}


def checked_out(fields: Sequence[Field], out: Any, size: int) -> Batch:
    """The arrays of `out`, in a dict of our own that holds them while a kernel writes.

    An error unless they are exactly those of a batch of `size`, and each can be written to as it is.
    """
    arrays: Batch = dict(out) if isinstance(out, Mapping) else {}
    if set(arrays) != {field.name for field in fields}:
        found = ", ".join(map(str, arrays)) or ("nothing" if isinstance(out, Mapping) else f"a {type(out).__name__}")
        raise SampleError(
            f"out has {found}; expected {', '.join(field.name for field in fields)}; take it from allocate({size})"
        )
    for field in fields:
        array = arrays[field.name]
        if not isinstance(array, np.ndarray):
            raise SampleError(
                f"out[{field.name!r}] is a {type(array).__name__}; expected a numpy array; of a tensor in memory of "
                "the host, pass tensor.numpy()"
            )
        if array.shape != field.shape(size):
            raise SampleError(
                f"out[{field.name!r}] has the shape {array.shape}; expected {field.shape(size)} for {size} samples; "
                f"pass what allocate({size}) returned (batch returns views of it)"
            )
        if not (array.flags.c_contiguous and array.flags.writeable and array.flags.aligned):
            raise SampleError(
                f"out[{field.name!r}] is read-only, not contiguous or not aligned; expected an array to write to; "
                f"pass what allocate({size}) returned"
            )
        field.check_type(array.dtype, size)
    _check_apart(fields, arrays)
    return arrays


def _check_apart(fields: Sequence[Field], out: Mapping[str, npt.NDArray[Any]]) -> None:
    """Two arrays on the same memory would overwrite each other. Contiguous ones are apart when their ends are."""
    places = sorted((out[field.name].ctypes.data, out[field.name].nbytes, field.name) for field in fields)
    places = [place for place in places if place[1]]
    for (start, size, name), (following, _, other) in pairwise(places):
        if start + size > following:
            raise SampleError(
                f"out[{name!r}] and out[{other!r}] share memory; expected arrays of their own; take them from allocate"
            )
