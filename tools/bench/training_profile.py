"""What steps spend their time on, by torch.profiler: groups of operations, the longest of them, and idle time.

On a CUDA device these are its kernels, and what is left of the wall clock is waiting for the host; on a CPU, operators.
"""

import re
import time
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

# The first pattern that is in a name is its group.
GROUPS = (
    ("attention", r"flash|fmha|attention|attn|scaled_dot_product"),
    ("optimizer and clipping", r"adam|multi_tensor|foreach|lpnorm|vector_norm|aten::(?:lerp|addcmul|addcdiv|sqrt)"),
    ("matrix products", r"gemm|gemv|cutlass|cublas|nvjet|xmma|splitk|linear|(?:^|::|_)(?:add|b|badd)?mm(?:$|_)|matmul"),
    ("embeddings", r"embedding|index_select|indexing_backward|index_put"),
    ("copies", r"memcpy|memset|copy|fill_"),
)
FUSED = re.compile(r"triton_(?!tem)")  # element by element, whatever products its name says that it follows
OTHERS = "element by element: norms, activations, dropout, sums, losses"
TOP = 12


class Profile:
    """A profile of some steps; ``str`` of it is a report."""

    def __init__(self, device: torch.device, steps: Callable[[int], object], count: int) -> None:
        self.count, self.on_gpu = count, device.type == "cuda"
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self.on_gpu else [])]
        with profile(activities=activities) as profiler:
            began = time.perf_counter()
            steps(count)
            self.seconds = time.perf_counter() - began
        kind = "CUDA" if self.on_gpu else "CPU"
        self.found: list[tuple[float, int, str]] = []  # seconds, calls, name
        for event in profiler.key_averages():
            marked = getattr(event, "is_user_annotation", False) or event.key.startswith(("Optimizer.", "ProfilerStep"))
            spent = event.self_device_time_total if self.on_gpu else event.self_cpu_time_total
            if str(event.device_type).endswith(kind) and not marked and spent > 0:
                self.found.append((spent / 1e6, event.count, event.key))
        self.found.sort(reverse=True)

    def groups(self) -> dict[str, float]:
        """Seconds of each group, longest first."""
        spent: dict[str, float] = {}
        for seconds, _, name in self.found:
            group = group_of(name)
            spent[group] = spent.get(group, 0.0) + seconds
        return dict(sorted(spent.items(), key=lambda pair: -pair[1]))

    def __str__(self) -> str:
        what = "kernels" if self.on_gpu else "operators, on all threads that call them"
        busy = sum(seconds for seconds, _, _ in self.found) or 1e-9
        lines = [
            f"\nprofile of {self.count} steps, {self.seconds / self.count * 1e3:,.1f} ms each with the profiler: {what}"
        ]
        groups = self.groups()
        lines += [f"{seconds / busy:7.1%}  {name}" for name, seconds in groups.items()]
        lines.append(f"the longest {TOP}:")
        for seconds, calls, name in self.found[:TOP]:
            share, spent = seconds / busy, seconds / self.count * 1e3
            lines.append(f"{share:7.1%}{spent:10.2f} ms a step {calls / self.count:7.0f} calls  {name[:70]}")
        if self.on_gpu:
            idle = max(0.0, 1 - busy / self.seconds)
            lines.append(f"{idle:7.1%} of the wall clock no kernel runs (the profiler itself slows the host)")
        bound = next(iter(groups), "nothing that was recorded")
        lines.append(f"most of the time: {bound}")
        return "\n".join(lines)


def group_of(name: str) -> str:
    """The group of an operator or kernel."""
    lowered = name.lower()
    if FUSED.match(lowered):
        return OTHERS
    return next((group for group, pattern in GROUPS if re.search(pattern, lowered)), OTHERS)
