"""Which parameters decay, and the optimizers that update them.

module --parameter_groups--> decaying, not decaying (each trainable parameter once) --build_optimizer--> optimizer
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from maskgen.train.errors import TrainError
from maskgen.train.sharding import is_sharded, local

Group = dict[str, Any]
NAMES = ("adamw", "stable-adamw")


def parameter_groups(module: nn.Module, weight_decay: float) -> list[Group]:
    """The trainable parameters as optimizer groups: matrices and embeddings decay; biases, norms and vectors do not.

    Each trainable parameter is in one group exactly once, however many names it has. One that is a bias or belongs to
    a norm under any of its names does not decay.
    """
    found: dict[nn.Parameter, bool] = {}  # parameters hash by identity; in the order of the module
    for owner in module.modules():
        is_norm = "norm" in type(owner).__name__.lower()
        for name, parameter in owner.named_parameters(recurse=False, remove_duplicate=False):
            if parameter.requires_grad:
                decays = not (is_norm or name.endswith("bias") or parameter.ndim < 2)
                found[parameter] = decays and found.get(parameter, True)
    groups = [
        {"params": [parameter for parameter, decays in found.items() if decays], "weight_decay": weight_decay},
        {"params": [parameter for parameter, decays in found.items() if not decays], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    check_groups(module, groups)
    return groups


def check_groups(module: nn.Module, groups: Iterable[Mapping[str, Any]]) -> None:
    """Refuse groups that lack a trainable parameter of `module`, have one twice, or have one of something else."""
    names = {parameter: name for name, parameter in module.named_parameters()}
    seen: dict[nn.Parameter, int] = defaultdict(int)
    for group in groups:
        for parameter in group["params"]:
            seen[parameter] += 1
    if not seen:
        raise TrainError("an optimizer without parameters; expected a module that has trainable ones; unfreeze some")
    missing = [name for parameter, name in names.items() if parameter.requires_grad and parameter not in seen]
    doubled = [names.get(parameter, "one of no name") for parameter, count in seen.items() if count > 1]
    foreign = [tuple(parameter.shape) for parameter in seen if parameter not in names]
    for what, places in (("lack", missing), ("have more than once", doubled), ("have of another module", foreign)):
        if places:
            more = f" and {len(places) - 1} more" if len(places) > 1 else ""
            raise TrainError(
                f"the optimizer's groups {what} {places[0]}{more}; expected each trainable parameter exactly once; "
                "build the optimizer of the module that is trained, after wrapping it"
            )


def build_optimizer(
    module: nn.Module,
    name: str = "adamw",
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.98),
    eps: float = 1e-6,
    weight_decay: float = 0.01,
    fused: bool | None = None,
) -> torch.optim.Optimizer:
    """The optimizer "adamw" or "stable-adamw" over ``parameter_groups``; build it after ``world.wrap``.

    `fused` is for "adamw": one kernel for all parameters, by default where they are on a CUDA device.
    """
    if name not in NAMES:
        raise TrainError(f"optimizer {name!r}; expected one of {', '.join(NAMES)}; name one")
    if not lr >= 0 or not all(0 <= beta < 1 for beta in betas) or not eps > 0 or not weight_decay >= 0:
        raise TrainError(
            f"optimizer with lr {lr}, betas {betas}, eps {eps}, weight decay {weight_decay}; expected rates and decay "
            "not below 0, betas from 0 to below 1, eps above 0; correct it"
        )
    groups = parameter_groups(module, weight_decay)
    if name == "stable-adamw":
        if fused:
            raise TrainError("fused with the optimizer 'stable-adamw', which has no such kernel; leave it out")
        return StableAdamW(groups, lr=lr, betas=betas, eps=eps)
    if fused is None:
        fused = all(parameter.is_cuda for group in groups for parameter in group["params"])
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=eps, fused=fused)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Use `lr` in every group from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = lr


class StableAdamW(torch.optim.Optimizer):
    """AdamW whose step shrinks, tensor by tensor, where gradients outgrow their second moment (arXiv 2304.13013).

    With g the gradient, b1 and b2 debiased at step t as b (1 - b^(t-1)) / (1 - b^t):

        v = b1 v + (1 - b1) g;  u = b2 u + (1 - b2) g^2
        rms = sqrt(mean(g^2 / max(u, eps^2)))          over the whole tensor, also where ranks hold parts of it
        rate = lr / max(1, rms)
        w = w - rate decay w - rate v / (sqrt(u) + eps)

    So a batch whose gradients are far larger than those before moves the weights no further than the others, which is
    what clipping of the global norm is for elsewhere. The first step is AdamW's.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            # Kernels over lists of tensors, as AdamW has: one by one, their starts took longer than their work.
            alike: dict[tuple[int, bool], list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[self._begin(parameter), is_sharded(parameter)].append(parameter)
            for (step, _), parameters in alike.items():
                self._update(parameters, step, group)
        return loss

    def _begin(self, parameter: nn.Parameter) -> int:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        return int(state["step"])

    def _update(self, parameters: list[nn.Parameter], step: int, group: Group) -> None:
        first, second = (beta * (1 - beta ** (step - 1)) / (1 - beta**step) for beta in group["betas"])
        weights = [local(parameter) for parameter in parameters]
        gradients = [local(parameter.grad) for parameter in parameters if parameter.grad is not None]
        means = [local(self.state[parameter]["exp_avg"]) for parameter in parameters]
        squares = [local(self.state[parameter]["exp_avg_sq"]) for parameter in parameters]
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)

        ratios = torch._foreach_mul(gradients, gradients)
        torch._foreach_div_(ratios, torch._foreach_clamp_min(squares, group["eps"] ** 2))
        sums = torch.stack([ratio.sum() for ratio in ratios])
        if is_sharded(parameters[0]):
            torch.distributed.all_reduce(sums, group=parameters[0].device_mesh.get_group())  # type: ignore[attr-defined]
        sizes = torch.tensor([parameter.numel() for parameter in parameters]).to(sums.device, non_blocking=True)
        rates = (group["lr"] / (sums / sizes).sqrt().clamp_min(1)).unbind()

        if group["weight_decay"]:
            torch._foreach_mul_(weights, [1 - rate * group["weight_decay"] for rate in rates])
        updates = torch._foreach_sqrt(squares)
        torch._foreach_add_(updates, group["eps"])
        updates = torch._foreach_div(means, updates)
        torch._foreach_mul_(updates, rates)
        torch._foreach_sub_(weights, updates)
