"""Splits of documents into training, validation and test."""

import pytest

from maskgen.mapping import MappingError, parse_split, part_documents, split_bounds


def test_parse_split():
    assert parse_split("969,30,1") == [0.969, 0.03, 0.001]
    assert parse_split("0.9/0.1") == [0.9, 0.1, 0.0]
    assert parse_split("1") == [1.0, 0.0, 0.0]
    assert parse_split("0,0,5") == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    "split", ["", "a", "1,,1", "1,2,3,4", "0,0,0", "-1,2", "nan", "inf,1", "1e308,1e308", "1;2", None]
)
def test_bad_splits(split):
    with pytest.raises(MappingError, match=r"split is .*as in 969,30,1"):
        parse_split(split)


def test_bounds_round_the_cumulative_fractions():
    assert split_bounds("969,30,1", 1000) == [0, 969, 999, 1000]
    assert split_bounds("969,30,1", 10) == [0, 10, 10, 10]
    assert split_bounds("1,1,1", 100) == [0, 33, 67, 100]
    assert split_bounds("1,1", 5) == [0, 2, 5, 5]  # 2.5 rounds to the even number, as in Python
    assert split_bounds("1,1,1", 0) == [0, 0, 0, 0]


def test_bounds_of_numbers():
    assert split_bounds([3, 1], 8) == split_bounds("3,1", 8) == [0, 6, 8, 8]
    for split in ([2.0, -1], [float("nan")], [0, 0], [], ["x"], [1, 1, 1, 1], None):
        with pytest.raises(MappingError, match=r"split is .*as in 969,30,1"):
            split_bounds(split, 10)


def test_bounds_of_2022_round_each_part():
    assert split_bounds("969,30,1", 1000, scheme="2022") == [0, 969, 999, 1000]
    assert split_bounds("1,1,1", 100, scheme="2022") == [0, 34, 67, 100]
    assert split_bounds("0.5/0.5", 7, scheme="2022") == [0, 3, 7, 7]
    with pytest.raises(MappingError, match="scheme is '2021'"):
        split_bounds("1", 3, scheme="2021")


@pytest.mark.parametrize("scheme", ["current", "2022"])
@pytest.mark.parametrize("split", ["969,30,1", "1,1,1", "0.1/0.9", "1,0,1", "0,0,1", "98,1,1"])
def test_every_document_is_in_exactly_one_part(split, scheme):
    for documents in (0, 1, 2, 3, 7, 100, 999, 10**12 + 1):
        bounds = split_bounds(split, documents, scheme=scheme)
        assert bounds[0] == 0
        assert bounds[-1] == documents
        assert bounds == sorted(bounds)


def test_part_documents():
    assert part_documents(None, None, 7) == (0, 7)
    assert part_documents("8,1,1", "valid", 10) == part_documents("8,1,1", 1, 10) == (8, 9)
    for split, part in (("1,1", None), (None, "train"), ("1,1", "dev"), ("1,1", 3), ("1,1", -1)):
        with pytest.raises(MappingError, match="part"):
            part_documents(split, part, 10)
