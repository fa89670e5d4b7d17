"""The golden mappings, and how each is asked for."""

import json

import numpy as np
from helpers import GOLDEN

from maskgen import mapping

ENGINES = ("native", "reference")
ARRAYS = {
    "build_mapping": ("docs", "sizes"),
    "build_blocks_mapping": ("docs", "sizes", "titles"),
    "build_sample_idx": ("sizes", "docidx"),
    "build_blending_indices": ("weights",),
    "build_exhaustive_blending_indices": ("sizes",),
}
RESULTS = {name: ("dataset", "sample") if "blending" in name else ("out",) for name in ARRAYS}


def golden_cases():
    """(name, function, positional arrays, keyword arguments, expected arrays) of every case."""
    cases = []
    for file in ("mappings", "mappings_edge"):
        arrays = np.load(GOLDEN / f"{file}.npz", allow_pickle=False)
        for case in json.loads((GOLDEN / f"{file}.json").read_text()):
            name, function = case.pop("name"), case.pop("function")
            given = [arrays[f"{name}_{array}"] for array in ARRAYS[function]]
            expected = [arrays[f"{name}_{array}"] for array in RESULTS[function]]
            cases.append((name, function, given, case, expected))
    return cases


def call(function, *arguments, **keywords):
    """The arrays that one of the five functions returns, as a list."""
    result = getattr(mapping, function)(*arguments, **keywords)
    return list(result) if isinstance(result, tuple) else [result]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
