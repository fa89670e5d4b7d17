"""Offline half of maskgen: raw text to indexed datasets on disk."""

from typing import TYPE_CHECKING, Any

from preprocess._native import lost_page_count
from preprocess.errors import IndexedDatasetError, MaskgenError
from preprocess.indexed.format import token_dtype
from preprocess.indexed.merge import merge_datasets
from preprocess.indexed.reader import IndexedDataset
from preprocess.indexed.verify import VerifyReport, verify_dataset
from preprocess.indexed.writer import IndexedDatasetWriter

if TYPE_CHECKING:
    from preprocess.tokenization import encode_documents, load_tokenizer

__all__ = [
    "IndexedDataset",
    "IndexedDatasetError",
    "IndexedDatasetWriter",
    "MaskgenError",
    "VerifyReport",
    "encode_documents",
    "load_tokenizer",
    "lost_page_count",
    "merge_datasets",
    "token_dtype",
    "verify_dataset",
]


def __getattr__(name: str) -> Any:
    """Import the tokenizers when they are asked for: training jobs that only read datasets never need them."""
    if name in ("encode_documents", "load_tokenizer"):
        from preprocess import tokenization

        return getattr(tokenization, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
