"""PyTorch's side of samples and batches: a map-style dataset, and a loader that fills tensors ahead on a thread.

BatchSource --thread: samples.batch(out=buffers of a ring)--> tensors on the same memory --> the training loop

Tensors are valid for as long as anything refers to them: a buffer is filled again only after the last tensor on it is
gone. Batches that are kept cost new buffers, and nothing else.
"""

import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from maskgen.batches import BatchError, BatchSource
from maskgen.batches.blend import SamplesLike
from maskgen.batches.sizes import whole_number
from maskgen.samples.arrays import Batch

Tensors = dict[str, torch.Tensor]
Convert = Callable[[Mapping[str, Any]], Mapping[str, npt.NDArray[Any]]]


class SamplesDataset(Dataset[Tensors]):
    """Samples as a map-style dataset: a dict of tensors an index, without the packed arrays.

    A DataLoader fetches a whole batch in one call. `convert` is for arrays under other names, such as
    ``maskgen.to_hf``. Masks are those of `epoch`; ``set_epoch`` goes on to the next ones.
    """

    def __init__(
        self, samples: SamplesLike, *, epoch: int = 0, rate: float | None = None, convert: Convert | None = None
    ) -> None:
        self.samples, self.rate, self.convert = samples, rate, convert
        self.set_epoch(epoch)

    def set_epoch(self, epoch: int) -> None:
        """Take the masks of that epoch from now on; worker processes that run already keep theirs."""
        self.epoch = whole_number(epoch, "epoch", 0)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Tensors:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Tensors]:
        """The samples at `indices`, as a DataLoader asks for them."""
        batch = self.samples.batch(list(indices), epoch=self.epoch, rate=self.rate)
        rows = {field.name: batch[field.name] for field in self.samples.fields if field.kind != "packed"}
        arrays = rows if self.convert is None else self.convert(rows)
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return [{name: tensor[row] for name, tensor in tensors.items()} for row in range(len(indices))]


