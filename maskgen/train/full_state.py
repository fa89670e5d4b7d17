"""Weights and optimizer states as whole tensors on the CPU, whatever the ranks and however they share them.

module, optimizer --on every rank--> dicts by parameter name (on rank 0) --on any number of ranks--> module, optimizer
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from maskgen.train.errors import TrainError
from maskgen.train.sharding import at_rest, is_sharded

Tensors = dict[str, torch.Tensor]
REMEDY = "resume with the settings of the run that saved it"


def model_state(module: nn.Module, *, keep: bool = True) -> Tensors:
    """Parameters and buffers by name, whole, on the CPU; tied ones once. Call it on all ranks; {} unless `keep`.

    Names are those of the plain module, without the prefixes of DDP and torch.compile. Tensors may be views of the
    weights: save or copy them before the next step.
    """
    whole = {name: _whole(tensor, keep) for name, tensor in _named(module).items()}
    return {name: tensor for name, tensor in whole.items() if tensor is not None}


def load_model_state(module: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Copy what ``model_state`` gave into `module`: plain, DDP or FSDP2, before or after ``world.wrap``."""
    named = _named(module)
    missing, unknown = [name for name in named if name not in state], [name for name in state if name not in named]
    for what, names in (("lacks", missing), ("has", unknown)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            rest = "which the model has" if what == "lacks" else "which the model has not"
            raise TrainError(f"the saved model {what} {names[0]}{more}, {rest}; {REMEDY}")
    for name, tensor in named.items():
        _copy(state[name], tensor, name)


def optimizer_state(module: nn.Module, optimizer: torch.optim.Optimizer, *, keep: bool = True) -> dict[str, Any]:
    """The moments by parameter name, whole, on the CPU. Call it on all ranks; {} unless `keep`.

    Learning rates, betas and the like are not part of it: they come from the settings.
    """
    found: dict[str, Tensors] = {}
    for name, parameter in _trained(module, optimizer).items():
        moments = {key: _whole(value, keep) for key, value in optimizer.state.get(parameter, {}).items()}
        found[name] = {key: value for key, value in moments.items() if value is not None}
    return {"kind": type(optimizer).__name__, "moments": found} if keep else {}


def load_optimizer_state(module: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Restore what ``optimizer_state`` gave, over the same parameters and the same kind of optimizer."""
    if state["kind"] != type(optimizer).__name__:
        raise TrainError(f"the saved optimizer is {state['kind']}, this one {type(optimizer).__name__}; {REMEDY}")
    named, moments = _trained(module, optimizer), state["moments"]
    if differing := sorted(set(named) ^ set(moments)):
        raise TrainError(f"only one of the saved optimizer and this one has {differing[0]}; {REMEDY}")
    order = {parameter: number for number, parameter in enumerate(_parameters(optimizer))}
    restored: dict[int, Tensors] = {}
    for name, parameter in named.items():
        own: Tensors = {}
        for key, saved in moments[name].items():
            if saved.ndim == 0:  # the count of steps
                own[key] = saved.clone()
                continue
            own[key] = torch.zeros_like(parameter)
            _copy(saved, own[key], f"{key} of {name}")
        if own:
            restored[order[parameter]] = own
    # By way of PyTorch's own format, which puts the counts of steps where each implementation wants them.
    optimizer.load_state_dict({"state": restored, "param_groups": optimizer.state_dict()["param_groups"]})


def generator_states(generators: Mapping[str, torch.Generator]) -> dict[str, Any]:
    """The states of these generators and of PyTorch's own (CPU and present CUDA device, which dropout uses)."""
    return {
        name: {"device": generator.device.type, "state": generator.get_state()}
        for name, generator in _with_default(generators).items()
    }


def load_generator_states(generators: Mapping[str, torch.Generator], states: Mapping[str, Any] | None) -> bool:
    """Restore them; False, with nothing changed, where there are none or they are of other devices or names."""
    named = _with_default(generators)
    devices = {name: generator.device.type for name, generator in named.items()}
    if states is None or {name: state["device"] for name, state in states.items()} != devices:
        return False
    for name, generator in named.items():
        generator.set_state(states[name]["state"])
    return True


def derived_seed(seed: int, *parts: int | str) -> int:
    """A seed that depends on all of these, such as (seed, "dropout", rank, step); for ranks that have no state.

    >>> derived_seed(1234, "dropout", 0, 40) != derived_seed(1234, "dropout", 1, 40)
    True
    """
    digest = hashlib.sha256(repr((seed, *parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def _with_default(generators: Mapping[str, torch.Generator]) -> dict[str, torch.Generator]:
    own = {"torch": torch.default_generator}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        own["torch.cuda"] = torch.cuda.default_generators[torch.cuda.current_device()]
    return {**own, **generators}


def _plain(name: str) -> str:
    """Without what torch.compile puts before the names of the module that it wraps."""
    return name.replace("_orig_mod.", "")


def _named(module: nn.Module) -> Tensors:
    """All parameters, and the buffers that are part of the state."""
    module = at_rest(module)
    found: Tensors = {_plain(name): parameter for name, parameter in module.named_parameters()}
    for prefix, owner in module.named_modules():
        for name, buffer in owner.named_buffers(recurse=False):
            if name not in owner._non_persistent_buffers_set:
                found[_plain(f"{prefix}.{name}" if prefix else name)] = buffer
    return found


def _trained(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, nn.Parameter]:
    """The parameters of the optimizer by the names that they have in the module."""
    members = set(_parameters(optimizer))
    return {_plain(name): parameter for name, parameter in at_rest(module).named_parameters() if parameter in members}


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _whole(tensor: torch.Tensor, keep: bool) -> torch.Tensor | None:
    """The tensor on the CPU, where it is kept; gathered from all ranks, of which each one has to be here."""
    whole = tensor.detach()
    if is_sharded(whole):
        whole = whole.full_tensor()  # type: ignore[attr-defined]
    return whole.cpu() if keep else None


def _copy(saved: torch.Tensor, tensor: torch.Tensor, name: str) -> None:
    """Put a whole tensor into one that this rank has all of, or its part."""
    if saved.shape != tensor.shape:
        raise TrainError(f"the saved {name} is {tuple(saved.shape)}, this one {tuple(tensor.shape)}; {REMEDY}")
    with torch.no_grad():
        if not is_sharded(tensor):
            tensor.copy_(saved)
            return
        # Parts as FSDP2 makes them: of the first dimension, the last ones smaller or empty.
        part = tensor.to_local()  # type: ignore[attr-defined]
        mesh = tensor.device_mesh  # type: ignore[attr-defined]
        parts = saved.chunk(mesh.size(), 0)
        if mesh.get_local_rank() < len(parts):
            part.copy_(parts[mesh.get_local_rank()])
