"""FSDP2: each rank holds a part of every parameter, and whole layers are there only while they compute."""

from collections import Counter

import torch
from torch import distributed as dist
from torch import nn

from maskgen.train.errors import TrainError

MODES = ("ddp", "fsdp")
PRECISIONS = ("fp32", "bf16")


def shard(module: nn.Module, device: torch.device, size: int, precision: str) -> nn.Module:
    """Spread `module` over all ranks, in place, with rank 0's weights.

    Layers (the members of module lists) come and go one by one; what is left, and all that modules share, such as tied
    embeddings, is there for the whole of a forward and a backward pass.
    """
    try:
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
    except ImportError:
        raise TrainError(f"PyTorch {torch.__version__} has no FSDP2; expected 2.6 or newer; use ddp") from None
    from torch.distributed.device_mesh import init_device_mesh

    for tensor in (*module.parameters(), *module.buffers()):
        dist.broadcast(tensor.detach(), 0)
    mesh = init_device_mesh(device.type, (size,))
    policy = MixedPrecisionPolicy()
    if precision == "bf16":
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in _layers(module):
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(module, mesh=mesh, mp_policy=policy)
    return module


def _layers(module: nn.Module) -> list[nn.Module]:
    """The members of module lists all of whose parameters are theirs alone; inner ones are left to the outermost."""
    uses = Counter(
        parameter
        for owner in module.modules()
        for parameter in owner._parameters.values()  # a module's own, each once for each module that has it
        if parameter is not None
    )
    found: list[nn.Module] = []
    inside: set[nn.Module] = set()
    for owner in module.modules():
        if isinstance(owner, nn.ModuleList) and owner not in inside:
            for layer in owner.children():  # each once
                inside.update(layer.modules())
                own = Counter(
                    parameter
                    for part in layer.modules()
                    for parameter in part._parameters.values()
                    if parameter is not None
                )
                if own and all(uses[parameter] == count for parameter, count in own.items()):
                    found.append(layer)
    return found


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside DDP; any other as it is."""
    inner = module.module if isinstance(module, nn.parallel.DistributedDataParallel) else module
    return inner if isinstance(inner, nn.Module) else module


def at_rest(module: nn.Module) -> nn.Module:
    """The module inside DDP; one of FSDP2 with the parts as its parameters, those that the optimizer has.

    After a forward pass that no backward pass followed, an evaluation for instance, whole copies are in their place.
    """
    module = unwrapped(module)
    for part in module.modules():
        if is_sharded(part):
            part.reshard()  # type: ignore[operator]
    return module


def is_sharded(thing: nn.Module | torch.Tensor) -> bool:
    """Whether ranks hold parts of it: a module of FSDP2, or a tensor of one."""
    return hasattr(thing, "to_local") or hasattr(thing, "set_requires_gradient_sync")


def local(tensor: torch.Tensor) -> torch.Tensor:
    """The part of it that this rank holds, on the same memory."""
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]
