"""Which sentences, documents and datasets a sample is made of.

``build`` has the five functions of Megatron-LM's helper, ``reference`` their definition in plain Python, ``cache`` the
mappings of datasets on disk, ``splits`` and ``blends`` the words for parts of a dataset and mixtures of several.
"""

from maskgen.mapping.arguments import MappingError
from maskgen.mapping.blends import blend, normalized, parse_blend
from maskgen.mapping.build import (
    build_blending_indices,
    build_blocks_mapping,
    build_exhaustive_blending_indices,
    build_mapping,
    build_sample_idx,
)
from maskgen.mapping.cache import MappingFile, cached_mapping, mapping_file
from maskgen.mapping.npy_file import CacheFileError
from maskgen.mapping.splits import PARTS, parse_split, part_documents, split_bounds

__all__ = [
    "PARTS",
    "CacheFileError",
    "MappingError",
    "MappingFile",
    "blend",
    "build_blending_indices",
    "build_blocks_mapping",
    "build_exhaustive_blending_indices",
    "build_mapping",
    "build_sample_idx",
    "cached_mapping",
    "mapping_file",
    "normalized",
    "parse_blend",
    "parse_split",
    "part_documents",
    "split_bounds",
]
