"""What holds for every scheme: random access, arrays, special ids, rates, errors."""

import hashlib
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scheme_twins import BOS, EOS, FIRST, MASK, PAD, TOY, Rows, random_rows

from maskgen.samples import SampleError
from maskgen.schemes import SCHEMES, SchemeSamples
from maskgen.schemes.ngrams import NGrams
from maskgen.vocab import Vocab

NGRAMS = NGrams([[FIRST, FIRST + 1], [FIRST, FIRST + 1, FIRST + 4], [FIRST + 3, FIRST + 6]], TOY)
OPTIONS = {"pmi": {"ngrams": NGRAMS}}
ENCODERS = [
    name for name in SCHEMES if name in ("roberta", "electra", "modernbert", "masked-diffusion", "spanbert", "pmi")
]
DECODERS = [name for name in SCHEMES if name not in ENCODERS]
SPANS = ("span-corruption", "ul2")
SPECIAL = np.array(sorted(TOY.special_ids))


def samples_of(name, tokens, lengths=None, **options):
    return SchemeSamples(Rows(tokens, lengths), TOY, name, **{**OPTIONS.get(name, {}), **options})


def assert_same(one, other):
    assert set(one) == set(other)
    for name, array in one.items():
        assert np.array_equal(array, other[name]), name


@pytest.mark.parametrize("name", SCHEMES)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_sample_never_depends_on_its_batch(name, data):
    seed, rows, width = data.draw(st.integers(0, 999)), data.draw(st.integers(1, 6)), data.draw(st.integers(1, 40))
    tokens, lengths = random_rows(seed, rows, width, data.draw(st.sampled_from([0, FIRST])))
    dec = {} if name not in SPANS else {"max_seq_length_dec": 3 * width + 3}
    samples = samples_of(name, tokens, lengths, seed=seed, **dec)
    indices = data.draw(st.lists(st.integers(-rows, rows - 1), max_size=8))
    how = {"epoch": data.draw(st.integers(0, 2)), "rate": data.draw(st.sampled_from([None, 0, 0.2, 0.8, 1]))}
    batch = samples.batch(indices, **how)
    out = samples.allocate(len(indices))
    for array in out.values():
        array.fill(9)
    assert_same(samples.batch(np.array(indices, int), out=out, threads=3, **how), batch)
    assert_same(pickle.loads(pickle.dumps(samples)).batch(indices, **how), batch)
    ends = np.cumsum(batch["masked_counts"])
    for number, index in enumerate(indices):
        alone = samples.batch([index], **how)
        sample = samples.sample(index, **how)
        for field in samples.fields:
            if field.kind == "packed":
                own = batch[field.name][ends[number] - batch["masked_counts"][number] : ends[number]]
                places = field.most is None and number * field.width
                assert np.array_equal(own - places, alone[field.name]), field.name
            else:
                assert np.array_equal(batch[field.name][number], alone[field.name][0]), field.name
                assert np.array_equal(sample[field.name], alone[field.name][0]), field.name


@pytest.mark.parametrize("name", ENCODERS)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_arrays_of_encoders_agree(name, data):
    seed, width = data.draw(st.integers(0, 999)), data.draw(st.integers(1, 40))
    tokens, lengths = random_rows(seed, 4, width, data.draw(st.sampled_from([0, 0, FIRST])))
    rate = data.draw(st.sampled_from([None, 0, 0.3, 1]))
    batch = samples_of(name, tokens, lengths, seed=seed).batch(range(4), rate=rate)
    used, chosen = batch["padding_mask"] == 1, batch["loss_mask"] == 1
    assert np.array_equal(used, np.arange(width) < lengths[:, None])
    assert np.array_equal(batch["lengths"], lengths)
    assert (batch["text"][~used] == PAD).all()
    assert np.array_equal(batch["text"][used & ~chosen], tokens[used & ~chosen])
    assert np.array_equal(batch["labels"], np.where(chosen, tokens, -1))
    assert not (chosen & ~used).any()
    assert not np.isin(tokens[chosen], SPECIAL).any()  # never chosen
    assert not np.isin(batch["text"][chosen], np.setdiff1d(SPECIAL, [MASK])).any()  # nor inserted
    assert np.array_equal(np.flatnonzero(chosen), batch["masked_positions"])
    assert np.array_equal(tokens.ravel()[batch["masked_positions"]], batch["masked_labels"])
    assert np.array_equal(chosen.sum(axis=1), batch["masked_counts"])
    if rate == 0:
        assert not chosen.any()
    if rate == 1 and name != "electra":
        assert np.array_equal(chosen, used & ~np.isin(tokens, SPECIAL))


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_arrays_of_decoders_agree(name, data):
    seed, width = data.draw(st.integers(0, 999)), data.draw(st.integers(1, 30))
    tokens, lengths = random_rows(seed, 4, width, data.draw(st.sampled_from([0, FIRST])))
    rate = data.draw(st.sampled_from([None, 0, 0.3, 1]))
    wide = {} if name not in SPANS else {"max_seq_length_dec": 2 * width + 3}
    samples = samples_of(name, tokens, lengths, seed=seed, **wide)
    batch = samples.batch(range(4), rate=rate)
    columns = np.arange(batch["text_dec"].shape[1])
    used = columns < batch["lengths_dec"][:, None]
    assert np.array_equal(batch["loss_mask"] == 1, used)
    assert (batch["labels"][~used] == -1).all()
    assert np.array_equal(batch["text_dec"][:, 1:][used[:, 1:]], batch["labels"][:, :-1][used[:, 1:]])
    padding = np.arange(batch["text_enc"].shape[1]) >= batch["lengths"][:, None]
    assert np.array_equal(batch["padding_mask"] == 0, padding)
    assert (batch["text_enc"][padding] == PAD).all()
    assert np.array_equal(np.flatnonzero(used), batch["masked_positions"])
    assert np.array_equal(batch["labels"][used], batch["masked_labels"])
    assert np.array_equal(batch["masked_counts"], batch["lengths_dec"])


