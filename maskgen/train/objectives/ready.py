"""Batches that are masked already: what an objective needs of them, whichever way they were made.

samples.batch, Loader, DataLoader, DeviceMasking --> names --> text, real tokens, flat places and labels
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from maskgen.on_device import check_tokens
from maskgen.train.errors import TrainError

Batch = Mapping[str, Tensor]


class Places(NamedTuple):
    """What is to be predicted: positions in the flattened batch, and the original ids there."""

    positions: Tensor
    labels: Tensor


def checked(batch: Mapping[str, Any]) -> dict[str, Tensor]:
    """The batch as tensors, after a look at the names."""
    if "text" not in batch:
        hint = "samples with a decoder need a model with one" if "text_enc" in batch else "pass samples.batch(...)"
        raise TrainError(f"a batch with {', '.join(map(str, batch)) or 'nothing'}; expected text and labels; {hint}")
    if "labels" not in batch and not {"masked_positions", "masked_labels"} <= set(batch):
        raise TrainError("a batch without labels; expected a masked one; pass the tokens alone to mask them here")
    tensors = {name: torch.as_tensor(value) for name, value in batch.items()}
    check_tokens(tensors["text"])
    return tensors


def places(batch: Batch) -> Places:
    """Where there is something to predict: the packed arrays, or what the rows say (-1 and less: nothing)."""
    if "masked_positions" in batch and "masked_labels" in batch:
        return Places(batch["masked_positions"].long(), batch["masked_labels"].long())
    labels = batch["labels"].flatten().long()
    chosen = batch["loss_mask"].flatten() != 0 if "loss_mask" in batch else labels >= 0
    positions = chosen.nonzero().squeeze(1)
    return Places(positions, labels[positions])


def real_tokens(batch: Batch) -> Tensor:
    """True where there is a token, [B, L]."""
    if "padding_mask" not in batch:
        raise TrainError("a batch without padding_mask; expected 1 where there are tokens; pass samples.batch(...)")
    return batch["padding_mask"] != 0


def positions_of(attention_mask: Tensor) -> Tensor:
    """The place of each token among those of its row, wherever the padding is; 0 in padding before them."""
    return (attention_mask.long().cumsum(-1) - 1).clamp(min=0)


def count(number: int, like: Tensor) -> Tensor:
    """A number that the host knows, on the device of another tensor, without a copy that waits."""
    return torch.full((), number, dtype=torch.int64, device=like.device)
