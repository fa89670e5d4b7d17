"""The two masking engines against each other, and what the arguments may be."""

import math
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgen import MaskedLmPredictions, _native, create_masked_lm_predictions
from maskgen.masking.native import native_settings
from maskgen.masking.reference import length_draws
from maskgen.masking.settings import MaskingSettings
from maskgen.word_starts import detect_rule, starts_table, starts_word

CLS, SEP, MASK = 0, 1, 2


@st.composite
def vocabularies(draw):
    """Pieces by id: from nearly all words to nearly all continuations, so that words may be hundreds of pieces long."""
    size = draw(st.integers(4, 60))
    share = draw(st.sampled_from([0.0, 0.3, 0.9, 0.99, 1.0]))
    continued = np.random.RandomState(draw(st.integers(0, 2**32 - 1))).random_sample(size) < share
    return [f"##{id_}" if id_ > MASK and continued[id_] else f"{id_}" for id_ in range(size)]


@st.composite
def calls(draw, size):
    """The arguments of one call besides the vocabulary and the generators."""
    length = draw(st.one_of(st.integers(0, 12), st.integers(0, 2000)))
    rng = np.random.RandomState(draw(st.integers(0, 2**32 - 1)))
    lowest = draw(st.sampled_from([0, 2, 3]))  # with [CLS] and [SEP] inside the text, or without
    tokens = rng.randint(lowest, size, length).tolist()
    if draw(st.booleans()) and length > 2:
        tokens[0], tokens[-1] = CLS, SEP
    if draw(st.sampled_from([False] * 9 + [True])):
        tokens = [CLS] * length
    probability = draw(st.sampled_from([0, 0.05, 0.15, 0.3, 0.5, 1, 1.0]))
    cap = draw(
        st.one_of(
            st.just(probability * length),
            st.integers(-1, 300),
            st.floats(-1, 300),
            st.sampled_from([0, 0.5, 0.999, 1e-9, math.inf]),
        )
    )
    return {
        "tokens": tokens,
        "masked_lm_prob": probability,
        "max_predictions_per_seq": cap,
        "max_ngrams": draw(st.sampled_from([1, 2, 3, 10, 15, 16, 17, 40, 300])),
        "do_whole_word_mask": draw(st.booleans()),
        "favor_longer_ngram": draw(st.booleans()),
        "do_permutation": draw(st.booleans()),
        "geometric_dist": draw(st.booleans()),
        "masking_style": draw(st.sampled_from(["bert", "t5"])),
    }


def predict(call, pieces, ids, rng, **more):
    call = dict(call)
    first = [call.pop("tokens"), ids, pieces, call.pop("masked_lm_prob"), CLS, SEP, MASK]
    return create_masked_lm_predictions(*first, call.pop("max_predictions_per_seq"), rng, **call, **more)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_engines_are_equal_and_may_be_mixed(data):
    pieces = data.draw(vocabularies())
    ids = data.draw(st.sampled_from([range(len(pieces)), [7], np.arange(5, dtype=np.uint16), [9, 3, 70_000]]))
    seed, apart = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.booleans())
    one, other = np.random.RandomState(seed), np.random.RandomState(seed)
    moving_one, moving_other = (np.random.RandomState(seed ^ 1) for _ in range(2))
    for call in data.draw(st.lists(calls(len(pieces)), min_size=1, max_size=4)):
        engine = data.draw(st.sampled_from(["native", "native", "reference"]))
        more_one = {"permutation_rng": moving_one} if apart else {}
        more_other = {"permutation_rng": moving_other} if apart else {}
        expected = predict(call, pieces, ids, one, engine="reference", **more_one)
        found = predict(call, pieces, ids, other, engine=engine, **more_other)
        assert found == expected
        check_invariants(call, expected)
    assert one.random_sample() == other.random_sample()
    assert moving_one.random_sample() == moving_other.random_sample()


def check_invariants(call, result):
    tokens = call["tokens"]
    assert len(result.tokens) == len(result.boundaries) == len(tokens)
    assert result.positions == sorted(set(result.positions))
    assert result.labels == [tokens[place] for place in result.positions]
    assert not {tokens[place] for place in result.positions} & {CLS, SEP}
    changed = {place for place in range(len(tokens)) if result.tokens[place] != tokens[place]}
    assert changed <= set(result.positions)
    masked = [place for span in result.spans for place in span.index]
    assert len(masked) == len(set(masked))
    assert len(masked) <= max(0, call["max_predictions_per_seq"])
    assert [span.index[0] for span in result.spans] == sorted(span.index[0] for span in result.spans)
    if not call["do_permutation"]:
        assert sorted(masked) == result.positions
        if call["masking_style"] == "t5":
            assert all(result.tokens[place] == MASK for place in masked)
    else:
        moved = set(result.positions) - set(masked)
        assert sorted(result.tokens[place] for place in moved) == sorted(tokens[place] for place in moved)


