"""What is wrong with a training run, said before it costs anything."""

from preprocess.errors import MaskgenError


class TrainError(MaskgenError):
    """A setting, checkpoint or batch that training cannot use: what, found, expected, what to do."""


class SaidError(TrainError):
    """What another rank says, word for word: once is enough."""
