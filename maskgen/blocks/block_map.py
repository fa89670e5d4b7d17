"""The rows of a block mapping, checked once against the datasets that they are about.

A row is (first sentence, one past the last, document, number of the block), as build_blocks_mapping returns it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from maskgen.samples.errors import SampleError
from maskgen.samples.sample_map import CHUNK, KEPT_TYPES
from preprocess import IndexedDataset

Map = npt.NDArray[Any]
COLUMNS = 4


def check_blocks(block_map: Any, dataset: IndexedDataset, first_document: int) -> Map:
    """The mapping as an array whose rows are sentences of the documents that they name."""
    rows: Map = np.asanyarray(block_map)
    if rows.ndim != 2 or rows.shape[1] != COLUMNS:
        raise SampleError(
            f"the block mapping has the shape {rows.shape}; expected (blocks, {COLUMNS}): first sentence, one past the "
            "last, document, number of the block; build it with maskgen.mapping.build_blocks_mapping"
        )
    if rows.dtype.kind not in "iu":
        raise SampleError(f"the block mapping holds {rows.dtype}; expected integers; build it with maskgen.mapping")
    if rows.dtype.str[1:] not in KEPT_TYPES or not rows.dtype.isnative:
        rows = rows.astype(np.int64)
    bounds = np.asarray(dataset.document_indices)
    for begin in range(0, len(rows), CHUNK):
        first, last, document, number = rows[begin : begin + CHUNK].astype(np.int64).T
        document = document + first_document
        known = (document >= first_document) & (document < len(bounds) - 1)
        owner = np.where(known, document, 0)
        sound = known & (bounds[owner] <= first) & (first < last) & (last <= bounds[owner + 1]) & (number >= 0)
        if not sound.all():
            place = begin + int(np.argmin(sound))
            raise SampleError(
                f"{dataset.prefix}: row {place} of the block mapping is {tuple(rows[place].tolist())}; expected "
                f"sentences of one of its documents {first_document} to {len(bounds) - 2}, that document counted from "
                f"{first_document}, and a number; build the mapping from this dataset, and pass the first_document of "
                "its part"
            )
    return rows
