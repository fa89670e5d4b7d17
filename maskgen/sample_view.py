"""Masked samples as people read them: text with marks at what is masked, and a line of facts.

Data flow: ids --pieces--> words, joined as the vocabulary's word starts say --marks, colours--> lines. Each mark shows
what the model sees and, after the arrow, what was there. The marks are the same with and without colours.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from maskgen.vocab import Vocab

RESET = "\x1b[0m"
COLOURS = {
    "masked": "\x1b[33m",
    "replaced": "\x1b[31m",
    "kept": "\x1b[32m",
    "sentinel": "\x1b[36m",
    "special": "\x1b[2m",
}
NUMBERS = ("is_random", "truncated", "denoiser", "t")  # of a sample: what its scheme says besides its text
OF_SPANS = ("t5", "span-corruption", "ul2")
Decode = Callable[[list[int]], str]


class SampleView:
    """Shows samples of one vocabulary; `decode` turns ids into text, where a piece alone does not read well."""

    def __init__(self, vocab: Vocab, decode: Decode, coloured: bool) -> None:
        self.vocab, self.decode, self.coloured = vocab, decode, coloured

    def legend(self, scheme: str) -> str:
        """What the marks mean, in one line."""
        if scheme == "ict":
            marks = ["a sentence as a query, and the block that it was taken from, after the title of its document"]
        elif scheme == "bart":
            marks = [self._mark("[MASK]", "masked") + " a span of words, or nothing; sentences are in another order"]
        elif scheme in OF_SPANS:
            marks = [self._mark("[SENTINEL→words]", "sentinel") + " the words that a sentinel stands for"]
        else:
            marks = [
                self._mark("[MASK→word]", "masked") + " masked",
                self._mark("[other→word]", "replaced") + " replaced by a random id",
                self._mark("[=word]", "kept") + " to be predicted, shown as it is",
            ]
        return " · ".join(marks)

    def show(self, index: int, sample: dict[str, Any]) -> str:
        """A line of facts and the text of a sample."""
        if "query_tokens" in sample:
            lines = self._block(index, sample)
        elif "text_dec" not in sample:
            lines = self._bert(index, sample)
        elif int(sample["labels"][0]) in self.vocab.sentinel_ids or int(sample["loss_mask"].sum()) < 2:
            lines = self._t5(index, sample)
        else:
            lines = self._denoised(index, sample)
        return "\n".join(lines) + "\n"

    def _bert(self, index: int, sample: dict[str, Any]) -> list[str]:
        length, masked = int(sample["padding_mask"].sum()), int(sample["loss_mask"].sum())
        facts = [
            f"{length} of {len(sample['text'])} tokens ({length / len(sample['text']):.0%} full)",
            f"{masked} to predict ({masked / max(length, 1):.1%})",
            *(f"{name} {sample[name]:.4g}" for name in NUMBERS if name in sample),
        ]
        words = []
        labels = np.where(sample["loss_mask"] == 1, sample["labels"], -1)[:length].tolist()
        for id_, label in zip(sample["text"][:length].tolist(), labels, strict=True):
            if label < 0:
                words.append((id_, self._plain(id_)))
            elif id_ == self.vocab.mask_id:
                words.append((label, self._mark(f"[MASK→{self.piece(label)}]", "masked")))
            elif id_ == label:
                words.append((label, self._mark(f"[={self.piece(label)}]", "kept")))
            else:
                words.append((label, self._mark(f"[{self.piece(id_)}→{self.piece(label)}]", "replaced")))
        return [f"sample {index}: {', '.join(facts)}", f"  {self.joined(words)}"]

    def _t5(self, index: int, sample: dict[str, Any]) -> list[str]:
        used = sample["labels"][sample["loss_mask"] == 1].tolist()
        sentinels = set(self.vocab.sentinel_ids)
        text = sample["text_enc"].tolist()
        while text and text[-1] == self.vocab.pad_id:
            text.pop()
        spans: dict[int, list[int]] = {}
        span: list[int] = []
        for id_ in used[:-1]:
            if id_ in sentinels and id_ not in spans:
                span = spans.setdefault(id_, [])
            else:
                span.append(id_)
        words = []
        for id_ in text:
            span = spans.get(id_, [])
            if span:
                inside = self.joined([(each, self.piece(each)) for each in span])
                words.append((span[0], self._mark(f"[{self.piece(id_)}→{inside}]", "sentinel")))
            else:
                words.append((id_, self._plain(id_)))
        facts = [
            f"{len(text)} of {len(sample['text_enc'])} tokens ({len(text) / len(sample['text_enc']):.0%} full)",
            f"{sum(map(len, spans.values()))} masked in {len(spans)} spans",
            f"{len(used)} of {len(sample['text_dec'])} for the decoder",
            *(f"{name} {sample[name]}" for name in NUMBERS if name in sample),
        ]
        decoder = [(id_, self._mark(self.piece(id_), "sentinel") if id_ in spans else self._plain(id_)) for id_ in used]
        return [
            f"sample {index}: {', '.join(facts)}",
            f"  {self.joined(words)}",
            f"  to predict: {self.joined(decoder)}",
        ]

    def _denoised(self, index: int, sample: dict[str, Any]) -> list[str]:
        """BART's: the text that the encoder reads, and the one that the decoder is to write."""
        text = sample["text_enc"][sample["padding_mask"] == 1].tolist()
        whole = sample["labels"][sample["loss_mask"] == 1].tolist()
        masks = text.count(self.vocab.mask_id)
        facts = [
            f"{len(text)} of {len(sample['text_enc'])} tokens for the encoder",
            f"{masks} masks",
            f"{len(whole)} to predict",
            f"truncated {sample['truncated']}",
        ]
        seen = [
            (id_, self._mark("[MASK]", "masked") if id_ == self.vocab.mask_id else self._plain(id_)) for id_ in text
        ]
        return [
            f"sample {index}: {', '.join(facts)}",
            f"  {self.joined(seen)}",
            f"  to predict: {self.joined([(id_, self._plain(id_)) for id_ in whole])}",
        ]

    def _block(self, index: int, sample: dict[str, Any]) -> list[str]:
        """A query and its block."""
        first, last, document, number = sample["block_data"].tolist()
        lines = [
            f"sample {index}: block {number} of document {document}, sentences {first} to {last - 1}, "
            f"query {'left in it' if sample['query_in_block'] else 'taken out'}"
        ]
        for name in ("query", "context"):
            ids = sample[f"{name}_tokens"][: sample[f"{name}_lengths"]].tolist()
            lines.append(f"  {name}: {self.joined([(id_, self._plain(id_)) for id_ in ids])}")
        return lines

    def joined(self, words: Sequence[tuple[int, str]]) -> str:
        """Words with spaces where one starts: as its id says, and around special tokens."""
        special, starts = self.vocab.special_ids, self.vocab.word_starts
        text, after_special = "", True
        for id_, shown in words:
            apart = bool(starts[id_]) or id_ in special or after_special
            text += (" " if text and apart else "") + shown
            after_special = id_ in special
        return text

    def _plain(self, id_: int) -> str:
        return self._mark(self.piece(id_), "special") if id_ in self.vocab.special_ids else self.piece(id_)

    def piece(self, id_: int) -> str:
        """An id as text: without the marker of its tokenizer, and nothing that a terminal would act upon."""
        piece = self.vocab.pieces[id_]
        text = self.decode([id_]).strip() if id_ not in self.vocab.special_ids else piece
        if not text or "\ufffd" in text:  # white space, or part of a character
            text = piece
        if text.startswith("##") and not self.vocab.word_starts[id_]:
            text = text[2:]
        return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)

    def _mark(self, text: str, kind: str) -> str:
        return f"{COLOURS[kind]}{text}{RESET}" if self.coloured else text
