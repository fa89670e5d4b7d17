"""Samples of any scheme brought into one form: the tokens that were there, and what became of each.

batch of arrays --> tokens [B, L], treatment of each (PADDING, PLAIN, SPECIAL, MASKED, REPLACED, KEPT, TAKEN)
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from maskgen.samples.arrays import Batch
from maskgen.vocab import Ids, Table, Vocab

PADDING, PLAIN, SPECIAL, MASKED, REPLACED, KEPT, TAKEN = range(7)
WORDS = ("padding", "not predicted", "special", "masked", "replaced", "kept", "taken out")
PREDICTED = (MASKED, REPLACED, KEPT, TAKEN)
MOVED = ("bart",)  # schemes whose tokens do not keep their order: there is no form to bring them into


@dataclass(frozen=True)
class Restored:
    """`tokens` before masking, `treatment` of each, and what the model reads, where tokens keep their places."""

    tokens: Ids
    treatment: npt.NDArray[np.int8]
    text: Ids | None


def restore(scheme: str, batch: Batch, vocab: Vocab) -> Restored | None:
    """The form of the samples in `batch`; None for schemes that move tokens."""
    if scheme in MOVED:
        return None
    return _in_place(batch, vocab) if "text" in batch else _from_sentinels(batch, vocab)


def _in_place(batch: Batch, vocab: Vocab) -> Restored:
    text = np.asarray(batch["text"], np.int64)
    chosen = np.asarray(batch["loss_mask"]) == 1
    tokens: Ids = np.where(chosen, batch["labels"], text)
    treatment = _without_masks(tokens, np.asarray(batch["padding_mask"]) == 1, vocab)
    treatment[chosen] = REPLACED
    treatment[chosen & (text == tokens)] = KEPT
    treatment[chosen & (text == vocab.mask_id)] = MASKED
    return Restored(tokens, treatment, text)


def _from_sentinels(batch: Batch, vocab: Vocab) -> Restored:
    """The encoder's text with each span in the place of its sentinel."""
    rows = []
    for row in range(len(batch["lengths"])):
        text = batch["text_enc"][row, : batch["lengths"][row]].tolist()
        targets = batch["labels"][row][batch["loss_mask"][row] == 1].tolist()
        rows.append(_filled_in(text, targets, vocab))
    width = max((len(ids) for ids, _ in rows), default=0)
    tokens: Ids = np.zeros((len(rows), width), np.int64)
    used: Table = np.zeros(tokens.shape, np.bool_)
    taken: Table = np.zeros(tokens.shape, np.bool_)
    for row, (ids, marks) in enumerate(rows):
        tokens[row, : len(ids)], used[row, : len(ids)], taken[row, : len(ids)] = ids, True, marks
    treatment = _without_masks(tokens, used, vocab)
    treatment[taken] = TAKEN
    return Restored(tokens, treatment, None)


def _filled_in(text: list[int], targets: list[int], vocab: Vocab) -> tuple[list[int], list[bool]]:
    ids: list[int] = []
    taken: list[bool] = []
    for id_, inside in with_spans(text, targets, vocab):
        ids += [id_] if inside is None else inside
        taken += [False] if inside is None else [True] * len(inside)
    return ids, taken


def with_spans(text: list[int], targets: list[int], vocab: Vocab) -> list[tuple[int, list[int] | None]]:
    """The encoder's ids, and for sentinels the span of the decoder's targets that each stands for.

    Sentinels come in their order, so that an ordinary token with the id of another one is seen for what it is.
    """
    spans: list[list[int]] = []
    for id_ in targets[:-1]:  # the last is the end
        if len(spans) < len(vocab.sentinel_ids) and id_ == vocab.sentinel_ids[len(spans)]:
            spans.append([])
        elif spans:
            spans[-1].append(id_)
    found: list[tuple[int, list[int] | None]] = []
    met = 0
    for id_ in text:
        is_next = met < len(spans) and id_ == vocab.sentinel_ids[met]
        found.append((id_, spans[met] if is_next else None))
        met += is_next
    return found


def _without_masks(tokens: Ids, used: Table, vocab: Vocab) -> npt.NDArray[np.int8]:
    special = np.zeros(len(vocab), np.bool_)
    special[list(vocab.special_ids)] = True
    treatment = np.where(special[tokens], SPECIAL, PLAIN).astype(np.int8)
    treatment[~used] = PADDING
    return treatment