class Loader(IterableDataset[Tensors]):
    """The batches of a source as dicts of tensors, made ahead on a thread: ``for batch in Loader(source): ...``.

    `depth` batches are ready or being made at any time. `dtypes` gives arrays other types than int64, `convert` other
    names (``maskgen.to_hf``). Buffers are pinned where CUDA is available, unless `pin` says otherwise; a copy to the
    device that was started on the current stream ends before its buffer is used again.

    ``state_dict`` counts the batches that were yielded, not those made ahead. An error of the thread is raised where
    its batch is asked for. ``close``, or the end of a ``with`` block, stops the thread; so does the end of the process.
    In a DataLoader, use ``batch_size=None`` and at most one worker.
    """

    def __init__(
        self,
        source: BatchSource,
        *,
        depth: int = 2,
        dtypes: Mapping[str, npt.DTypeLike] | None = None,
        convert: Convert | None = None,
        pin: bool | None = None,
    ) -> None:
        if not isinstance(source, BatchSource):
            raise BatchError(f"source is a {type(source).__name__}; expected a BatchSource; make one of the samples")
        self.source, self.convert = source, convert
        self.depth = whole_number(depth, "depth", 1)
        self.dtypes = dict(dtypes or {})
        self.pin = pin
        self._ring: _Ring | None = None

    def __iter__(self) -> "Loader":
        return self

    def __next__(self) -> Tensors:
        if self._ring is None or self._ring.process != os.getpid():  # a forked process has no thread
            self._ring = self._started()
        try:
            found = self._ring.take()
        except BaseException:
            self.close()
            raise
        if found is None:
            self.close()
            raise StopIteration
        tensors, self.source.consumed = found
        return tensors

    def state_dict(self) -> dict[str, Any]:
        """Where the training loop is; JSON, the same on every rank."""
        return self.source.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after the batches that had been yielded when `state` was taken."""
        self.close()
        self.source.load_state_dict(state)

    def close(self) -> None:
        """Stop the thread; the next batch that is asked for starts another one."""
        ring, self._ring = self._ring, None
        if ring is not None:
            self._stop_ring()

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name != "_stop_ring"}
        return {**state, "_ring": None}

    def _started(self) -> "_Ring":
        worker = get_worker_info()
        if worker is not None and worker.num_workers > 1:
            raise BatchError(
                f"a Loader in {worker.num_workers} workers of a DataLoader, each of which would yield every batch; "
                "expected at most one; pass num_workers=0, the thread of the Loader is enough"
            )
        pinned = torch.cuda.is_available() if self.pin is None else bool(self.pin)
        ring = _Ring(self.source, self.depth, self.dtypes, self.convert, pinned)
        self._stop_ring = weakref.finalize(self, ring.stop)  # called at the latest when the process ends
        return ring


class _Buffer:
    """The memory of one batch; `free` tells whether anything still refers to what was lent of it."""

    def __init__(self, source: BatchSource, dtypes: Mapping[str, npt.DTypeLike], pinned: bool) -> None:
        self.arrays = source.allocate(dtypes)
        if pinned:
            tensors = {name: torch.from_numpy(array).pin_memory() for name, array in self.arrays.items()}
            self.arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        self.lent: list[weakref.ref[npt.NDArray[Any]]] = []
        self.copied: torch.cuda.Event | None = None

    def lend(self) -> Batch:
        """Arrays on this memory, new ones, which every view of them keeps alive."""
        # A view of a view refers to the array at the bottom of the chain; over a memoryview, that is one of these.
        arrays = {name: np.asarray(array.data) for name, array in self.arrays.items()}
        self.lent = [weakref.ref(array) for array in arrays.values()]
        return arrays

    @property
    def free(self) -> bool:
        return all(array() is None for array in self.lent)


class _Ring:
    """The thread, its buffers, and the batches that are ready. The thread knows the ring, never the Loader."""

    def __init__(
        self,
        source: BatchSource,
        depth: int,
        dtypes: Mapping[str, npt.DTypeLike],
        convert: Convert | None,
        pinned: bool,
    ) -> None:
        self.source, self.dtypes, self.convert, self.pinned = source, dtypes, convert, pinned
        self.to_fill: SimpleQueue[_Buffer | None] = SimpleQueue()
        self.ready: SimpleQueue[tuple[_Buffer, Tensors, int] | BaseException | None] = SimpleQueue()
        self.lent: list[_Buffer] = []
        self.stopping = threading.Event()
        self.process = os.getpid()
        for _ in range(depth):
            self.to_fill.put(_Buffer(source, dtypes, pinned))
        self.thread = threading.Thread(target=self._run, args=(source.consumed,), name="maskgen batches", daemon=True)
        self.thread.start()

    def take(self) -> tuple[Tensors, int] | None:
        """The next batch, and what has been consumed with it; None at the end."""
        item = self.ready.get()
        if item is None or isinstance(item, BaseException):
            if item is not None:
                raise item
            return None
        buffer, tensors, consumed = item
        self.to_fill.put(self._another())
        self.lent.append(buffer)
        return tensors, consumed

    def _another(self) -> _Buffer:
        for place, buffer in enumerate(self.lent):
            if buffer.free:
                if self.pinned:  # copies that the training loop has started come before this point of its stream
                    buffer.copied = torch.cuda.current_stream().record_event()
                return self.lent.pop(place)
        return _Buffer(self.source, self.dtypes, self.pinned)

    def stop(self) -> None:
        """End the thread, after the batch that it is at."""
        if self.process != os.getpid():
            return
        self.stopping.set()
        self.to_fill.put(None)
        with suppress(RuntimeError):  # of a thread that ends its own process
            self.thread.join()

    def _run(self, consumed: int) -> None:
        try:
            while (size := self.source.size(consumed)) > 0:
                buffer = self.to_fill.get()
                if buffer is None or self.stopping.is_set():
                    return
                if buffer.copied is not None:
                    buffer.copied.synchronize()
                batch = self.source.batch_at(consumed, out=buffer.lend())
                consumed += size
                self.ready.put((buffer, self._tensors(batch), consumed))
                del batch  # or it would hold its buffer until the next one is ready
            self.ready.put(None)
        except BaseException as error:
            self.ready.put(error)

    def _tensors(self, batch: Batch) -> Tensors:
        own = {id(array) for array in batch.values()}
        arrays = batch if self.convert is None else self.convert(batch)
        tensors = {}
        for name, array in arrays.items():
            tensor = torch.from_numpy(np.asarray(array))
            tensors[name] = tensor.pin_memory() if self.pinned and id(array) not in own else tensor
        return tensors


def collated(collator: Callable[[Sequence[Any]], Mapping[str, Any]]) -> Callable[[Sequence[Any]], Tensors]:
    """A collator of maskgen.collators as a collate_fn that gives tensors; worker processes can be started with it."""
    return partial(_collate, collator)


def _collate(collator: Callable[[Sequence[Any]], Mapping[str, Any]], examples: Sequence[Any]) -> Tensors:
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in collator(examples).items()}
