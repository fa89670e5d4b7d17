"""Samples as coloured tokens: what is predicted stands out, and each token says its id, its piece and what was there.

sample, restored form --pieces of SampleView--> <span> a token, joined as words are
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from maskgen.report.markup import text
from maskgen.report.mixture import Mixture, Pick
from maskgen.report.restored import KEPT, MASKED, PADDING, REPLACED, SPECIAL, WORDS, restore, with_spans
from maskgen.sample_view import Decode, SampleView
from maskgen.vocab import Vocab

LETTERS = {SPECIAL: "s", MASKED: "m", REPLACED: "r", KEPT: "k"}
NUMBERS = ("is_random", "truncated", "denoiser", "t", "weights")
LEGENDS = (("m", "masked", "the model reads [MASK]"), ("r", "replaced", "shown → original"),
           ("k", "kept", "to be predicted, shown as it is"), ("s", "special", ""))  # fmt: skip
SPAN_LEGENDS = (("t", "taken out", "a sentinel stands for it, the decoder predicts it"), ("s", "special", ""))


class ColouredView:
    """Shows samples of one vocabulary."""

    def __init__(self, vocab: Vocab, decode: Decode) -> None:
        self.vocab = vocab
        self.view = SampleView(vocab, decode, coloured=False)

    def legend(self, in_place: bool) -> str:
        """What the colours mean."""
        marks = (
            f'<span><span class="tok {letter}">{text(name)}</span> {text(meaning)}</span>'
            for letter, name, meaning in (LEGENDS if in_place else SPAN_LEGENDS)
        )
        return f'<p class="legend">{" ".join(marks)}</p>'

    def show(self, mixture: Mixture, pick: Pick, prefix: str) -> str:
        """One sample as an article."""
        samples = mixture.samples[pick.dataset]
        batch = samples.batch([pick.index], epoch=pick.epoch)
        scheme = samples.scheme if isinstance(samples.scheme, str) else samples.scheme.name
        length = int(batch["lengths"][0])
        width = batch["text" if "text" in batch else "text_enc"].shape[1]
        predicted = int(batch["loss_mask"][0].sum())
        known = [f"{name} {_number(batch[name][0])}" for name in NUMBERS if name in batch]
        line = [f"{length:,} of {width:,} tokens", f"{predicted:,} to predict", *known]
        restored = restore(scheme, batch, self.vocab)
        if restored is not None and restored.text is not None:
            count = int((restored.treatment[0] != PADDING).sum())
            columns = (restored.text, restored.tokens, restored.treatment)
            texts = [self._in_place(*(column[0, :count].tolist() for column in columns))]
        else:
            texts = self._decoded(batch, length, spans=restored is not None)
        epoch = f", epoch {pick.epoch}" if pick.epoch else ""
        title = f"sample {pick.index:,}{epoch}" + (f" of {prefix}" if len(mixture.samples) > 1 else "")
        inside = "\n".join(f'<p class="tokens">{each}</p>' for each in texts)
        return f"<article><h3>{text(title)}</h3><p>{text(', '.join(line))}</p>\n{inside}</article>"

    def _in_place(self, shown: Sequence[int], tokens: Sequence[int], treatment: Sequence[int]) -> str:
        words = []
        for id_, original, kind in zip(shown, tokens, treatment, strict=True):
            label = self.view.piece(original)
            if kind == REPLACED:
                label = f"{self.view.piece(id_)}→{label}"
            words.append((original, self._token(label, LETTERS.get(kind, ""), self._says(id_, original, kind))))
        return self.view.joined(words)

    def _decoded(self, batch: dict[str, Any], length: int, *, spans: bool) -> list[str]:
        """The encoder's text, with the words that sentinels stand for, and the decoder's targets."""
        targets = batch["labels"][0][batch["loss_mask"][0] == 1].tolist()
        text_ids = batch["text_enc"][0, :length].tolist()
        pairs = with_spans(text_ids, targets, self.vocab) if spans else [(id_, None) for id_ in text_ids]
        read = []
        for id_, inside in pairs:
            if inside is None:
                read.append((id_, self._plain(id_, "m" if id_ == self.vocab.mask_id else "")))
                continue
            says = f"id {self._named(id_)} · original {', '.join(map(self._named, inside))}"
            label = self.view.joined([(each, self.view.piece(each)) for each in inside])
            read.append((id_, self._token(f"{self.view.piece(id_)} {label}", "t", says)))
        sentinels = {id_ for id_, inside in pairs if inside is not None}
        written = [(id_, self._plain(id_, "t" if id_ in sentinels else "")) for id_ in targets]
        return [
            f'<b class="who">encoder reads</b> {self.view.joined(read)}',
            f'<b class="who">decoder predicts</b> {self.view.joined(written)}',
        ]

    def _plain(self, id_: int, letter: str) -> str:
        letter = letter or ("s" if id_ in self.vocab.special_ids else "")
        return self._token(self.view.piece(id_), letter, f"id {self._named(id_)}")

    def _says(self, id_: int, original: int, kind: int) -> str:
        here = f"id {self._named(id_)}"
        return (
            here
            if kind not in (MASKED, REPLACED, KEPT)
            else f"{here} · original {self._named(original)} · " + (WORDS[kind])
        )

    def _named(self, id_: int) -> str:
        return f"{id_} {self.vocab.pieces[id_]}"

    @staticmethod
    def _token(label: str, letter: str, says: str) -> str:
        kind = f"tok {letter}" if letter else "tok"
        focus = ' tabindex="0"' if letter in ("m", "r", "k", "t") else ""
        return f'<span class="{kind}" title="{text(says)}"{focus}>{text(label)}</span>'


def _number(value: Any) -> str:
    return f"{float(value):.4g}" if isinstance(value, np.floating) else str(int(value))
