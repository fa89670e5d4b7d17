"""Mappings and sample indices: golden cases, the native engine against its twin, limits and types."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_cases import ENGINES, assert_same, call, golden_cases

from maskgen import _native, mapping
from maskgen.mapping import build, reference
from maskgen.mapping.arguments import memory_limit

CASES = golden_cases()
LIMIT = 1 << 30


def test_the_golden_cases_are_all_there():
    assert len(CASES) == 71 + 38


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_golden(case, engine):
    _, function, arrays, keywords, expected = case
    assert_same(call(function, *arrays, **keywords, engine=engine), expected)


sizes_of_sentences = st.lists(
    st.one_of(st.integers(0, 30), st.sampled_from([0, 1, 511, 512, 513, 2**31 - 1])), max_size=60
)


@st.composite
def corpora(draw):
    sizes = draw(sizes_of_sentences)
    boundaries = sorted(draw(st.lists(st.integers(0, len(sizes)), max_size=25)))
    return np.array(boundaries, np.int64), np.array(sizes, np.int32)


def limits():
    return st.sampled_from([{"num_epochs": 1}, {"num_epochs": 3}, {"num_epochs": 3, "max_num_samples": 10},
                            {"max_num_samples": 40}, {"max_num_samples": 0}])  # fmt: skip


seeds = st.one_of(st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1]), st.integers(0, 2**32 - 1))


@settings(max_examples=300, deadline=None)
@given(
    corpora(),
    limits(),
    st.one_of(st.integers(2, 60), st.just(2**31 - 1)),
    st.one_of(st.sampled_from([0.0, 1.0, 0.4, 0.2857, 5e-324, 1e-9, 1e-10]), st.floats(0, 1)),
    seeds,
    st.integers(1, 4),
)
def test_build_mapping_is_its_twin(corpus, limits, length, probability, seed, fewest):
    keywords = {"max_seq_length": length, "short_seq_prob": probability, "seed": seed, "min_num_sent": fewest, **limits}
    native = mapping.build_mapping(*corpus, **keywords)
    assert_same([native], [mapping.build_mapping(*corpus, **keywords, engine="reference")])
    documents, sizes = corpus
    keywords = {"num_epochs": 2**63 - 1, "max_num_samples": 2**63 - 1, **keywords}
    wide = _native.build_mapping(documents=documents, sizes=sizes, memory_limit=LIMIT, wide=True, **keywords)
    assert_same([wide], [native.astype(np.uint64)])


@settings(max_examples=200, deadline=None)
@given(corpora(), limits(), st.integers(2, 60), seeds, st.booleans(), st.randoms(use_true_random=False))
def test_build_blocks_mapping_is_its_twin(corpus, limits, length, seed, one, random):
    titles = np.array([random.randrange(80) for _ in range(max(len(corpus[0]) - 1, 0))], np.int32)
    keywords = {"max_seq_length": length, "seed": seed, "use_one_sent_blocks": one, **limits}
    native = mapping.build_blocks_mapping(*corpus, titles, **keywords)
    assert_same([native], [mapping.build_blocks_mapping(*corpus, titles, **keywords, engine="reference")])
    keywords = {"num_epochs": 2**63 - 1, "max_num_samples": 2**63 - 1, **keywords}
    wide = _native.build_blocks_mapping(
        documents=corpus[0], sizes=corpus[1], title_sizes=titles, memory_limit=LIMIT, wide=True, **keywords
    )
    assert_same([wide], [native.astype(np.uint64)])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(st.integers(0, 40), st.just(0)), min_size=1, max_size=12),
    st.integers(1, 4),
    st.integers(1, 50),
    st.booleans(),
    st.integers(0, 1),
    st.sampled_from([np.int32, np.int64]),
    st.sampled_from([np.int32, np.int64]),
    st.randoms(use_true_random=False),
)
def test_build_sample_idx_is_its_twin(sizes, epochs, length, drop, extra, size_type, index_type, random):
    order = [*range(len(sizes))] * epochs
    random.shuffle(order)
    arrays = np.array(sizes, size_type), np.array(order, index_type)
    keywords = {"seq_length": length, "num_epochs": epochs, "tokens_per_epoch": sum(sizes),
                "drop_last_partial_sequence": drop, "add_extra_token_to_sequence": extra}  # fmt: skip
    native = mapping.build_sample_idx(*arrays, **keywords)
    assert native.dtype == np.int32
    assert_same([native], [mapping.build_sample_idx(*arrays, **keywords, engine="reference")])
    wide = _native.build_sample_idx(sizes=arrays[0], document_idx=arrays[1], memory_limit=LIMIT, wide=True, **keywords)
    assert_same([wide], [native.astype(np.int64)])


def test_many_rows_shuffle_as_the_twin_shuffles():  # more than 2^16, where the remainder is taken another way
    documents, sizes = np.arange(0, 140_001, 2), np.full(140_000, 5, np.int32)
    keywords = {"num_epochs": 1, "max_seq_length": 20, "short_seq_prob": 0.1, "seed": 7, "min_num_sent": 2}
    native = mapping.build_mapping(documents, sizes, **keywords)
    assert len(native) == 70_000
    assert_same([native], [mapping.build_mapping(documents, sizes, **keywords, engine="reference")])


def test_long_sentences_are_found_wherever_they_are():
    for place in (0, 255, 256, 300, 511, 512, 599):
        sizes = np.full(600, 10, np.int32)
        sizes[place] = 513
        documents = np.arange(0, 601, 3)
        keywords = {"num_epochs": 1, "max_seq_length": 20, "short_seq_prob": 0, "seed": 7, "min_num_sent": 2}
        rows = mapping.build_mapping(documents, sizes, **keywords)
        assert len(rows) == 199
        assert place // 3 * 3 not in rows[:, 0]


def test_arrays_at_odd_addresses_are_read_where_they_are():
    sizes = np.frombuffer(b"xx" + np.arange(1, 13, dtype=np.int32).tobytes(), np.uint8)[2:].view(np.int32)
    documents = np.frombuffer(b"xxx" + np.array([0, 5, 12]).tobytes(), np.uint8)[3:].view(np.int64)
    assert not sizes.flags.aligned or not documents.flags.aligned
    keywords = {"num_epochs": 2, "max_seq_length": 9, "short_seq_prob": 0.5, "seed": 3, "min_num_sent": 1}
    rows = mapping.build_mapping(documents, sizes, **keywords)
    assert_same([rows], [mapping.build_mapping(documents.tolist(), sizes.tolist(), **keywords)])
    index = {"seq_length": 4, "num_epochs": 1, "tokens_per_epoch": 78}
    assert_same(
        [mapping.build_sample_idx(sizes, np.arange(12), **index)],
        [mapping.build_sample_idx(sizes.copy(), np.arange(12), **index, engine="reference")],
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_in_nothing_out(engine):
    keywords = {"max_seq_length": 9, "short_seq_prob": 0.5, "seed": 0, "min_num_sent": 1, "engine": engine}
    for documents in ([], [0], [0, 0, 0]):
        rows = mapping.build_mapping(documents, [], num_epochs=2**40, **keywords)
        assert rows.shape == (0, 3)
        assert rows.dtype == np.uint32
        assert mapping.build_mapping(documents, [], max_num_samples=2**62, **keywords).shape == (0, 3)
    blocks = {"max_seq_length": 9, "seed": 0, "engine": engine}
    assert mapping.build_blocks_mapping([0], [], [], max_num_samples=1, **blocks).shape == (0, 4)
    rows = mapping.build_sample_idx([], [], seq_length=3, num_epochs=1, tokens_per_epoch=0, engine=engine)
    assert rows.tolist() == [[0, 0]]


def test_epochs_are_whole_and_the_limit_is_tested_where_they_begin():
    documents, sizes = np.arange(0, 21, 2), np.full(20, 5, np.int32)
    keywords = {"max_seq_length": 20, "short_seq_prob": 0, "seed": 1, "min_num_sent": 2}
    for wanted, given_rows in ((0, 0), (1, 10), (10, 10), (11, 20), (25, 30)):
        assert len(mapping.build_mapping(documents, sizes, max_num_samples=wanted, **keywords)) == given_rows
    assert len(mapping.build_mapping(documents, sizes, max_num_samples=25, num_epochs=2, **keywords)) == 20


def test_the_last_partial_sample_is_counted_in_integers():
    # A ceil in float32 counts a row too many here: 2^24 + 1 is not a float32.
    tokens = 2**24 + 2
    rows = mapping.build_sample_idx(
        [tokens], [0], seq_length=tokens - 1, num_epochs=1, tokens_per_epoch=tokens, drop_last_partial_sequence=False
    )
    assert rows.tolist() == [[0, 0], [0, tokens - 1]]
    tokens = 3 * 2**23 + 1
    rows = mapping.build_sample_idx(
        [tokens], [0], seq_length=8, num_epochs=1, tokens_per_epoch=tokens, drop_last_partial_sequence=False
    )
    assert len(rows) == 3 * 2**20 + 1


def test_types_of_results():
    assert build.mapping_dtype(2**32 - 1) == np.uint32
    assert build.mapping_dtype(2**32) == np.uint64
    assert build.sample_idx_dtype(2**31 - 1, 2**31 - 1) == np.int32
    assert build.sample_idx_dtype(2**31, 0) == build.sample_idx_dtype(0, 2**31) == np.int64
    assert build.dataset_dtype(32_767) == np.int16
    assert build.dataset_dtype(32_768) == np.int32
    big = 2**31
    rows = mapping.build_sample_idx(np.array([big]), [0], seq_length=big - 1, num_epochs=1, tokens_per_epoch=big)
    assert rows.dtype == np.int64
    assert rows.tolist() == [[0, 0], [0, big - 1]]


def test_the_words_are_those_of_the_standard():
    words = reference.words64(5489)
    assert next(itertools.islice(words, 9_999, None)) == 9981545732273789042  # [rand.predef] states the 10000th
    random = np.random.RandomState(5489)
    assert int(random.randint(0, 1 << 32, 10_000, np.uint32)[-1]) == 4123659995  # as above


def test_the_memory_of_the_machine_is_known():
    assert 1 << 28 < memory_limit() < 1 << 50


def test_more_rows_than_the_machine_has_memory_for():
    documents, sizes = [0, 2, 4], [5, 6, 7, 8]
    mappings = {"max_seq_length": 20, "short_seq_prob": 0.1, "seed": 1, "min_num_sent": 2}
    blocks = {"max_seq_length": 20, "seed": 1}
    for limits in ({"num_epochs": 2**62}, {"max_num_samples": 2**62}):
        with pytest.raises(MemoryError, match="lower num_epochs, max_num_samples or size"):
            mapping.build_mapping(documents, sizes, **mappings, **limits)
        with pytest.raises(MemoryError, match="rows takes"):
            mapping.build_blocks_mapping(documents, sizes, [1, 1], **blocks, **limits)
    with pytest.raises(MemoryError):
        mapping.build_sample_idx([2**62], [0], seq_length=1, tokens_per_epoch=2**62, num_epochs=1)
    with pytest.raises(MemoryError):
        mapping.build_blending_indices([1.0], 2**60)
    with pytest.raises(MemoryError):
        mapping.build_exhaustive_blending_indices([2**60, 0])
    with pytest.raises(ValueError, match=r"sizes\[1\] is 9223372036854775807; .*less than 2\^63 in all"):
        mapping.build_exhaustive_blending_indices([2**62, 2**63 - 1])
    with pytest.raises(ValueError, match=r"more than 2\^63 - 1 tokens"):
        mapping.build_sample_idx([2**62], [0, 0], seq_length=3, tokens_per_epoch=2**62, num_epochs=2)


def test_a_build_that_outgrows_its_memory_ends():
    arguments = {"num_epochs": 1, "max_num_samples": 10, "max_seq_length": 20, "short_seq_prob": 0.1, "seed": 1}
    documents, sizes = np.arange(0, 2001, 2), np.full(2000, 5, np.int32)
    for limit in (0, 1, 12, 1200, 11_999):
        with pytest.raises(MemoryError, match="rows takes"):
            _native.build_mapping(
                documents=documents, sizes=sizes, min_num_sent=1, memory_limit=limit, wide=False, **arguments
            )
    rows = _native.build_mapping(
        documents=documents, sizes=sizes, min_num_sent=1, memory_limit=12_000, wide=False, **arguments
    )
    assert len(rows) == 1000
