"""Which random generators the masking accepts: numpy's legacy ``RandomState`` over MT19937, whose stream is frozen."""

from typing import Any

import numpy as np

REMEDY = "pass numpy.random.RandomState(seed)"


def bit_generator_of(rng: Any, name: str) -> Any:
    """The bit generator that draws for `rng`; TypeError for a generator with another stream."""
    if not isinstance(rng, np.random.RandomState):
        kind = f"{type(rng).__module__}.{type(rng).__qualname__}"
        raise TypeError(f"{name} is a {kind}, whose stream is another one or not fixed for ever; {REMEDY}")
    bit_generator = rng._bit_generator
    if type(bit_generator) is not np.random.MT19937:
        raise TypeError(f"{name} is a RandomState over {type(bit_generator).__name__}, not over MT19937; {REMEDY}")
    return bit_generator
