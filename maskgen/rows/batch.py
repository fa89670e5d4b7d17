"""A batch of rows: tokens in a matrix, and what attention within documents needs to know about them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.rows.pieces import Pieces
from maskgen.samples.arrays import Field, allocate, checked_out
from maskgen.samples.errors import SampleError

Matrix = npt.NDArray[Any]


@dataclass(frozen=True)
class RowBatch:
    """Rows of tokens, padded at their ends.

    Entry (b, i) belongs to piece ``document_ids[b, i]`` of its row, counted from 0, and is entry ``positions[b, i]`` of
    that piece; in padding these are -1 and 0. Both are None where they were not asked for. The pieces of all rows, laid
    end to end without padding, are ``cumulative_lengths[p]`` to ``cumulative_lengths[p + 1]``, as attention kernels for
    sequences of different lengths take them; `pieces` says where each comes from.
    """

    tokens: Matrix
    lengths: Matrix
    document_ids: Matrix | None
    positions: Matrix | None
    cumulative_lengths: npt.NDArray[np.int32]
    pieces: Pieces

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def longest(self) -> int:
        """The largest length of a piece, which kernels for ``cumulative_lengths`` ask for, too."""
        return int(np.diff(self.cumulative_lengths).max(initial=0))

    @property
    def padding_mask(self) -> npt.NDArray[np.bool_]:
        """True where there is no padding."""
        mask: npt.NDArray[np.bool_] = np.arange(self.tokens.shape[1]) < self.lengths[:, None]
        return mask

    def unpadded(self, array: Matrix | None = None) -> Matrix:
        """The rows of `array`, by default of `tokens`, end to end without padding."""
        return (self.tokens if array is None else array)[self.padding_mask]


def fields_of(seq_length: int, largest_id: int, documents: bool) -> tuple[Field, ...]:
    """The arrays that a call writes into."""
    fields = (Field("tokens", "row", seq_length, 0, largest_id), Field("lengths", "number", seq_length, 0, seq_length))
    if not documents:
        return fields
    return (
        *fields,
        Field("document_ids", "row", seq_length, -1, seq_length),
        Field("positions", "row", seq_length, 0, seq_length),
    )


def new_arrays(seq_length: int, size: int, dtype: np.dtype[Any], largest_id: int, documents: bool) -> dict[str, Matrix]:
    """Arrays for a batch of that size."""
    fields = fields_of(seq_length, largest_id, documents)
    return allocate(fields, size, {field.name: dtype for field in fields})


def arrays_of(out: object, seq_length: int, size: int, largest_id: int) -> dict[str, Matrix]:
    """The arrays of `out`, checked: any that `allocate` could have made."""
    if not isinstance(out, RowBatch):
        raise SampleError(f"out is a {type(out).__name__}; expected a RowBatch; take it from allocate({size})")
    if (out.document_ids is None) != (out.positions is None):
        raise SampleError(f"out has one of document_ids and positions; expected both or neither; allocate({size})")
    arrays = {"tokens": out.tokens, "lengths": out.lengths}
    if out.document_ids is not None and out.positions is not None:
        arrays |= {"document_ids": out.document_ids, "positions": out.positions}
    checked_out(fields_of(seq_length, largest_id, out.document_ids is not None), arrays, size)
    for name, array in arrays.items():
        if array.dtype not in (np.int32, np.int64):
            raise SampleError(f"out.{name} is {array.dtype}; expected int32 or int64; take it from allocate({size})")
    return arrays


def cumulative(pieces: Pieces) -> npt.NDArray[np.int32]:
    """Where each piece starts when all of them are laid end to end, and where the last one ends."""
    ends = np.zeros(len(pieces) + 1, np.int64)
    np.cumsum(pieces.lengths, out=ends[1:])
    if ends[-1] > np.iinfo(np.int32).max:
        raise SampleError(
            f"a batch of {ends[-1]} tokens; expected at most {np.iinfo(np.int32).max}, since cumulative lengths are "
            "32-bit numbers; ask for fewer rows at once"
        )
    return ends.astype(np.int32)