@pytest.mark.parametrize("name", SCHEMES)
def test_rows_with_nothing_to_mask(name):
    """Specials only, no tokens, no rows."""
    for tokens, lengths in ((np.tile(SPECIAL, (3, 1)), None), (np.full((3, 8), FIRST), [0, 0, 0])):
        batch = samples_of(name, tokens, lengths).batch([0, 1, 2])
        key = "text" if name in ENCODERS else "text_enc"
        used = batch["padding_mask"] == 1
        assert np.array_equal(
            batch[key][:, : tokens.shape[1]][used[:, : tokens.shape[1]]], tokens[used[:, : tokens.shape[1]]]
        )
        if name in ENCODERS:
            assert len(batch["masked_labels"]) == 0
    empty = samples_of(name, np.full((3, 8), FIRST)).batch([])
    assert all(len(array) == 0 for array in empty.values())


@pytest.mark.parametrize("name", SCHEMES)
def test_descriptions(name):
    tokens, lengths = random_rows(1, 3, 20, FIRST)
    wide = {} if name not in SPANS else {"max_seq_length_dec": 50}
    samples = samples_of(name, tokens, lengths, **wide)
    description = samples.describe()
    assert json.loads(json.dumps(description)) == description
    assert (description["scheme"], description["scheme_version"], description["seed"]) == (name, 1, 1234)
    assert samples_of(name, tokens, lengths, **wide).describe() == description
    rate = 0.23
    for change in ({"seed": 5}, {"rate": rate}):
        assert samples_of(name, tokens, lengths, **{**wide, **change}).describe() != description
    # A rate of the scheme, and one of the call, are the same thing.
    assert_same(samples_of(name, tokens, lengths, rate=rate, **wide).batch([0, 1]), samples.batch([0, 1], rate=rate))


OTHER_OPTIONS = {  # what each option is changed to; a new option has to be added here
    "roberta": {
        "rate": 0.4, "random": 0.5, "leave": 0.5, "whole_words": True, "replacement_counts": np.arange(90),
    },
    "electra": {"rate": 0.4, "mask": 0.5},
    "modernbert": {"rate": 0.4, "random": 0.5, "leave": 0.5},
    "masked-diffusion": {"kind": "mdlm", "eps": 0.3, "eps_t": 0.4, "strata": 3, "rate": 0.4},
    "spanbert": {"rate": 0.4, "geometric": 0.6, "max_words": 2, "random": 0.5, "leave": 0.5},
    "pmi": {"ngrams": NGrams([(50, 52)], TOY), "rate": 0.4, "random": 0.5, "leave": 0.5},
    "span-corruption": {"rate": 0.4, "mean_length": 2, "random_roll": True, "max_seq_length_dec": 70},
    "ul2": {
        "denoisers": [("S", None, 0.3)] * 7, "weights": [1, 2, 3, 4, 5, 6, 7], "rate": 0.4, "max_seq_length_dec": 70,
        "mode_tokens": ["[NLU]", "[S2S]", "[NLG]"],
    },
    "bart": {
        "rate": 0.4, "poisson_lambda": 1, "replace_length": -1, "random": 0.5, "insert": 0.5, "rotate": 0.5,
        "permute_sentences": 0.5, "sentence_end_ids": [60, 61],
    },
}  # fmt: skip


