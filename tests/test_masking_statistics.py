"""What masking does on average, at five standard deviations; the seeds are fixed, so a pass is a pass for ever."""

import numpy as np
import pytest

from maskgen import _native
from maskgen.masking.native import native_settings
from maskgen.masking.settings import MaskingSettings
from maskgen.samples import RowMasker
from maskgen.vocab import Vocab

WORDS = 2000
LENGTH = 130
ONE_PIECE = Vocab(["[PAD]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(WORDS)), "##unused"],
                  cls_id=1, sep_id=2, mask_id=3, pad_id=0)  # fmt: skip
SIGMAS = 5


def rows(count, seed=0):
    """Rows of words of one piece between [CLS] and [SEP]."""
    tokens = np.random.RandomState(seed).randint(4, 4 + WORDS, (count, LENGTH))
    tokens[:, 0], tokens[:, -1] = 1, 2
    return tokens


def within(found, trials, probability):
    """Whether a count of successes is within five standard deviations."""
    deviation = np.sqrt(trials * probability * (1 - probability))
    return np.all(np.abs(np.asarray(found) - trials * probability) <= SIGMAS * deviation)


def test_eight_one_one():
    """Ten million masked tokens: [MASK] for 80 %, the token itself for 10 %, an id of the vocabulary for 10 %."""
    masker = RowMasker(ONE_PIECE, max_seq_length=LENGTH, masked_lm_prob=0.5, replacement_ids=np.arange(4, 4 + WORDS))
    tokens = rows(8192)
    out = masker.allocate(len(tokens), dict.fromkeys(("text", "labels", "loss_mask"), np.int32))
    masked = shown_as_mask = unchanged = 0
    drawn = np.zeros(len(ONE_PIECE), np.int64)
    number = 0
    while masked < 10_000_000:
        seeds = np.arange(number * len(tokens), (number + 1) * len(tokens))
        batch = masker.batch(tokens, seeds, out=out, threads=2)
        shown = batch["text"].ravel()[batch["masked_positions"]]
        masked += len(shown)
        shown_as_mask += np.count_nonzero(shown == 3)
        unchanged += np.count_nonzero(shown == batch["masked_labels"])
        drawn += np.bincount(shown[(shown != 3) & (shown != batch["masked_labels"])], minlength=len(drawn))
        number += 1
    assert within(shown_as_mask, masked, 0.8)
    assert within(unchanged, masked, 0.1 + 0.1 / WORDS)
    # Each id is drawn as often as any other, apart from the places where it stood already.
    share = 0.1 * (1 - 1 / WORDS) / WORDS
    assert within(drawn[4 : 4 + WORDS], masked, share)
    assert drawn[:4].sum() == 0


@pytest.mark.parametrize("max_ngrams", [1, 2, 3, 10])
@pytest.mark.parametrize("kind", ["short", "long", "geometric"])
def test_drawn_lengths(max_ngrams, kind):
    """The lengths as they are drawn; kept ones are shorter, since long n-grams overlap others more often."""
    settings = MaskingSettings(
        0.15, 1, 2, 3, max_ngrams, favor_longer_ngram=kind == "long", geometric_dist=kind == "geometric"
    )
    uniforms = _native.legacy_doubles(7, 2_000_000)
    lengths = _native.ngram_lengths(settings=native_settings(settings, range(1)), uniforms=uniforms)
    counts = np.bincount(lengths, minlength=max_ngrams + 1)
    assert counts[0] == 0
    assert len(counts) == max_ngrams + 1
    n = np.arange(1, max_ngrams + 1)
    if kind == "geometric":
        expected = 0.2 * 0.8 ** (n - 1)
        expected[-1] = 0.8 ** (max_ngrams - 1)
    else:
        expected = (1 / n if kind == "short" else 1 / n[::-1]) / (1 / n).sum()
    assert within(counts[1:], len(uniforms), expected)


def positions(masker, count, first_seed):
    batch = masker.batch(rows(count, seed=3), np.arange(first_seed, first_seed + count))
    return batch["masked_positions"] % LENGTH, batch["masked_counts"]


def test_positions_are_uniform_for_single_words():
    count, words = 50_000, LENGTH - 2
    masker = RowMasker(ONE_PIECE, max_seq_length=LENGTH, max_ngrams=1)
    places, counts = positions(masker, count, 0)
    found = np.bincount(places, minlength=LENGTH)
    assert found[0] == found[-1] == 0
    assert (counts == round(0.15 * LENGTH)).all()
    assert within(found[1:-1], count, round(0.15 * LENGTH) / words)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_ngrams": 10, "geometric_dist": True},
        {"favor_longer_ngram": True, "max_predictions": 19.05},
        {"do_permutation": True, "masking_style": "t5"},
    ],
)
def test_positions_and_shortfall_are_those_of_the_twin(options):
    """Two samples from other seeds: as many predictions at each place and as much of the budget used, within noise."""
    count = 3000
    twin = RowMasker(ONE_PIECE, max_seq_length=LENGTH, engine="reference", **options)
    native = RowMasker(ONE_PIECE, max_seq_length=LENGTH, **options)
    twin_places, twin_counts = positions(twin, count, 0)
    native_places, native_counts = positions(native, count, 10**6)
    one, other = (np.bincount(places, minlength=LENGTH) / count for places in (twin_places, native_places))
    deviation = np.sqrt((one * (1 - one) + other * (1 - other)) / count)
    assert (np.abs(one - other) <= SIGMAS * deviation).all()
    spread = np.sqrt((twin_counts.var() + native_counts.var()) / count)
    assert abs(twin_counts.mean() - native_counts.mean()) <= SIGMAS * spread
    # From the same seeds the shortfall is the same, row by row.
    assert np.array_equal(positions(native, count, 0)[1], twin_counts)


def test_edges_are_masked_less_by_ngrams():
    """An n-gram begins inside of the text, so the first words are covered by fewer of them."""
    masker = RowMasker(ONE_PIECE, max_seq_length=LENGTH, max_ngrams=10, favor_longer_ngram=True)
    places, _ = positions(masker, 20_000, 0)
    found = np.bincount(places, minlength=LENGTH)[1:-1]
    assert found[0] < 0.5 * np.median(found)


def test_no_shortfall_for_single_words():
    """One-piece words, single words, a whole cap: the budget is always used up."""
    tokens = rows(2000)
    for cap in (1, 7, 19):
        batch = RowMasker(ONE_PIECE, max_seq_length=LENGTH, max_ngrams=1, max_predictions=cap).batch(
            tokens, range(2000)
        )
        assert (batch["masked_counts"] == cap).all()
