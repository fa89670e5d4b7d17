"""Types of the native half of maskgen (csrc/maskgen_module.cpp)."""

from typing import Any

import numpy as np
import numpy.typing as npt

def build_info() -> str: ...
def legacy_doubles(seed: int, count: int) -> npt.NDArray[np.float64]: ...
def legacy_permutation(seed: int, count: int) -> npt.NDArray[np.int64]: ...
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
