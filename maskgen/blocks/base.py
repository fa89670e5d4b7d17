"""What samples and blocks share: access by index, and the arrays of a text."""

import numpy as np

from maskgen.blocks.texts import BlockTexts
from maskgen.samples.arrays import Batch, Field
from maskgen.samples.unmasked import Unmasked
from maskgen.vocab import Ids


class OfBlocks(Unmasked):
    """One of them for each row of a block mapping."""

    texts: BlockTexts

    def __len__(self) -> int:
        return len(self.texts)

    def _check_pages(self, before: int) -> None:
        self.texts.check_pages(before)


def text_fields(name: str, texts: BlockTexts) -> tuple[Field, ...]:
    """The arrays of one text: its tokens, what of them is no padding, and how many these are."""
    width = texts.max_seq_length
    return (
        Field(f"{name}_tokens", "row", width, 0, len(texts.vocab) - 1),
        Field(f"{name}_pad_mask", "row", width, 0, 1),
        Field(f"{name}_lengths", "number", width, 0, width),
    )


def write_text(out: Batch, name: str, row: int, tokens: Ids, pad_id: int) -> None:
    """Write one text into its arrays."""
    length = len(tokens)
    out[f"{name}_tokens"][row, :length] = tokens
    out[f"{name}_tokens"][row, length:] = pad_id
    out[f"{name}_pad_mask"][row] = np.arange(out[f"{name}_pad_mask"].shape[1]) < length
    out[f"{name}_lengths"][row] = length