def test_every_option_of_every_scheme_is_tried():
    assert {name: set(options) for name, options in OTHER_OPTIONS.items()} == {
        name: set(scheme.__init__.__kwdefaults__) for name, scheme in SCHEMES.items()
    }


@pytest.mark.parametrize(("name", "option"), [(name, option) for name in SCHEMES for option in OTHER_OPTIONS[name]])
def test_each_option_changes_samples_and_what_they_say_they_are(name, option):
    tokens, lengths = random_rows(1, 40, 40, FIRST)
    lengths = np.maximum(lengths, 2)
    base = {"kind": "mdlm"} if option == "eps_t" else {}  # an option of that kind
    one, other = (
        samples_of(name, tokens, lengths, **base, **change) for change in ({}, {option: OTHER_OPTIONS[name][option]})
    )
    if option != "ngrams":
        assert one.describe()["options"][option] != other.describe()["options"][option]
    assert one.describe() != other.describe()
    batches = [samples.batch(range(40)) for samples in (one, other)]
    assert any(not np.array_equal(batches[0][key], batches[1][key]) for key in batches[0])


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan"), "much"])
def test_rates_are_shares(name, rate):
    with pytest.raises(SampleError, match="rate is"):
        samples_of(name, [[FIRST]]).batch([0], rate=rate)
    with pytest.raises(SampleError, match="rate is"):
        samples_of(name, [[FIRST]], rate=rate)


@pytest.mark.parametrize("name", SCHEMES)
def test_types_of_arrays(name):
    """Narrow types hold the same values."""
    tokens, lengths = random_rows(1, 3, 20, FIRST)
    samples = samples_of(name, tokens, lengths)
    key = "text" if name in ENCODERS else "text_enc"
    out = samples.allocate(3, {key: np.int16, "labels": np.int8, "loss_mask": bool})
    batch = samples.batch([2, 0, 1], out=out)
    assert batch[key].dtype == np.int16
    assert_same(batch, samples.batch([2, 0, 1]))


def test_document_arrays():
    rows = Rows(*random_rows(1, 3, 20, FIRST))
    batch = SchemeSamples(rows, TOY, "roberta", documents=True).batch([2, 0])
    assert np.array_equal(batch["document_ids"], rows.tokens(np.array([2, 0])).document_ids)
    assert np.array_equal(batch["positions"], rows.tokens(np.array([2, 0])).positions)
    assert batch["cumulative_lengths"].tolist() == [0, *np.cumsum(rows.lengths[[2, 0]])]
    with pytest.raises(SampleError, match="moves tokens"):
        SchemeSamples(rows, TOY, "span-corruption", documents=True)