@given(
    st.integers(1, 40),
    st.booleans(),
    st.booleans(),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=50),
)
def test_lengths_of_ngrams(max_ngrams, favor, geometric, uniforms):
    """The native lengths are those of numpy's own formula and search, next to the bounds between lengths as well."""
    options = MaskingSettings(0.15, CLS, SEP, MASK, max_ngrams, favor_longer_ngram=favor, geometric_dist=geometric)
    bounds = np.concatenate([options.cumulative, 1 - 0.8 ** np.arange(1, 60)])
    near = np.concatenate([np.nextafter(bounds, 0), bounds, np.nextafter(bounds, 1), bounds - 1e-12, bounds + 1e-12])
    uniforms = np.clip(np.concatenate([uniforms, near]), 0, np.nextafter(1, 0))
    if geometric:
        expected = [min(max(math.ceil(math.log1p(-u) / math.log(1 - 0.2)), 1), max_ngrams) for u in uniforms]
    else:
        expected = np.searchsorted(options.cumulative, uniforms, side="right") + 1
    found = _native.ngram_lengths(settings=native_settings(options, range(1)), uniforms=uniforms)
    assert np.array_equal(found, expected)


def test_geometric_lengths_are_numpys():
    """The twin calls RandomState.geometric itself; the native kernel's formula gives the same."""
    options = MaskingSettings(0.15, CLS, SEP, MASK, 30, geometric_dist=True)
    draw, _ = length_draws(options, np.random.RandomState(5), by_choice=False)
    uniforms = _native.legacy_doubles(5, 20_000)
    assert _native.ngram_lengths(settings=native_settings(options, range(1)), uniforms=uniforms).tolist() == [
        draw() for _ in range(20_000)
    ]


def call_with(**changes):
    arguments = {
        "tokens": [0, 3, 4, 5, 1],
        "vocab_id_list": range(6),
        "vocab_id_to_token_dict": ["[CLS]", "[SEP]", "[MASK]", "a", "##b", "c"],
        "masked_lm_prob": 0.5,
        "cls_id": 0,
        "sep_id": 1,
        "mask_id": 2,
        "max_predictions_per_seq": 3,
        "np_rng": np.random.RandomState(0),
    }
    return create_masked_lm_predictions(**{**arguments, **changes})


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"masked_lm_prob": 1.5}, ValueError, "masked_lm_prob is 1.5; expected a share from 0 to 1"),
        ({"masked_lm_prob": math.nan}, ValueError, "masked_lm_prob is nan"),
        ({"max_predictions_per_seq": math.nan}, ValueError, "max_predictions_per_seq is nan"),
        ({"max_predictions_per_seq": "3"}, ValueError, "max_predictions_per_seq is '3'; expected a number"),
        ({"max_predictions_per_seq": None}, ValueError, "max_predictions_per_seq is None"),
        ({"masked_lm_prob": "0.5"}, ValueError, "masked_lm_prob is '0.5'; expected a share"),
        ({"masked_lm_prob": np.ones(2)}, ValueError, "masked_lm_prob is array"),
        ({"max_ngrams": 2.5}, ValueError, "max_ngrams is 2.5; expected an integer from 1"),
        ({"max_ngrams": "3"}, ValueError, "max_ngrams is '3'"),
        ({"cls_id": None}, ValueError, "cls_id is None; expected an integer"),
        ({"sep_id": 2**31}, ValueError, "sep_id is 2147483648"),
        ({"mask_id": 1.5}, ValueError, "mask_id is 1.5"),
        ({"max_ngrams": 0}, ValueError, "max_ngrams is 0; expected an integer from 1"),
        ({"max_ngrams": 10**9}, ValueError, "max_ngrams is 1000000000"),
        ({"masking_style": "roberta"}, ValueError, "masking_style is 'roberta'; expected one of bert, t5"),
        ({"vocab_id_list": []}, ValueError, "vocab_id_list is empty"),
        ({"tokens": [0, 3, 6, 1]}, ValueError, "token 6 at position 2 is not in the vocabulary of 6 ids"),
        ({"tokens": [0, -3, 1]}, ValueError, "token -3 at position 1"),
        ({"tokens": [0, 3, 1], "word_starts": [True]}, ValueError, "token 3 at position 1"),
        ({"word_starts": "letters"}, ValueError, "word_starts is 'letters'; expected one of wordpiece"),
        ({"np_rng": np.random.default_rng(0)}, TypeError, "np_rng is a numpy.random.*Generator.*RandomState"),
        ({"np_rng": np.random}, TypeError, "np_rng is a .*module"),
        ({"np_rng": np.random.RandomState(np.random.PCG64(0))}, TypeError, "a RandomState over PCG64"),
        ({"permutation_rng": np.random.MT19937(0)}, TypeError, "permutation_rng is a numpy.random"),
    ],
)
def test_arguments(engine, changes, error, message):
    with pytest.raises(error, match=message):
        call_with(engine=engine, **changes)


