"""A document as ``maskgen inspect`` shows it: its sequences, where it came from, and how its line begins there."""

import os

from maskgen.input_places import InputPlaces
from maskgen.inspection import check_document, is_other_mode, show_document, show_origin
from maskgen.look.pieces import BOLD, DIM, PieceView
from maskgen.look.raw_lines import beginning
from preprocess import IndexedDataset
from preprocess.indexed.sidecar import read_sidecar
from preprocess.pipeline.provenance import lines_path, origins
from preprocess.tokenization import Tokenizer


class DocumentView:
    """Shows documents of one dataset."""

    def __init__(
        self,
        dataset: IndexedDataset,
        tokenizer: Tokenizer | None,
        pieces: PieceView,
        places: InputPlaces,
        *,
        plain: bool,
    ) -> None:
        self._dataset, self._pieces, self._places = dataset, pieces, places
        self._decode = None if tokenizer is None else tokenizer.decode
        self._plain = plain  # text as the tokenizer decodes it: what programs may read

    def show(self, document: int) -> str:
        """Facts, sequences, origin."""
        return self._shown(document) + self.origin(document)

    def _shown(self, document: int) -> str:
        if self._plain:
            return show_document(self._dataset, document, self._decode)
        document = check_document(self._dataset, document)
        first, last = (int(each) for each in self._dataset.document_indices[document : document + 2])
        total = sum(len(sequence) for sequence in self._dataset[first:last])
        paint = self._pieces.paint
        lines = [paint(f"document {document}", BOLD) + f": {last - first} sequences, {total} tokens"]
        for index in range(first, last):
            ids = self._dataset[index].tolist()
            is_image = is_other_mode(self._dataset, index)
            text = "no ids: the bytes of an image" if is_image else self._pieces.text(ids)
            lines.append(f"  {paint(f'[{index}] {len(ids)} tokens:', DIM)} {text}")
        return "\n".join(lines) + "\n"

    def origin(self, document: int, indent: str = "") -> str:
        """Where a document came from, and how its line begins there, as far as that is known."""
        if not os.path.exists(lines_path(self._dataset.prefix)):
            return ""
        document = check_document(self._dataset, document)
        found, sidecar = origins(self._dataset.prefix, [document]), read_sidecar(self._dataset.prefix)
        if found is None or sidecar is None:
            return ""
        raw = beginning(sidecar, found[0], self._places)
        line = show_origin(self._dataset, document)
        return f"{indent}{line}{indent}    {self._pieces.paint(raw, DIM)}\n"
