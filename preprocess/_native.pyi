"""Types of the native half of preprocess (csrc/preprocess_module.cpp)."""

from collections.abc import Callable, Iterable, Mapping, Set

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

def build_info() -> str: ...

class FileMap(Buffer):
    def __init__(self, path: str | bytes) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    @property
    def identity(self) -> tuple[int, int, int, int]: ...

def lost_page_count() -> int: ...
def on_lost_page(callback: Callable[[], object]) -> None: ...

class BadTextError(ValueError): ...

class WordPieceEngine:
    def __init__(
        self,
        *,
        vocabulary: Mapping[str, int],
        continuing_prefix: str,
        unknown_id: int,
        max_code_points: int,
        literals: list[str],
        learn: Callable[[int], tuple[bytes, bool]],
        encode: Callable[[str], Iterable[int]],
    ) -> None: ...
    def encode_batch(
        self, texts: list[str | bytes], *, threads: int, sample_one_in: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], list[int]]: ...
    def encode_json(self, content: bytes) -> npt.NDArray[np.int32] | None: ...

class SentenceSplitter:
    def __init__(
        self, *, never_last: Set[str], before_numbers: Set[str], sometimes_last: Set[str], starters: Set[str]
    ) -> None: ...
    def starts(self, text: bytes) -> list[int]: ...
