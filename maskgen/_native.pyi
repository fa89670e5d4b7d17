"""Types of the native half of maskgen (csrc/maskgen_module.cpp)."""

from typing import Any

import numpy as np
import numpy.typing as npt

def build_info() -> str: ...
def legacy_doubles(seed: int, count: int) -> npt.NDArray[np.float64]: ...
def legacy_permutation(seed: int, count: int) -> npt.NDArray[np.int64]: ...

class MaskingSettings:
    def __init__(
        self,
        *,
        cls_id: int,
        sep_id: int,
        mask_id: int,
        masked_lm_prob: float,
        cumulative: npt.NDArray[np.float64],
        do_whole_word_mask: bool,
        do_permutation: bool,
        geometric_dist: bool,
        always_mask: bool,
        vocabulary_size: int,
        vocabulary: npt.NDArray[np.int32] | None = None,
    ) -> None: ...

def mask_sequence(
    *,
    tokens: list[int],
    starts: bytes,
    budget: float,
    settings: MaskingSettings,
    generator: Any,
    permutation_generator: Any,
) -> tuple[list[int], list[int], list[int], list[int], list[tuple[list[int], list[int]]], list[int]]: ...
