"""The lines of a run for the person who watches: one an interval, the same on a terminal and in a file."""

from collections.abc import Mapping
from typing import Any

SHARES = ("accuracy", "precision", "recall", "auc")
WORDS = {
    "mlm_accuracy": "accuracy", "diffusion_accuracy": "accuracy", "pairs_accuracy": "pairs", "disc_accuracy": "found",
}  # fmt: skip


def step_line(record: Mapping[str, Any], steps: int) -> str:
    """A line of figures since the last one."""
    parts = [f"step {record['step']:>{len(str(steps))}}/{steps}", *_figures(record)]
    parts += [f"lr {record['lr']:.2e}", f"norm {record['grad_norm']:.2f}", f"{record['tokens_per_second']:,.0f} tok/s"]
    if record.get("mfu") is not None:
        parts.append(f"MFU {record['mfu']:.1%}")
    parts += [f"wait {record['data_wait']:.1%}", f"full {record['packing_efficiency']:.1%}"]
    if record["step"] < steps:
        parts.append(f"left {duration((steps - record['step']) * record['seconds_per_step'])}")
    return "  ".join(parts)


def evaluation_line(record: Mapping[str, Any]) -> str:
    """A line of what validation gave."""
    return "  ".join([f"     validation after step {record['step']}:", *_figures(record)])


def _figures(record: Mapping[str, Any]) -> list[str]:
    shown = []
    for name, value in record.items():
        if name in ("loss", "bound") or name.endswith("_loss"):
            shown.append(f"{name.replace('_', ' ')} {value:.4f}")
        elif name.rpartition("_")[2] in SHARES and value is not None:
            shown.append(f"{WORDS.get(name, name.replace('disc_', ''))} {value:.3f}")
    return shown


def duration(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> duration(3725), duration(59.6)
    ('1:02:05', '1:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
