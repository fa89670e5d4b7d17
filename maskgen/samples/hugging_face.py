"""Samples and batches under the names, and with the conventions, of Hugging Face models.

samples[i] | samples.batch(...) --> input_ids, attention_mask, labels (-100 where nothing is to be predicted), ...
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.samples.errors import SampleError

IGNORED = -100  # the label that the losses of Hugging Face skip


def to_hf(
    batch: Mapping[str, Any], *, next_sentence: bool = False, pad_id: int | None = None
) -> dict[str, npt.NDArray[np.int64]]:
    """A sample or a batch of BertSamples or T5Samples as Hugging Face models take it: int64 arrays by keyword.

    BERT: input_ids, attention_mask, token_type_ids, labels. `next_sentence` adds next_sentence_label (1 where the two
    parts are swapped) for BertForPreTraining; other models have no such argument. T5: input_ids, attention_mask,
    decoder_input_ids, decoder_attention_mask, labels. A single sample of T5 does not say where its padding begins:
    give the `pad_id` of the vocabulary with it.
    """
    if "text_dec" in batch:
        if next_sentence:
            raise SampleError("next_sentence for samples of T5; expected samples of BERT; leave it out")
        return {
            "input_ids": _int64(batch["text_enc"]),
            "attention_mask": _attention(batch, pad_id),
            "decoder_input_ids": _int64(batch["text_dec"]),
            "decoder_attention_mask": _int64(batch["loss_mask"]),
            "labels": _labels(batch),
        }
    if "text" not in batch:
        raise SampleError(
            f"a batch with {', '.join(map(str, batch)) or 'nothing'}; expected one of BertSamples or T5Samples; pass "
            "samples[i] or samples.batch(indices)"
        )
    result = {
        "input_ids": _int64(batch["text"]),
        "attention_mask": _int64(batch["padding_mask"]),
        # Megatron-LM fills types with the padding id, which may be no type at all.
        "token_type_ids": np.where(_int64(batch["padding_mask"]) != 0, _int64(batch["types"]), 0),
        "labels": _labels(batch),
    }
    if next_sentence:
        result["next_sentence_label"] = _int64(batch["is_random"])
    return result


def _int64(array: Any) -> npt.NDArray[np.int64]:
    return np.asarray(array, np.int64)  # the same array where it has that type


def _labels(batch: Mapping[str, Any]) -> npt.NDArray[np.int64]:
    return np.where(_int64(batch["loss_mask"]) != 0, _int64(batch["labels"]), IGNORED)


def _attention(batch: Mapping[str, Any], pad_id: int | None) -> npt.NDArray[np.int64]:
    if "padding_mask" in batch:
        return _int64(batch["padding_mask"])
    if pad_id is None:
        raise SampleError("a single sample of T5 without pad_id; expected the id of its padding; pass vocab.pad_id")
    used = np.flatnonzero(_int64(batch["text_enc"]) != pad_id)
    length = int(used[-1]) + 1 if len(used) else 0
    return (np.arange(len(batch["text_enc"])) < length).astype(np.int64)
