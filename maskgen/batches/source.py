"""Global batches as a function of (seed, consumed samples, batch size), whatever the number of ranks.

consumed samples --size--> a run of draws --this rank's share--> rows --samples.batch--> arrays

The state is the number of consumed samples. A run that is resumed with other ranks, threads or batch sizes goes on with
the next sample of the same order.
"""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt

from maskgen.batches.assemble import Assembler, views
from maskgen.batches.blend import Blend, SamplesLike
from maskgen.batches.errors import BatchError
from maskgen.batches.order import VERSION, Draws, Order
from maskgen.batches.sizes import BatchSizes, whole_number
from maskgen.identity import difference, settings_digest
from maskgen.samples.arrays import Batch

Rate = float | Callable[[int], float] | None
STATE_VERSION = 1


class BatchSource:
    """The rows of one rank of each global batch: ``for batch in BatchSource(samples, batch_size=256)``.

    `batch_size` is global: a number, or steps (consumed samples, size from there on), see ``linear_ramp``. Rank r of w
    has rows ``r * size // w`` to ``(r + 1) * size // w``, so the ranks' rows, one after the other, are the global
    batch, and shares may differ by one row. Samples come in an order of their own in each epoch, drawn from `seed`, or
    as they are with `shuffle` off. A batch may cross the end of an epoch: no sample is lost or repeated within one.

    `epochs` is how often all samples are gone through, None for ever; then the last batch is what is left, or nothing
    with `drop_last`. `rate` is the masking rate of every batch: a number, or a function of the consumed samples.
    """

    def __init__(
        self,
        samples: SamplesLike | Blend,
        *,
        batch_size: int | BatchSizes | list[tuple[int, int]],
        seed: int = 1234,
        rank: int = 0,
        world_size: int = 1,
        shuffle: bool = True,
        threads: int = 1,
        epochs: int | None = None,
        drop_last: bool = False,
        rate: Rate = None,
    ) -> None:
        self.samples = samples
        self.sizes = BatchSizes(batch_size)
        self.world_size = whole_number(world_size, "world_size", 1)
        self.rank = whole_number(rank, "rank", 0)
        if self.rank >= self.world_size:
            raise BatchError(f"rank is {rank} of {world_size}; expected 0 to {self.world_size - 1}; correct it")
        self.seed = _seed(seed)
        self.shuffle, self.drop_last = bool(shuffle), bool(drop_last)
        self.threads = whole_number(threads, "threads", 1)
        self.rate = _checked_rate(rate)
        if not len(samples):
            raise BatchError("no samples; expected at least one; check the sample mapping and its split")
        self.total = None if epochs is None else whole_number(epochs, "epochs", 1) * len(samples)
        parts = samples.samples if isinstance(samples, Blend) else (samples,)
        self._assembler = Assembler(parts)
        self._order = Order(
            [len(part) for part in parts],
            seed=self.seed,
            shuffle=self.shuffle,
            tree=samples.tree if isinstance(samples, Blend) else None,
        )
        self._settings: dict[str, Any] | None = None
        self.consumed = 0

    @property
    def fields(self) -> Any:
        """The arrays of a batch."""
        return self._assembler.fields

    @property
    def largest_share(self) -> int:
        """The most rows that this rank's part of a batch can have."""
        return math.ceil(self.sizes.largest / self.world_size)

    def size(self, consumed: int) -> int:
        """How many samples the global batch has that begins after `consumed`; 0 at the end."""
        size = self.sizes.at(consumed)
        if self.total is None or consumed + size <= self.total:
            return size
        return 0 if self.drop_last else max(0, self.total - consumed)

    def share(self, size: int) -> tuple[int, int]:
        """The first row of this rank of a global batch of `size`, and one past its last."""
        return self.rank * size // self.world_size, (self.rank + 1) * size // self.world_size

    def draws(self, consumed: int) -> Draws:
        """What the whole global batch that begins after `consumed` consists of: datasets, epochs, indices."""
        consumed = whole_number(consumed, "consumed", 0)
        return self._order.draws(consumed, consumed + self.size(consumed))

    def allocate(self, dtypes: Mapping[str, npt.DTypeLike] | None = None) -> Batch:
        """Arrays for this rank's part of any batch, to pass as `out` again and again."""
        return self._assembler.samples[0].allocate(self.largest_share, dtypes)

    def batch_at(self, consumed: int, out: Batch | None = None) -> Batch:
        """The part of this rank of the global batch that begins after `consumed`, in new arrays or in `out`."""
        consumed = whole_number(consumed, "consumed", 0)
        size = self.size(consumed)
        if not size:
            raise BatchError(f"no batch after {consumed} samples; expected less than {self.total}; raise epochs")
        first, last = self.share(size)
        if out is None:
            arrays = self._assembler.samples[0].allocate(last - first)
        else:
            arrays = views(self.fields, out, last - first)
        rate = self.rate(consumed) if callable(self.rate) else self.rate
        draws = self._order.draws(consumed + first, consumed + last)
        return self._assembler.fill(draws, arrays, self.threads, rate)

    def next_batch(self, out: Batch | None = None) -> Batch | None:
        """The part of this rank of the next global batch, which is then consumed; None at the end."""
        size = self.size(self.consumed)
        if not size:
            return None
        batch = self.batch_at(self.consumed, out)
        self.consumed += size
        return batch

    def __iter__(self) -> "BatchSource":
        return self

    def __next__(self) -> Batch:
        batch = self.next_batch()
        if batch is None:
            raise StopIteration
        return batch

    def describe(self) -> dict[str, Any]:
        """All that the order and its samples are a function of, as JSON. Batch sizes and ranks are not part of it."""
        if self._settings is None:
            self._settings = {
                "order": {"version": VERSION, "seed": self.seed, "shuffle": self.shuffle},
                "rate": "schedule" if callable(self.rate) else self.rate,
                "samples": self.samples.describe(),
            }
        return copy.deepcopy(self._settings)

    def state_dict(self) -> dict[str, Any]:
        """Where this run is, and what it is a run of: JSON, the same on every rank."""
        settings = self.describe()
        return {
            "version": STATE_VERSION,
            "consumed": self.consumed,
            "digest": settings_digest(settings),
            "settings": settings,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken; refused, with the difference, where it is of other data or settings.

        Ranks, threads, batch sizes, epochs and drop_last may differ from those of the run that was saved.
        """
        expected = {"version", "consumed", "digest", "settings"}
        if not isinstance(state, Mapping) or not expected <= set(state):
            found = ", ".join(map(str, state)) if isinstance(state, Mapping) else f"a {type(state).__name__}"
            raise BatchError(
                f"a state with {found or 'nothing'}; expected one that state_dict returned; pass such a one"
            )
        if state["version"] != STATE_VERSION:
            raise BatchError(
                f"a state of version {state['version']!r}; expected {STATE_VERSION}; use the version of maskgen that "
                "saved it"
            )
        settings = state["settings"]
        if not _is_digest_of(state["digest"], settings):
            raise BatchError("a state whose digest is not that of its settings; it was changed after it was saved")
        if (place := difference(settings, self.describe())) is not None:
            raise BatchError(
                f"this state was saved with other data or settings than those here: {place} (saved, here); use the "
                "same ones, or start a new run"
            )
        self.consumed = whole_number(state["consumed"], "consumed", 0)

    def __repr__(self) -> str:
        return f"BatchSource({self.samples!r}, {self.sizes!r}, rank {self.rank} of {self.world_size}: {self.consumed})"


def _is_digest_of(digest: Any, settings: Any) -> bool:
    try:
        return isinstance(settings, Mapping) and settings_digest(settings) == digest
    except (TypeError, ValueError, RecursionError):  # values that JSON cannot hold
        return False


def _seed(value: Any) -> int:
    return whole_number(value, "seed", 0)


def _checked_rate(rate: Any) -> Rate:
    if rate is None:
        return None
    if callable(rate):
        schedule: Callable[[int], float] = rate
        return schedule
    try:
        number = float(rate)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1 or isinstance(rate, (str, bool)):
        raise BatchError(f"rate is {rate!r}; expected a share from 0 to 1, or a function of the consumed samples")
    return number
