"""Hostile arguments: those that crash or corrupt the existing helper (cases 36 to 44), and their neighbours."""

import numpy as np
import pytest
from mapping_cases import ENGINES

from maskgen import mapping
from maskgen.mapping import MappingError

DOCUMENTS, SIZES = np.array([0, 2, 4]), np.array([5, 6, 7, 8], np.int32)

pytestmark = pytest.mark.parametrize("engine", ENGINES)


def build(engine, documents=DOCUMENTS, sizes=SIZES, **changes):
    keywords = {"num_epochs": 1, "max_seq_length": 20, "short_seq_prob": 0.1, "seed": 1, "min_num_sent": 2, **changes}
    return mapping.build_mapping(documents, sizes, engine=engine, **keywords)


def blocks(engine, documents=DOCUMENTS, sizes=SIZES, title_sizes=(1, 2), **changes):
    keywords = {"num_epochs": 1, "max_seq_length": 20, "seed": 1, **changes}
    return mapping.build_blocks_mapping(documents, sizes, title_sizes, engine=engine, **keywords)


def sample_idx(engine, sizes=SIZES, document_idx=(0, 1, 2, 3), **changes):
    keywords = {"seq_length": 3, "num_epochs": 1, "tokens_per_epoch": 26, **changes}
    return mapping.build_sample_idx(sizes, document_idx, engine=engine, **keywords)


def test_what_the_cases_below_change_is_fine_by_itself(engine):
    assert len(build(engine)) == len(blocks(engine)) == 2
    assert len(sample_idx(engine)) == 9


@pytest.mark.parametrize("call", [build, blocks])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("index", [-10_000_000, -1, 5, 10_000_000, 2**62, -(2**63)])
def test_case_36_document_index_out_of_range(engine, call, place, index):
    documents = DOCUMENTS.copy()
    documents[place] = index
    # An index too large also makes those behind it fall; the first one that is wrong is named.
    with pytest.raises(ValueError, match=rf"documents\[{place}\] is {index}; .*sentence is expected, 0 to 4"):
        call(engine, documents=documents)


@pytest.mark.parametrize("call", [build, blocks])
def test_case_37_documents_that_fall(engine, call):
    with pytest.raises(ValueError, match=r"documents\[2\] is 2; boundaries must not fall, and the one before it is 3"):
        call(engine, documents=[0, 3, 2], title_sizes=[1, 1]) if call is blocks else call(engine, documents=[0, 3, 2])


@pytest.mark.parametrize("place", [0, 3])
def test_case_38_negative_sizes(engine, place):
    sizes = SIZES.copy()
    sizes[place] = -5
    for call in (build, blocks, sample_idx):
        with pytest.raises(ValueError, match=rf"sizes\[{place}\] is -5"):
            call(engine, sizes=sizes)
    with pytest.raises(ValueError, match=r"title_sizes\[1\] is -1"):
        blocks(engine, title_sizes=[0, -1])
    with pytest.raises(ValueError, match=r"sizes\[1\] is -1"):
        mapping.build_exhaustive_blending_indices([3, -1], engine=engine)


@pytest.mark.parametrize("call", [build, blocks])
@pytest.mark.parametrize("length", [1, 0, -1, 2**31, 10**30, 20.0, "20", None, True])
def test_case_39_max_seq_length(engine, call, length):
    with pytest.raises(ValueError, match=r"max_seq_length is .*whole number from 2 to 2147483647"):
        call(engine, max_seq_length=length)


@pytest.mark.parametrize("document", [-1, 4, 10_000_000, -(2**40)])
def test_case_40_sample_index_of_a_document_that_is_not_there(engine, document):
    with pytest.raises(ValueError, match=rf"document_idx\[2\] is {document}; a document is expected, 0 to 3"):
        sample_idx(engine, document_idx=[0, 1, document, 3])


@pytest.mark.parametrize("length", [0, -1, 2**63 - 1, 10**30, 1.5])
def test_case_41_seq_length(engine, length):
    with pytest.raises(ValueError, match=r"seq_length is .*whole number from 1"):
        sample_idx(engine, seq_length=length)


