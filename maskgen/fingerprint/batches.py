"""Stub."""

from typing import Any


def batches_stage(samples: Any, steps: Any, batch_size: int, threads: int, ranks: int) -> dict[str, Any]:
    """Stub."""
    raise NotImplementedError
