"""Training: models, objectives, the loop, checkpoints, prediction. Needs PyTorch.

The public names are imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskgen.train.errors import TrainError
    from maskgen.train.loop import train
    from maskgen.train.objectives import MLM, Electra, ElectraResult, Measured, auc, tie
    from maskgen.train.predict import Predictor
    from maskgen.train.settings import TrainSettings

_HOMES = {
    "MLM": "maskgen.train.objectives",
    "Electra": "maskgen.train.objectives",
    "ElectraResult": "maskgen.train.objectives",
    "Measured": "maskgen.train.objectives",
    "Predictor": "maskgen.train.predict",
    "TrainError": "maskgen.train.errors",
    "TrainSettings": "maskgen.train.settings",
    "auc": "maskgen.train.objectives",
    "tie": "maskgen.train.objectives",
    "train": "maskgen.train.loop",
}

__all__ = [
    "MLM",
    "Electra",
    "ElectraResult",
    "Measured",
    "Predictor",
    "TrainError",
    "TrainSettings",
    "auc",
    "tie",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
