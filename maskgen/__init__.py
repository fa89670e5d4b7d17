"""Online half of maskgen: indexed datasets to masked training batches, and the ``maskgen`` command.

The public names are imported when they are first used, so that ``maskgen --help`` stays instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskgen.batches import BatchSource, Blend
    from maskgen.masking import MaskedLmPredictions, MaskedSpan, create_masked_lm_predictions
    from maskgen.on_device import DeviceMasking
    from maskgen.rows import Chunks, Documents, PackedDocuments, RowBatch
    from maskgen.samples import BertSamples, RowMasker, T5Samples, to_hf
    from maskgen.schemes import NextSentenceSamples, SchemeSamples
    from maskgen.vocab import Vocab

_HOMES = {
    "BatchSource": "maskgen.batches",
    "BertSamples": "maskgen.samples",
    "Blend": "maskgen.batches",
    "Chunks": "maskgen.rows",
    "DeviceMasking": "maskgen.on_device",
    "Documents": "maskgen.rows",
    "MaskedLmPredictions": "maskgen.masking",
    "MaskedSpan": "maskgen.masking",
    "NextSentenceSamples": "maskgen.schemes",
    "PackedDocuments": "maskgen.rows",
    "RowBatch": "maskgen.rows",
    "RowMasker": "maskgen.samples",
    "SchemeSamples": "maskgen.schemes",
    "T5Samples": "maskgen.samples",
    "Vocab": "maskgen.vocab",
    "create_masked_lm_predictions": "maskgen.masking",
    "to_hf": "maskgen.samples",
}

__all__ = [
    "BatchSource",
    "BertSamples",
    "Blend",
    "Chunks",
    "DeviceMasking",
    "Documents",
    "MaskedLmPredictions",
    "MaskedSpan",
    "NextSentenceSamples",
    "PackedDocuments",
    "RowBatch",
    "RowMasker",
    "SchemeSamples",
    "T5Samples",
    "Vocab",
    "create_masked_lm_predictions",
    "to_hf",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
