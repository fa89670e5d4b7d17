"""From a ready batch to what encoders take beside its tokens.

batch --encoder_inputs--> padding_mask, token_types, positions, document_ids  (, unpadded, boundaries)
batch on the host --unpadding--> unpadded, boundaries: where its tokens are, and where its documents begin and end
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from maskgen.train.errors import TrainError

_SAME_NAME = ("positions", "document_ids", "unpadded", "boundaries")


def encoder_inputs(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What an Encoder takes by keyword, from a ready batch of any scheme.

    The padding mask is left out where nothing is padded, since attention without a mask is faster: told from
    `unpadded` (see unpadding), or on the CPU by looking. On an accelerator looking would make the host wait.
    """
    tokens = _tokens(batch)
    inputs = {name: batch[name] for name in _SAME_NAME if name in batch}
    mask = batch.get("padding_mask")
    if mask is not None and not _full(batch, mask):
        inputs["padding_mask"] = mask
    if "types" in batch:
        # The padding of types holds the padding id, which may be no type at all.
        types = batch["types"]
        inputs["token_types"] = types if mask is None else torch.where(mask.bool(), types, 0)
    if "document_ids" in inputs and inputs["document_ids"].shape != tokens.shape:
        raise TrainError(
            f"document_ids of shape {tuple(inputs['document_ids'].shape)} for tokens of shape {tuple(tokens.shape)}; "
            "expected the same; pass the batch of one call of samples.batch"
        )
    return inputs


def _full(batch: Mapping[str, Tensor], mask: Tensor) -> bool:
    if "unpadded" in batch:
        return batch["unpadded"].numel() == mask.numel()
    # Under torch.compile a look at the values would end the graph.
    return mask.device.type == "cpu" and not torch.compiler.is_compiling() and bool(mask.all())


def unpadding(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Where the tokens of a batch are: `unpadded` (int64 [T], flat places) and `boundaries` (int32 [D + 1]).

    Documents, or rows where a batch has none, lie end to end between the boundaries. To be called on the host, for
    each micro-batch, before it goes to the device: on the device it makes the host wait. With both in its batch, a
    modern encoder on CUDA computes for real tokens alone.
    """
    tokens = _tokens(batch)
    mask, ids = batch.get("padding_mask"), batch.get("document_ids")
    if mask is None:
        mask = torch.ones_like(tokens) if ids is None else ids >= 0
    unpadded = mask.flatten().nonzero().squeeze(1)
    rows = torch.arange(len(tokens), device=tokens.device)[:, None].expand_as(tokens)
    label = rows if ids is None else rows * (tokens.shape[1] + 1) + ids
    label = label.flatten()[unpadded]
    begins = torch.ones_like(label, dtype=torch.bool)
    begins[1:] = label[1:] != label[:-1]
    ends = torch.tensor([len(label)], device=tokens.device)
    return {"unpadded": unpadded, "boundaries": torch.cat((begins.nonzero().squeeze(1), ends)).int()}


def document_positions(document_ids: Tensor) -> Tensor:
    """Positions that begin anew in each document of a row."""
    places = torch.arange(document_ids.shape[1], device=document_ids.device).expand_as(document_ids)
    begins = torch.ones_like(document_ids, dtype=torch.bool)
    begins[:, 1:] = document_ids[:, 1:] != document_ids[:, :-1]
    return places - torch.where(begins, places, 0).cummax(dim=1).values


def _tokens(batch: Mapping[str, Any]) -> Tensor:
    if "text" not in batch:
        names = ", ".join(map(str, batch)) or "nothing"
        raise TrainError(
            f"a batch with {names}; expected one with text; schemes with a decoder train encoder-decoder models "
            "(docs/encoder-decoders.md)"
        )
    tokens: Tensor = batch["text"]
    return tokens