def test_errors():
    rows = Rows(np.full((2, 8), FIRST))
    with pytest.raises(SampleError, match="scheme is 'bort'; expected one of roberta"):
        SchemeSamples(rows, TOY, "bort")
    with pytest.raises(SampleError, match="roberta has no option raet; expected some of rate, random"):
        SchemeSamples(rows, TOY, "roberta", raet=0.2)
    with pytest.raises(SampleError, match="vocab is a list"):
        SchemeSamples(rows, ["a"], "roberta")
    with pytest.raises(ValueError, match="no id for mask"):
        SchemeSamples(rows, Vocab(["[PAD]", "a", "##b"], pad_id=0), "roberta")
    with pytest.raises(ValueError, match="no sentinels"):
        SchemeSamples(rows, Vocab(["[PAD]", "a", "##b", "<s>", "</s>"], pad_id=0, bos_id=3, eos_id=4), "ul2")
    with pytest.raises(SampleError, match="has no ordinary ids"):
        SchemeSamples(rows, Vocab(["[PAD]", "[MASK]"], pad_id=0, mask_id=1, word_starts=[True, True]), "roberta")
    samples = SchemeSamples(Rows([[FIRST, 3000]]), TOY, "roberta")
    with pytest.raises(SampleError, match=r"row 0 holds the id 3000 at 1; expected ids below 90"):
        samples[0]
    with pytest.raises(IndexError):
        samples.batch([1])
    with pytest.raises(SampleError, match="epoch is -1"):
        samples.batch([0], epoch=-1)
    with pytest.raises(SampleError, match="out has"):
        samples.batch([0], out={})
    with pytest.raises(SampleError, match="t as int64: expected a floating-point type"):
        SchemeSamples(rows, TOY, "masked-diffusion").allocate(2, {"t": np.int64})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("roberta", {"random": 0.7, "leave": 0.7}, "shares from 0 to 1"),
        ("roberta", {"replacement_counts": [1, 2]}, r"shape \(2,\); expected 90 numbers"),
        ("roberta", {"replacement_counts": np.zeros(90)}, "some above 0"),
        ("roberta", {"replacement_counts": np.eye(1, 90)[0]}, "some above 0; count the tokens"),
        ("roberta", {"replacement_counts": "x"}, "replacement_counts are 'x'; expected 90 numbers"),
        ("roberta", {"replacement_counts": [1, [2, 3]]}, "expected 90 numbers"),
        ("roberta", {"replacement_counts": {}}, "expected 90 numbers"),
        ("pmi", {"ngrams": 5}, "pmi with 5 as ngrams; expected a file"),
        ("pmi", {"ngrams": [[50, 51]]}, "expected a file"),
        ("masked-diffusion", {"strata": 10**20}, "strata is 1"),
        ("spanbert", {"max_words": 10**20}, "max_words is 1"),
        ("bart", {"sentence_end_ids": [1, [2, 3]]}, "expected at least one id"),
        ("ul2", {"denoisers": 5}, "denoisers are 5; expected a list"),
        ("ul2", {"mode_tokens": 5}, "mode_tokens are 5; expected a list"),
        ("ul2", {"weights": "x"}, "weights are 'x'; expected 7 numbers"),
        ("ul2", {"weights": [0] * 7}, "some above 0"),
        ("electra", {"mask": 1.5}, "mask is 1.5"),
        ("masked-diffusion", {"kind": "d3pm"}, "kind is 'd3pm'; expected one of llada, mdlm"),
        ("masked-diffusion", {"strata": 0}, "strata is 0"),
        ("masked-diffusion", {"eps": 0.9}, "eps is 0.9"),
        ("span-corruption", {"mean_length": 0.5}, "mean_length is 0.5"),
        ("bart", {"poisson_lambda": 0}, "poisson_lambda is 0"),
        ("bart", {"replace_length": 2}, "replace_length is 2"),
        ("bart", {"rotate": -1}, "rotate is -1"),
        ("bart", {"sentence_end_ids": []}, "expected at least one id"),
        ("bart", {"sentence_end_ids": [3000]}, "expected ids from 0 to 89"),
        ("ul2", {"denoisers": []}, "denoisers are none"),
        ("ul2", {"denoisers": [("R", None, 0.2)]}, "a denoiser is"),
        ("ul2", {"denoisers": [("Q", 3, 0.2)]}, "a denoiser is"),
        ("ul2", {"weights": [1, 2]}, "expected 7 numbers"),
        ("ul2", {"mode_tokens": ["[NLU]", "[S2S]"]}, "expected three"),
        ("ul2", {"mode_tokens": ["[R]", "[S]", "[X]"]}, "no piece"),
    ],
)
def test_options_are_checked(name, options, message):
    with pytest.raises(SampleError, match=message):
        samples_of(name, np.full((2, 8), FIRST), **options)


def test_slices_and_negative_indices():
    samples = samples_of("roberta", *random_rows(1, 5, 20, FIRST))
    assert len(samples[1:4]) == 3
    assert_same(samples[-1], samples[4])
    assert_same(samples[1:4][0], samples[1])
    assert "5 samples" in repr(samples)
    assert BOS != EOS


@pytest.mark.parametrize("name", SCHEMES)
def test_bits(name):
    """Samples are a promise: when one of these changes, the scheme's version must, too."""
    tokens, lengths = random_rows(11, 12, 60, FIRST)
    width = {"ul2": 41, "span-corruption": 13}.get(name)  # as of a row without special ids, which these are
    own = {} if width is None else {"max_seq_length_dec": width}
    batch = samples_of(name, tokens, lengths, seed=77, **own).batch(range(12), epoch=3)
    digest = hashlib.sha256()
    for key in sorted(batch):
        digest.update(key.encode() + np.ascontiguousarray(batch[key]).astype("<f8").tobytes())
    assert digest.hexdigest()[:16] == BITS[name]


BITS = {
    "roberta": "e08ee92d7837c22e",
    "electra": "2c3dfbaa5b505642",
    "modernbert": "8e360900a112f94c",
    "masked-diffusion": "6037355ccc18278a",
    "spanbert": "d3016732fb0abdf0",
    "pmi": "22d40a91a5a37f56",
    "span-corruption": "5ac631248a361ed8",
    "ul2": "8f5a8b729dea5c42",
    "bart": "278987e5a53b47d4",
}
