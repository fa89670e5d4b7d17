"""The masking in C++, drawing from the caller's own generator: the same results and draws as the reference."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen import _native
from maskgen.masking.generators import bit_generator_of
from maskgen.masking.predictions import MaskedLmPredictions, MaskedSpan
from maskgen.masking.settings import MaskingSettings


def predict(
    tokens: list[int],
    starts: bytes,
    settings: MaskingSettings,
    budget: float,
    vocab_ids: Sequence[int] | npt.NDArray[Any],
    rng: np.random.RandomState,
    permutation_rng: np.random.RandomState,
) -> MaskedLmPredictions:
    """Mask `tokens` as ``maskgen.masking.reference.predict`` does."""
    generator = bit_generator_of(rng, "np_rng")
    other = bit_generator_of(permutation_rng, "permutation_rng")
    with ExitStack() as locks:
        # In one order whichever is which, so that two threads with the same two generators never wait for each other.
        for each in sorted({id(generator): generator, id(other): other}.items()):
            locks.enter_context(each[1].lock)
        output, positions, labels, boundaries, spans, replaced = _native.mask_sequence(
            tokens=tokens,
            starts=starts,
            budget=budget,
            settings=native_settings_for(settings, len(vocab_ids)),
            generator=generator.capsule,
            permutation_generator=other.capsule,
        )
    for place in replaced:
        output[place] = int(vocab_ids[output[place]])
    return MaskedLmPredictions(output, positions, labels, boundaries, [MaskedSpan(*span) for span in spans])


@lru_cache(maxsize=64)
def native_settings_for(settings: MaskingSettings, vocabulary_size: int) -> _native.MaskingSettings:
    """The settings as the kernels read them, for replacements by the numbers from 0 to `vocabulary_size`."""
    return native_settings(settings, range(vocabulary_size))


def native_settings(settings: MaskingSettings, replacements: range | npt.NDArray[np.int64]) -> _native.MaskingSettings:
    """The settings as the kernels read them, with the ids that may replace a token."""
    in_order = isinstance(replacements, range) or np.array_equal(replacements, np.arange(len(replacements)))
    return _native.MaskingSettings(
        cls_id=settings.cls_id,
        sep_id=settings.sep_id,
        mask_id=settings.mask_id,
        masked_lm_prob=settings.masked_lm_prob,
        cumulative=settings.cumulative,
        do_whole_word_mask=settings.do_whole_word_mask,
        do_permutation=settings.do_permutation,
        geometric_dist=settings.geometric_dist,
        always_mask=settings.masking_style == "t5",
        vocabulary_size=len(replacements),
        vocabulary=None if in_order else np.asarray(replacements, np.int32),
    )
