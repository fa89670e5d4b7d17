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

class SampleBuilder:
    def __init__(
        self,
        *,
        masking: MaskingSettings,
        starts: npt.NDArray[np.bool_],
        pad_id: int,
        bos_id: int,
        eos_id: int,
        sentinels: npt.NDArray[np.int32],
        binary_head: bool,
    ) -> None: ...
    def bert_batch(
        self,
        *,
        tokens: npt.NDArray[Any],
        pointers: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.int32],
        rows: npt.NDArray[np.int64],
        seeds: npt.NDArray[np.uint32],
        out: dict[str, npt.NDArray[Any]],
        threads: int,
        next_doubles: bool = False,
    ) -> tuple[int, int, npt.NDArray[np.float64]]: ...
    def t5_batch(
        self,
        *,
        tokens: npt.NDArray[Any],
        pointers: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.int32],
        rows: npt.NDArray[np.int64],
        seeds: npt.NDArray[np.uint32],
        out: dict[str, npt.NDArray[Any]],
        threads: int,
        next_doubles: bool = False,
    ) -> tuple[int, int, npt.NDArray[np.float64]]: ...
    def plain_batch(
        self,
        *,
        tokens: npt.NDArray[Any],
        lengths: npt.NDArray[np.int64],
        max_predictions: npt.NDArray[np.float64],
        seeds: npt.NDArray[np.uint32],
        out: dict[str, npt.NDArray[Any]],
        threads: int,
        next_doubles: bool = False,
    ) -> tuple[int, int, npt.NDArray[np.float64]]: ...

def ngram_lengths(*, settings: MaskingSettings, uniforms: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]: ...
def build_mapping(
    *,
    documents: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int32],
    num_epochs: int,
    max_num_samples: int,
    max_seq_length: int,
    short_seq_prob: float,
    seed: int,
    min_num_sent: int,
    memory_limit: int,
    wide: bool,
) -> npt.NDArray[Any]: ...
def build_blocks_mapping(
    *,
    documents: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int32],
    title_sizes: npt.NDArray[np.int32],
    num_epochs: int,
    max_num_samples: int,
    max_seq_length: int,
    seed: int,
    use_one_sent_blocks: bool,
    memory_limit: int,
    wide: bool,
) -> npt.NDArray[Any]: ...
def build_sample_idx(
    *,
    sizes: npt.NDArray[Any],
    document_idx: npt.NDArray[Any],
    seq_length: int,
    add_extra_token_to_sequence: int,
    num_epochs: int,
    tokens_per_epoch: int,
    drop_last_partial_sequence: bool,
    memory_limit: int,
    wide: bool,
) -> npt.NDArray[Any]: ...
def build_blending_indices(
    *, weights: npt.NDArray[np.float64], size: int, memory_limit: int, wide: bool, tournament_from: int = 400
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]: ...
def build_exhaustive_blending_indices(
    *, sizes: npt.NDArray[np.int64], memory_limit: int, wide: bool, tournament_from: int = 400
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]: ...