def test_two_threads_with_the_same_two_generators():
    """Whoever asks for the second lock first waits without the other, or each could hold what the other waits for."""
    generators = np.random.RandomState(1), np.random.RandomState(2)
    first, second = sorted(generators, key=lambda rng: id(rng._bit_generator))
    for roles in ((first, second), (second, first)):
        arguments = {"np_rng": roles[0], "permutation_rng": roles[1], "do_permutation": True}
        thread = threading.Thread(target=call_with, kwargs=arguments)
        with first._bit_generator.lock:
            thread.start()
            thread.join(0.1)
            assert thread.is_alive()
            assert second._bit_generator.lock.acquire(blocking=False)
            second._bit_generator.lock.release()
        thread.join()


def test_unknown_engine():
    with pytest.raises(ValueError, match="engine is 'fast'; expected one of native, reference"):
        call_with(engine="fast")


def test_a_token_too_large_for_the_native_engine():
    pieces = {2**31: "a"}
    with pytest.raises(ValueError, match="position 1 does not fit into 32 bits"):
        call_with(tokens=[0, 2**31], vocab_id_to_token_dict={0: "[CLS]", **pieces})


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_arguments_of_other_types(engine):
    """numpy's arrays and scalars, a mapping of pieces, and a table of word starts give the same."""
    expected = call_with(engine=engine)
    pieces = dict(enumerate(["[CLS]", "[SEP]", "[MASK]", "a", "##b", "c"]))
    others = call_with(
        engine=engine,
        tokens=np.array([0, 3, 4, 5, 1], np.uint16),
        vocab_id_list=np.arange(6),
        vocab_id_to_token_dict=pieces,
        masked_lm_prob=np.float64(0.5),
        max_predictions_per_seq=np.int64(3),
        do_whole_word_mask=np.bool_(True),
    )
    table = call_with(engine=engine, word_starts=starts_table(list(pieces.values())))
    assert expected == others == table
    assert isinstance(expected, MaskedLmPredictions)
    assert {type(value) for part in others[:4] for value in part} == {int}


def test_the_caller_keeps_its_tokens():
    tokens = [0, 3, 4, 5, 1]
    for engine in ("native", "reference"):
        call_with(tokens=tokens, engine=engine, masked_lm_prob=1)
        assert tokens == [0, 3, 4, 5, 1]


def test_word_starts_of_other_tokenizers():
    byte_level = ["<s>", "Ġlight", "house", "Ċ", "Ġkeeper", "s"]
    assert detect_rule(byte_level) == "byte-bpe"
    assert starts_table(byte_level).tolist() == [False, True, False, True, True, False]
    pieces = ["▁light", "house", "▁keeper"]
    assert detect_rule(pieces) == "sentencepiece"
    assert starts_table(pieces).tolist() == [True, False, True]
    assert starts_table(["a", "##b"]).tolist() == [True, False]
    with pytest.raises(ValueError, match="no piece of this vocabulary of 2 has a marker"):
        starts_table(["a", "b"])
    with pytest.raises(ValueError, match="word_starts is 'x'"):
        starts_word("x")


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_whole_words_of_other_tokenizers(engine):
    """A word of byte-level BPE is masked as a whole."""
    pieces = ["<s>", "</s>", "<mask>", "Ġlight", "house", "Ġsea"]
    for seed in range(30):
        result = create_masked_lm_predictions(
            [0, 3, 4, 5, 3, 4, 1], range(6), pieces, 0.3, 0, 1, 2, 9, np.random.RandomState(seed), 1,
            word_starts="byte-bpe", engine=engine,
        )  # fmt: skip
        assert result.positions in ([1, 2], [4, 5], [3])
        assert result.boundaries == [1, 1, 0, 1, 1, 0, 1]


def test_a_lock_that_is_held_elsewhere_is_waited_for():
    """The native engine draws under the generator's own lock."""
    import threading

    rng = np.random.RandomState(0)
    done = threading.Event()
    thread = threading.Thread(target=lambda: (call_with(np_rng=rng), done.set()))
    with rng._bit_generator.lock:
        thread.start()
        assert not done.wait(0.1)
    thread.join(60)
    assert done.is_set()
