"""Writing with a masked language model, several masks a step.

ids with masks --model--> logits --positions: which to fill; schedule: how many--> sampling: by what --> again, until
no mask is left; history keeps what was likely at each step, metrics say how good it is.

The public names are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskgen.history import History
    from maskgen.train.denoising.metrics import (
        Perplexity,
        Tally,
        exact_match,
        infill_accuracy,
        perplexity_by_unmasking,
        seq2seq_exact_match,
        seq2seq_token_accuracy,
    )
    from maskgen.train.denoising.predictor import Denoised, Denoiser
    from maskgen.train.denoising.texts import denoise_texts, model_of

_HOMES = {
    "Denoised": "maskgen.train.denoising.predictor",
    "Denoiser": "maskgen.train.denoising.predictor",
    "History": "maskgen.history",
    "Perplexity": "maskgen.train.denoising.metrics",
    "Tally": "maskgen.train.denoising.metrics",
    "denoise_texts": "maskgen.train.denoising.texts",
    "exact_match": "maskgen.train.denoising.metrics",
    "infill_accuracy": "maskgen.train.denoising.metrics",
    "model_of": "maskgen.train.denoising.texts",
    "perplexity_by_unmasking": "maskgen.train.denoising.metrics",
    "seq2seq_exact_match": "maskgen.train.denoising.metrics",
    "seq2seq_token_accuracy": "maskgen.train.denoising.metrics",
}

__all__ = [
    "Denoised",
    "Denoiser",
    "History",
    "Perplexity",
    "Tally",
    "denoise_texts",
    "exact_match",
    "infill_accuracy",
    "model_of",
    "perplexity_by_unmasking",
    "seq2seq_exact_match",
    "seq2seq_token_accuracy",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
