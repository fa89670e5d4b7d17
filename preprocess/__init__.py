"""Offline half of maskgen: raw text to indexed datasets on disk."""

from preprocess.errors import IndexedDatasetError, MaskgenError
from preprocess.indexed.format import token_dtype
from preprocess.indexed.merge import merge_datasets
from preprocess.indexed.reader import IndexedDataset
from preprocess.indexed.verify import VerifyReport, verify_dataset
from preprocess.indexed.writer import IndexedDatasetWriter

__all__ = [
    "IndexedDataset",
    "IndexedDatasetError",
    "IndexedDatasetWriter",
    "MaskgenError",
    "VerifyReport",
    "merge_datasets",
    "token_dtype",
    "verify_dataset",
]
