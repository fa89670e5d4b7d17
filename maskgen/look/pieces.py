"""Tokens as people read them: words joined as they stood, with colours for what is not plain.

ids --> pieces, marked: special tokens dim, unknown ones red, what goes on inside a word coloured --> text
"""

from collections.abc import Sequence

from maskgen.sample_view import COLOURS, RESET, SampleView
from maskgen.vocab import Vocab
from preprocess.tokenization import Tokenizer

BOLD, DIM, RED, CYAN, REVERSE = "\x1b[1m", COLOURS["special"], COLOURS["replaced"], COLOURS["sentinel"], "\x1b[7m"


class PieceView(SampleView):
    """Shows ids of one vocabulary; with `apart`, each piece by itself, as the vocabulary has it."""

    def __init__(
        self, vocab: Vocab | None, tokenizer: Tokenizer | None, *, coloured: bool, apart: bool = False
    ) -> None:
        self._known = vocab
        self._unknown = None if tokenizer is None else tokenizer.roles.unk
        self._apart = apart
        if vocab is not None and tokenizer is not None:
            super().__init__(vocab, tokenizer.decode, coloured)
        self.coloured = coloured

    def text(self, ids: Sequence[int], found: range = range(0)) -> str:
        """The ids as text, between « and » those at the places `found`."""
        shown = []
        for place, id_ in enumerate(ids):
            piece = self.paint(self._shown(id_), REVERSE if place in found else self._colour(id_))
            if place in found:
                piece = "«" * (place == found[0]) + piece + "»" * (place == found[-1])
            shown.append((id_, piece))
        vocab = self._known
        if vocab is None or self._apart or not all(0 <= id_ < len(vocab) for id_ in ids):
            return " ".join(piece for _, piece in shown)
        return self.joined(shown)

    def goes_on(self, id_: int) -> bool:
        """Whether an id stands inside a word."""
        vocab = self._known
        return vocab is not None and 0 <= id_ < len(vocab) and not vocab.word_starts[id_]

    def paint(self, text: str, colour: str) -> str:
        """`text` in a colour, where colours are seen."""
        return f"{colour}{text}{RESET}" if self.coloured and colour and text else text

    def _shown(self, id_: int) -> str:
        vocab = self._known
        if vocab is None or not 0 <= id_ < len(vocab):
            return str(id_) if vocab is None else f"<{id_}>"
        if not self._apart:
            return self.piece(id_)
        piece = vocab.pieces[id_]
        return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in piece)

    def _colour(self, id_: int) -> str:
        vocab = self._known
        if vocab is None:
            return ""
        if not 0 <= id_ < len(vocab) or id_ == self._unknown:
            return RED
        if id_ in vocab.special_ids:
            return DIM
        return "" if vocab.word_starts[id_] else CYAN
