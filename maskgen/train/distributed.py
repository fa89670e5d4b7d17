"""The ranks of a run: who they are, what they add up, how a model is spread over them, and how they end together.

torchrun's environment --World.start--> world --wrap--> DDP or FSDP2 module
a failing rank --its reason, through the store--> every other rank ends with it
"""

import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from types import TracebackType
from typing import Any

import torch
from torch import distributed as dist
from torch import nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from maskgen.train.errors import SaidError, TrainError
from maskgen.train.joint_end import JointEnd
from maskgen.train.sharding import MODES, PRECISIONS, is_sharded, shard, unwrapped
from preprocess.errors import MaskgenError

Tensors = dict[str, torch.Tensor]
TIMEOUT = timedelta(minutes=30)
LONGEST_JOINING = timedelta(minutes=10)
_left_groups: list[Any] = []
LOST_PEER = re.compile(
    r"(gloo|nccl).*(connection|reset|closed|broken pipe|timed? ?out|remote)", re.IGNORECASE | re.DOTALL
)


class World:
    """The ranks of this run and this one's device: ``with World.start() as world: ...``; alone without torchrun.

    Leaving the ``with`` block closes the world. When an exception leaves it on one rank, every other rank ends too:
    with a TrainError that says which rank failed and why, from the collective that it is in or comes to; or, where it
    does not come out of one, with that line on standard error and exit code 1, ten seconds later. A program of several
    ranks ends with `end_process`.
    """

    def __init__(
        self, *, rank: int = 0, size: int = 1, local_rank: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self.device = torch.device(device)
        self._end: JointEnd | None = None

    @classmethod
    def start(cls, device: str = "auto", *, timeout: timedelta = TIMEOUT, init_method: str = "env://") -> "World":
        """Join the other ranks that torchrun's environment names (RANK, WORLD_SIZE, LOCAL_RANK...), or be alone.

        `device` is "auto" (CUDA where there is any), "cpu" or "cuda"; alone also "cuda:1". A collective that takes
        longer than `timeout` is an error. `init_method` is where ranks meet, as torch.distributed knows it.
        """
        rank, size, local_rank = _environment()
        world = cls(rank=rank, size=size, local_rank=local_rank)
        if size == 1:
            world.device = _device(device, None)
            return world
        store = _meet(rank, size, init_method, min(timeout, LONGEST_JOINING))
        clone = getattr(store, "clone", None)  # a connection of its own, where this version of PyTorch has that
        world._end = JointEnd(PrefixStore("end", store if clone is None else clone()), rank, size)
        try:
            world.device = _device(device, local_rank)
            # Gloo beside NCCL: flags and objects of the CPU are exchanged without waiting for the device.
            backend = "cpu:gloo,cuda:nccl" if world.device.type == "cuda" else "gloo"
            group = PrefixStore("group", store)
            dist.init_process_group(backend, store=group, rank=rank, world_size=size, timeout=timeout)
            world.barrier()  # or one that fails at once would break the connections that others are still making
        except BaseException:
            world.__exit__(*sys.exc_info())
            raise
        return world

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, the one that prints and writes."""
        return self.rank == 0

    def sum(self, values: Tensors) -> Tensors:
        """Each tensor added up over all ranks, in one collective: floats as float64, whole numbers as int64.

        Every rank passes the same names, shapes and kinds. Device tensors stay on the device; nothing waits for it.
        Whole numbers are exact up to 2^53.
        """
        devices = {value.device for value in values.values()}
        device = devices.pop() if len(devices) == 1 else self.device
        kinds = {name: torch.float64 if value.is_floating_point() else torch.int64 for name, value in values.items()}
        if self.size == 1 or not values:
            return {name: value.detach().to(device, kinds[name]) for name, value in values.items()}
        flat = torch.cat([value.detach().to(device, torch.float64).flatten() for value in values.values()])
        dist.all_reduce(flat)
        parts = torch.split(flat, [value.numel() for value in values.values()])
        return {
            name: part.view(value.shape).to(kinds[name])
            for (name, value), part in zip(values.items(), parts, strict=True)
        }

    def any(self, flag: bool) -> bool:
        """Whether it is true on any rank; on the CPU, so that the device is not waited for."""
        if self.size == 1:
            return bool(flag)
        found = torch.tensor([int(flag)])
        dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return bool(found.item())

    def share(self, value: Any) -> Any:
        """Rank 0's value (small, picklable) on every rank."""
        if self.size == 1:
            return value
        values = [value if self.is_main else None]
        dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]

    def gather(self, value: Any) -> list[Any] | None:
        """The values (small, picklable) of all ranks in order on rank 0, None on the others."""
        if self.size == 1:
            return [value]
        values: list[Any] | None = [None] * self.size if self.is_main else None
        dist.gather_object(value, values, dst=0)
        return values

    def barrier(self) -> None:
        """Wait until every rank is here."""
        self.any(False)

    def wrap(self, module: nn.Module, mode: str = "ddp", precision: str = "fp32") -> nn.Module:
        """`module` on this rank's device, with rank 0's weights, as DDP or FSDP2; alone: as it is, on the device.

        The losses have to come out of its ``forward``. `precision` "bf16" is for "fsdp": parameters are gathered and
        multiplied in bf16, gradients are added up and weights kept in fp32. With "ddp" it changes nothing: use
        autocast, which goes with both.
        """
        for value, known, what in ((mode, MODES, "way to spread a model"), (precision, PRECISIONS, "precision")):
            if value not in known:
                raise TrainError(f"{what} {value!r}; expected one of {', '.join(known)}; name one")
        module.to(self.device)
        if self.size == 1:
            return module
        if mode == "fsdp":
            return shard(module, self.device, self.size, precision)
        devices = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(
            module, device_ids=devices, gradient_as_bucket_view=True, **_no_buffers_in_forward()
        )

    @contextmanager
    def sync_gradients(self, module: nn.Module, on: bool) -> Iterator[None]:
        """Around forward *and* backward of one micro-batch: whether gradients are averaged over ranks after it."""
        if is_sharded(module):
            module.set_requires_gradient_sync(on)  # type: ignore[operator]
            try:
                yield
            finally:
                module.set_requires_gradient_sync(True)  # type: ignore[operator]
            return
        with nullcontext() if on or unwrapped(module) is module else module.no_sync():  # type: ignore[operator]
            yield

    def clip_gradients(self, parameters: Iterable[nn.Parameter], largest: float | None) -> torch.Tensor:
        """The norm of all gradients over all ranks, a plain scalar on the device; scaled down to `largest` if given."""
        given = [parameter for parameter in parameters if parameter.grad is not None]
        norm = nn.utils.clip_grad_norm_(given, float("inf") if largest is None else largest)
        return norm.full_tensor() if hasattr(norm, "full_tensor") else norm

    def close(self) -> None:
        """Leave the other ranks, when all of them are here."""
        if self._end is None:
            return
        self.barrier()
        self._end.leave()
        self._end = None
        _leave_groups()

    def __enter__(self) -> "World":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self.close()
            except RuntimeError as lost:
                self._fail(lost)
                raise
        elif self._end is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Tell the others; or raise what another rank told, where `error` is only what became of that here."""
        end, self._end = self._end, None
        if end is None:
            return
        follows = isinstance(error, RuntimeError)
        reason = end.heard() if follows else None
        said = reason is None and end.tell(error)
        end.leave()
        if self.device.type != "cuda":  # leaving a group of NCCL whose peers are gone waits for them
            with suppress(Exception):
                _leave_groups()
        if said and isinstance(error, MaskgenError):
            raise SaidError(str(error)) from error
        if reason is not None:
            raise TrainError(f"{reason}; see its output, then resume from the last checkpoint") from error
        if follows and LOST_PEER.search(str(error)):
            raise TrainError(
                f"rank {self.rank} lost another rank, which left no reason ({' '.join(str(error).split())[:200]}); it "
                "may have been killed, or have run out of memory: see its output, then resume from the last checkpoint"
            ) from error


def end_process(code: int) -> None:
    """End this process here if it was one of several ranks.

    Python's own end meets threads of gloo that still free tensors, and a thread that wants Python's lock then aborts
    the process: seen now and then on a busy machine, after everything had been done.
    """
    if _left_groups:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _leave_groups() -> None:
    """Leave all groups of ranks, and keep them in memory.

    The last reference to a group of gloo waits for its threads while it holds Python's lock, which one that frees the
    tensors of its last collective needs: now and then, on a busy machine, a rank hung or was aborted where the module
    that was wrapped went out of use.
    """
    _left_groups.extend(getattr(dist.distributed_c10d._world, "pg_map", ()))
    dist.destroy_process_group()


def _no_buffers_in_forward() -> dict[str, Any]:
    """That buffers, which training does not change, are not sent in each forward pass; PyTorch 2.13 renamed it."""
    names = inspect.signature(nn.parallel.DistributedDataParallel).parameters
    return {"forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers": False}


def _environment() -> tuple[int, int, int]:
    """Rank, size and rank on this machine, as torchrun says them."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    texts = [os.environ.get(name) for name in names]
    if texts[0] is None and texts[1] is None:
        return 0, 1, 0
    if texts[2] is None and texts[1] == "1":
        texts[2] = "0"
    try:
        rank, size, local_rank = (int(text or "") for text in texts)
        if 0 <= rank < size and 0 <= local_rank < size:
            return rank, size, local_rank
    except ValueError:
        pass
    found = ", ".join(f"{name}={text}" for name, text in zip(names, texts, strict=True) if text is not None)
    raise TrainError(f"the environment says {found}; expected all of {', '.join(names)}; start it with torchrun")


def _meet(rank: int, size: int, where: str, timeout: timedelta) -> Any:
    try:
        store, _, _ = next(rendezvous(where, rank, size, timeout=timeout))
    except (RuntimeError, ValueError, OSError) as error:
        place = where if where != "env://" else ":".join(os.environ.get(f"MASTER_{x}", "?") for x in ("ADDR", "PORT"))
        raise TrainError(
            f"rank {rank} of {size} did not meet the others at {place} ({' '.join(str(error).split())[:200]}); "
            "start all of them with torchrun"
        ) from error
    store.set_timeout(timeout)
    return store


def _device(name: str, local_rank: int | None) -> torch.device:
    """The device of that name; `local_rank` is None where this process is alone."""
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if found else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if match is None or (match[1] and local_rank is not None):
        raise TrainError(f"device {name!r}; expected auto, cpu or cuda, or alone also cuda:NUMBER; correct it")
    number = int(match[1] or 0) if local_rank is None else local_rank
    if number >= found:
        raise TrainError(f"device cuda:{number} of {found} on this machine; start fewer ranks, or say --device cpu")
    device = torch.device("cuda", number)
    torch.cuda.set_device(device)
    return device