@pytest.mark.parametrize(("tokens", "epochs"), [(25, 1), (27, 1), (0, 1), (2**62, 1), (13, 1), (26, 2), (2**62, 2**62)])
def test_case_42_tokens_per_epoch_that_are_not_there(engine, tokens, epochs):
    with pytest.raises(ValueError, match=rf"tokens_per_epoch is {tokens} and num_epochs {epochs}; .* 26 tokens"):
        sample_idx(engine, tokens_per_epoch=tokens, num_epochs=epochs)


def test_case_43_arrays_too_short_or_of_another_kind(engine):
    for titles in ([], [1], [1, 2, 3]):
        with pytest.raises(ValueError, match=rf"title_sizes has {len(titles)} entries; .* 2 documents"):
            blocks(engine, title_sizes=titles)
    for name in ("documents", "sizes"):
        for wrong in (np.zeros(3), np.zeros((2, 2), np.int64), np.int64(3), ["a"], np.zeros(3, bool), None):
            with pytest.raises(ValueError, match=rf"{name} (is an array of|has \d dimensions)"):
                build(engine, **{name: wrong})
    with pytest.raises(ValueError, match="sizes contains 2147483648; numbers from -2147483648 to 2147483647"):
        build(engine, sizes=[2**31, 1, 1, 1])
    with pytest.raises(ValueError, match="documents contains 18446744073709551615"):
        build(engine, documents=np.array([0, 2**64 - 1], np.uint64))
    with pytest.raises(ValueError, match="document_idx is an array of float64"):
        sample_idx(engine, document_idx=np.zeros(4))
    with pytest.raises(ValueError, match="weights has 2 dimensions"):
        mapping.build_blending_indices([[1.0]], 3, engine=engine)
    with pytest.raises(ValueError, match="sizes is empty"):
        mapping.build_exhaustive_blending_indices([], engine=engine)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.5, np.nan], r"weights\[1\] is nan"),
        ([np.inf, 1], r"weights\[0\] is inf"),
        ([0.5, -0.1], r"weights\[1\] is -0.1"),
        ([], "weights is empty"),
        ([0.0, 0.0], "weights are all 0"),
        (["a"], "weights is an array of"),
    ],
)
def test_case_44_weights(engine, weights, message):
    with pytest.raises(ValueError, match=message):
        mapping.build_blending_indices(weights, 10, engine=engine)


@pytest.mark.parametrize("size", [-1, 2.5, None, 10**30])
def test_case_44_size_of_a_blend(engine, size):
    with pytest.raises(ValueError, match=r"size is .*whole number from 0"):
        mapping.build_blending_indices([1.0], size, engine=engine)


@pytest.mark.parametrize("call", [build, blocks])
@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, None])
def test_case_44_seed(engine, call, seed):
    with pytest.raises(ValueError, match=r"seed is .*whole number from 0 to 4294967295"):
        call(engine, seed=seed)
    assert len(call(engine, seed=0)) == 2


@pytest.mark.parametrize("probability", [np.nan, -0.1, 1.1, np.inf, "x", None])
def test_short_seq_prob(engine, probability):
    with pytest.raises(ValueError, match=r"short_seq_prob is .*probability from 0 to 1"):
        build(engine, short_seq_prob=probability)


def test_other_numbers(engine):
    with pytest.raises(ValueError, match="min_num_sent is 0; a whole number from 1"):
        build(engine, min_num_sent=0)
    for epochs in (0, -1, 2.0):
        with pytest.raises(ValueError, match=r"num_epochs is .*whole number from 1"):
            build(engine, num_epochs=epochs)
        with pytest.raises(ValueError, match=r"num_epochs is .*whole number from 1"):
            sample_idx(engine, num_epochs=epochs)
    with pytest.raises(ValueError, match="max_num_samples is -1; a whole number from 0"):
        blocks(engine, max_num_samples=-1)
    with pytest.raises(ValueError, match="num_epochs and max_num_samples are both None; give one"):
        build(engine, num_epochs=None)
    for extra in (-1, 2, "x", 0.5):
        with pytest.raises(MappingError, match=f"add_extra_token_to_sequence is {extra!r}; a whole number from 0 to 1"):
            sample_idx(engine, add_extra_token_to_sequence=extra)
    with pytest.raises(MappingError, match=f"engine is '{engine}!'; native or reference"):
        build(engine + "!")
