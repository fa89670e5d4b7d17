"""span-corruption and ul2: T5's published vectors, plain twins, and what they do on average."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scheme_twins import BOS, EOS, FIRST, TOY, Twin, filled, random_rows

from maskgen.samples import SampleError
from maskgen.samples.arrays import allocate
from maskgen.schemes import SCHEMES
from maskgen.schemes.draws import Draws
from maskgen.schemes.spans import drop_noise, lengths_of_spans, noise_to_sentinels
from maskgen.schemes.ul2 import DENOISERS

TOKENS = [10, 11, 12, 13, 14, 15]
NOISE = np.array([True, True, False, False, True, False])
DESCENDING = range(999, 899, -1)  # of a vocabulary of 1000


def test_published_vectors():
    assert noise_to_sentinels(TOKENS, NOISE, DESCENDING).tolist() == [999, 12, 13, 998, 15]
    assert noise_to_sentinels(TOKENS, NOISE, [999]).tolist() == [999, 12, 13, 999, 15]
    assert noise_to_sentinels(TOKENS, ~NOISE, [999]).tolist() == [10, 11, 999, 14, 999]
    assert drop_noise(TOKENS, NOISE).tolist() == [12, 13, 15]
    assert drop_noise(TOKENS, ~NOISE).tolist() == [10, 11, 14]


def test_length_helper():
    assert lengths_of_spans(64, 0.2, 2) == (70, 22)
    assert lengths_of_spans(64, 0.2, 1) == (63, 27)
    assert lengths_of_spans(512, 0.15, 3) == (568, 114)  # T5's own
    assert lengths_of_spans(512, 0.5, 3)[1] <= 512
    with pytest.raises(SampleError, match="length is 1"):
        lengths_of_spans(1, 0.15, 3)


def test_too_few_sentinels_for_a_row():
    with pytest.raises(SampleError, match="3 spans and 2 sentinels"):
        noise_to_sentinels([1, 2, 3, 4, 5], [True, False, True, False, True], [99, 98])


def segments(twin, stream, total, count):
    cuts = twin.choose(stream, range(total - 1), count - 1)
    ends = [*(cut + 1 for cut in cuts), total]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def counts_twin(n, density, mean):
    if density == 0 or n < 2:
        return 0, 0
    noise = min(max(round(n * density), 1), n - 1)
    return noise, min(max(round(noise / mean), 1), noise, n - noise)


def spans_twin(twin, tokens, length, density, mean, roll=False):
    """Encoder text and decoder targets of one row, by lists."""
    special = TOY.special_ids
    places = [i for i in range(length) if tokens[i] not in special]
    n = len(places)
    noise, spans = counts_twin(n, density, n if mean is None else mean)
    mask = []
    if spans:
        for text, noisy in zip(segments(twin, 0, n - noise, spans), segments(twin, 1, noise, spans), strict=True):
            mask += [False] * text + [True] * noisy
        if roll:
            offset = twin.below(2, 0, n)
            mask = mask[-offset:] + mask[:-offset] if offset else mask
    noisy_places = {place for place, noisy in zip(places, mask, strict=False) if noisy}
    encoder, decoder, sentinels = [], [], iter(TOY.sentinel_ids)
    for place in range(length):
        if place not in noisy_places:
            encoder.append(tokens[place])
        else:
            if place - 1 not in noisy_places:
                sentinel = next(sentinels)
                encoder.append(sentinel)
                decoder.append(sentinel)
            decoder.append(tokens[place])
    return encoder, decoder


def check(batch, row, encoder, decoder):
    assert batch["text_enc"][row, : batch["lengths"][row]].tolist() == encoder
    used = batch["lengths_dec"][row]
    assert batch["labels"][row, :used].tolist() == [*decoder, EOS]
    assert batch["text_dec"][row, :used].tolist() == [BOS, *decoder]


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([0, FIRST]), st.sampled_from([0, 0.15, 0.5, 0.9, 1]),
    st.sampled_from([1, 2.5, 3, 100]), st.booleans(),
)  # fmt: skip
def test_span_corruption_is_its_twin(seed, width, least, rate, mean, roll):
    tokens, lengths = random_rows(seed, 3, width, least)
    batch = filled(
        "span-corruption", tokens, lengths, seed, 2, [5, 6, 2**40], rate, mean_length=mean, random_roll=roll,
        max_seq_length_dec=2 * width + 2,
    )  # fmt: skip
    for row, index in enumerate([5, 6, 2**40]):
        own = tokens[row].tolist(), int(lengths[row]), rate, mean, roll
        check(batch, row, *spans_twin(Twin(seed, 2, index), *own))


@pytest.mark.parametrize("name", ["span-corruption", "ul2"])
@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 24), st.sampled_from([0.05, 0.15, 0.5, 0.9]), st.sampled_from([1, 3, 8]),
    st.booleans(), st.floats(0, 0.7),
)  # fmt: skip
def test_the_usual_decoder_has_room_for_every_row(name, seed, width, rate, mean, roll, special):
    """Special ids cut spans, which takes further sentinels: a training run must not end at a row with many."""
    tokens, lengths = random_rows(seed, 8, width)
    tokens[np.random.RandomState(seed).random(tokens.shape) < special] = EOS
    own = {"mean_length": mean, "random_roll": roll} if name == "span-corruption" else {}
    scheme = SCHEMES[name](TOY, width, rate=rate, **own)
    scheme.fill(tokens, lengths, Draws(seed, 0, np.arange(8)), None, allocate(scheme.fields, 8, None))


def test_the_usual_decoder_is_no_longer_than_needed():
    """One of many rows with special ids fills the decoder."""
    width, longest = 20, 0
    for seed in range(400):
        tokens, _ = random_rows(seed, 8, width, short=False)
        tokens[np.random.RandomState(seed).random(tokens.shape) < 0.25] = EOS
        batch = filled("span-corruption", tokens, np.full(8, width), seed, mean_length=8)
        longest = max(longest, int(batch["loss_mask"].sum(axis=1).max()))
    assert longest == batch["labels"].shape[1]


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([0, FIRST]), st.sampled_from([None, 0, 0.3, 1]),
    st.booleans(),
)  # fmt: skip
def test_ul2_is_its_twin(seed, width, least, rate, modes):
    tokens, lengths = random_rows(seed, 5, width, least)
    batch = filled(
        "ul2", tokens, lengths, seed, 0, range(5), rate, max_seq_length_dec=2 * width + 2,
        mode_tokens=["[NLU]", "[S2S]", "[NLG]"] if modes else None,
    )  # fmt: skip
    for row in range(5):
        twin = Twin(seed, 0, row)
        number = int(twin.uniform(2, 0) * 7)
        assert batch["denoiser"][row] == number
        kind, mean, density = DENOISERS[number].kind, DENOISERS[number].mean_length, DENOISERS[number].density
        encoder, decoder = spans_twin(
            twin, tokens[row].tolist(), int(lengths[row]), density if rate is None else rate, mean
        )
        prefix = [{"R": 7, "S": 8, "X": 9}[kind]] if modes else []
        check(batch, row, prefix + encoder, decoder)


def test_counts_and_lengths():
    """Of 568 tokens T5 makes 512 with 114 targets; every cut is as likely as any other."""
    tokens = np.tile(np.arange(567) % 40 + FIRST, (4000, 1))
    batch = filled("span-corruption", tokens, np.full(4000, 567))
    assert (batch["lengths"] == 567 - 85 + 28).all()
    assert (batch["lengths_dec"] == 85 + 28 + 1).all()
    noise = tokens_as_noise(batch, tokens)
    assert (noise.sum(axis=1) == 85).all()
    assert not noise[:, 0].any()
    assert noise[:, -1].all()
    rolled = filled("span-corruption", tokens, np.full(4000, 567), random_roll=True)
    share = 85 / 567
    found = tokens_as_noise(rolled, tokens).mean(axis=0)
    assert (np.abs(found - share) <= 5 * np.sqrt(share * (1 - share) / 4000)).all()


def tokens_as_noise(batch, tokens):
    """Which places were noise: those whose tokens the encoder does not see, by aligning the two texts."""
    noise = np.ones(tokens.shape, bool)
    for row in range(len(tokens)):
        place = 0
        targets = batch["labels"][row, : batch["lengths_dec"][row] - 1].tolist()
        sizes = {}
        for id_ in targets:
            if id_ in TOY.sentinel_ids:
                last = id_
                sizes[last] = 0
            else:
                sizes[last] += 1
        for id_ in batch["text_enc"][row, : batch["lengths"][row]].tolist():
            if id_ in sizes:
                place += sizes[id_]
            else:
                noise[row, place] = False
                place += 1
    return noise


def test_segments_are_even():
    """Four tokens of noise in two spans: lengths 1, 2 and 3 of the first as often as each other."""
    tokens = np.tile(np.arange(8) + FIRST, (30000, 1))
    batch = filled("span-corruption", tokens, np.full(30000, 8), rate=0.5, mean_length=2, max_seq_length_dec=9)
    second = batch["labels"] == TOY.sentinel_ids[1]
    first = np.bincount(second.argmax(axis=1) - 1, minlength=4)
    assert (np.abs(first[1:] - 10000) <= 5 * np.sqrt(30000 * 2 / 9)).all()


def test_ul2_is_an_even_mixture():
    tokens = np.tile(np.arange(40) + FIRST, (30000, 1))
    batch = filled("ul2", tokens, np.full(30000, 40))
    found = np.bincount(batch["denoiser"], minlength=7)
    assert (np.abs(found - 30000 / 7) <= 5 * np.sqrt(30000 * 6 / 49)).all()
    suffix = batch["denoiser"] == 2
    assert (batch["text_enc"][suffix, :31] == [*range(FIRST, FIRST + 30), TOY.sentinel_ids[0]]).all()
    weighted = filled("ul2", tokens, np.full(30000, 40), weights=[0, 0, 3, 0, 0, 0, 1])
    assert set(weighted["denoiser"]) == {2, 6}
    assert abs((weighted["denoiser"] == 2).sum() - 22500) <= 5 * np.sqrt(30000 * 3 / 16)


def test_never_silent():
    tokens, lengths = np.full((2, 90), FIRST), [90, 90]
    with pytest.raises(SampleError, match="sample 0 needs 45 sentinels and vocabulary has 36"):
        filled("span-corruption", tokens, lengths, rate=0.5, mean_length=1, max_seq_length_dec=200)
    with pytest.raises(SampleError, match="sample 7 needs 20 entries for its decoder and max_seq_length_dec is 9"):
        filled("span-corruption", tokens, lengths, indices=[7, 8], max_seq_length_dec=9)
