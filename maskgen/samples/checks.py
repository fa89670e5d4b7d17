"""Arguments of samples, checked: each function returns the value in the one form that the rest works with."""

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.samples.errors import SampleError
from maskgen.vocab import Ids, Vocab

ENGINES = ("native", "reference")
MOST_THREADS = 512  # more than the cores of any machine; a system that has no more threads to give is an error


def integer(value: Any, name: str, least: int | None) -> int:
    """`value` as a Python integer, from `least` on."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)) or (least is not None and number < least):
        wanted = "an integer" if least is None else f"an integer from {least} on"
        raise SampleError(f"{name} is {value!r}; expected {wanted}; correct it")
    return number


def checked_engine(name: str) -> str:
    """The name of an engine that exists."""
    if name not in ENGINES:
        raise SampleError(f"engine is {name!r}; expected one of {', '.join(ENGINES)}; correct its name")
    return name


def thread_count(threads: Any, rows: int) -> int:
    """How many threads to start when `threads` are asked for: no more than can be of use."""
    return min(integer(threads, "threads", 1), max(rows, 1), MOST_THREADS)


def integers(values: Sequence[int] | npt.NDArray[Any], name: str, count: int) -> Ids:
    """`count` integers of 64 bits; those of unsigned types keep their low bits."""
    array = np.asarray(values)
    if array.size == 0 and not isinstance(values, np.ndarray):
        array = array.astype(np.int64)  # an empty list has no type of its own
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise SampleError(
            f"{name} are {array.dtype} of the shape {array.shape}; expected an integer of up to 64 bits for each of "
            f"the {count} rows; correct them"
        )
    return array.astype(np.int64)


def checked_indices(indices: Iterable[int] | npt.NDArray[Any], count: int) -> Ids:
    """Indices of a batch, negative ones counted from the end."""
    array = np.asarray(indices if isinstance(indices, (np.ndarray, list, range)) else list(indices))
    if array.size == 0 and array.ndim == 1:
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise SampleError(
            f"indices are {array.dtype} of the shape {array.shape}; expected a sequence of integers; pass such a one"
        )
    least, most = int(array.min()), int(array.max())
    if least < -count or most >= count:
        raise IndexError(f"sample {least if least < -count else most} of {count}")
    chosen = np.ascontiguousarray(array, np.int64)
    return np.where(chosen < 0, chosen + count, chosen) if least < 0 else chosen


def checked_replacements(ids: Sequence[int] | npt.NDArray[Any] | None, vocab: Vocab) -> Ids:
    """The ids that may replace a token: those given, else every id that has a piece."""
    if ids is None:
        return vocab.known_ids
    try:
        array = np.array(ids)
    except ValueError:  # lists of different lengths
        array = np.empty(0, object)
    if array.ndim != 1 or array.dtype.kind not in "iu" or not array.size:
        raise SampleError(
            f"replacement_ids are {array.dtype} of the shape {array.shape}; expected at least one id in one dimension; "
            "pass vocab.ordinary_ids to leave out special tokens"
        )
    if int(array.min()) < 0 or int(array.max()) >= len(vocab):
        wrong = int(array.min()) if int(array.min()) < 0 else int(array.max())
        raise SampleError(
            f"replacement_ids hold {wrong}; expected ids from 0 to {len(vocab) - 1}; pass vocab.ordinary_ids to leave "
            "out special tokens"
        )
    result = array.astype(np.int64)
    result.flags.writeable = False
    return result
