"""roberta, electra, modernbert, masked-diffusion: equal to plain twins, and what they do on average."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scheme_twins import FIRST, LAST, MASK, PIECES, TOY, Twin, assert_equal, encoder_batch, filled, random_rows, shown

from maskgen.vocab import Vocab

TINY = Vocab(["[PAD]", "[MASK]", "a", "##b"], pad_id=0, mask_id=1)
WIDE = Vocab(["[PAD]", "[MASK]", *(f"w{i}" for i in range(1000)), "##x"], pad_id=0, mask_id=1)


def ordinary_places(tokens, length, vocab=TOY):
    return [i for i in range(length) if tokens[i] in set(vocab.ordinary_ids.tolist())]


def words_of(tokens, places, vocab):
    """Lists of places: a word goes on while the next place follows and continues it."""
    words = []
    for place in places:
        if words and words[-1][-1] == place - 1 and not vocab.word_starts[tokens[place]]:
            words[-1].append(place)
        else:
            words.append([place])
    return words


def roberta_twin(twin, tokens, length, rate, vocab, whole_words=False, weights=None, mask=0.8, random=0.1):
    places = ordinary_places(tokens, length, vocab)
    units = words_of(tokens, places, vocab) if whole_words else [[place] for place in places]
    count = min(len(units), int(rate * len(units) + twin.uniform(1, 0)))
    heads = twin.choose(0, [unit[0] for unit in units], count)
    chosen = [place for unit in units if unit[0] in heads for place in unit]
    leader = {place: unit[0] for unit in units for place in unit}
    return shown(twin, tokens, chosen, mask, random, vocab, leader, weights), set(chosen)


def electra_twin(twin, tokens, length, rate, vocab):
    places = ordinary_places(tokens, length, vocab)
    count = max(1, min(int((rate + 0.005) * len(tokens)), round(length * rate))) if rate else 0
    chosen = twin.choose(0, places, min(count, len(places)))
    return shown(twin, tokens, chosen, 0.85, 0.0, vocab), set(chosen)


def modernbert_twin(twin, tokens, length, rate, vocab):
    chosen = [place for place in ordinary_places(tokens, length, vocab) if twin.uniform(0, place) < rate]
    return shown(twin, tokens, chosen, 0.8, 0.1, vocab), set(chosen)


def expected(twin_of, tokens, lengths, seed, epoch, indices, *arguments, **options):
    rows = []
    for row, length, index in zip(tokens.tolist(), lengths.tolist(), indices.tolist(), strict=True):
        text, chosen = twin_of(Twin(seed, epoch, index), row, length, *arguments, **options)
        rows.append((row, length, text, chosen))
    return encoder_batch(rows, tokens.shape[1])


@st.composite
def cases(draw):
    vocab = draw(st.sampled_from([TOY, TINY]))
    seed, width = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 30))
    least = draw(st.sampled_from([0, 2 if vocab is TINY else FIRST]))
    tokens, lengths = random_rows(seed, draw(st.integers(0, 5)), width, least, len(vocab))
    indices = np.random.RandomState(seed).randint(0, 2**40, len(tokens))
    return vocab, tokens, lengths, seed, draw(st.integers(0, 3)), indices, draw(st.sampled_from([0, 0.15, 0.5, 1]))


@settings(max_examples=60, deadline=None)
@given(cases(), st.booleans(), st.booleans())
def test_roberta_is_its_twin(case, whole_words, weighted):
    vocab, tokens, lengths, seed, epoch, indices, rate = case
    weights = np.random.RandomState(seed).randint(0, 5, len(vocab)) + 0.5 if weighted else None
    found = filled(
        "roberta",
        tokens,
        lengths,
        seed,
        epoch,
        indices,
        rate,
        vocab,
        whole_words=whole_words,
        replacement_counts=weights,
    )
    options = {"whole_words": whole_words, "weights": weights}
    # 1 - 0.1 - 0.1, as doubles
    assert_equal(
        found,
        expected(roberta_twin, tokens, lengths, seed, epoch, indices, rate, vocab, mask=1 - 0.1 - 0.1, **options),
    )


@settings(max_examples=60, deadline=None)
@given(cases())
def test_electra_is_its_twin(case):
    vocab, tokens, lengths, seed, epoch, indices, rate = case
    found = filled("electra", tokens, lengths, seed, epoch, indices, rate, vocab)
    assert_equal(found, expected(electra_twin, tokens, lengths, seed, epoch, indices, rate, vocab))


@settings(max_examples=60, deadline=None)
@given(cases())
def test_modernbert_is_its_twin(case):
    vocab, tokens, lengths, seed, epoch, indices, rate = case
    found = filled("modernbert", tokens, lengths, seed, epoch, indices, rate, vocab)
    assert_equal(found, expected(modernbert_twin, tokens, lengths, seed, epoch, indices, rate, vocab))


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from(["llada", "mdlm"]), st.sampled_from([1, 3, 8]), st.booleans())
def test_masked_diffusion_is_its_twin(case, kind, strata, fixed):
    vocab, tokens, lengths, seed, epoch, indices, rate = case
    options = {"kind": kind, "strata": strata}
    found = filled("masked-diffusion", tokens, lengths, seed, epoch, indices, rate if fixed else None, vocab, **options)
    rows = []
    for row, length, index in zip(tokens.tolist(), lengths.tolist(), indices.tolist(), strict=True):
        twin = Twin(seed, epoch, index)
        t = twin.uniform(4, 0)
        if strata > 1:
            group, place = divmod(index, strata)
            turn = Twin(seed, epoch, group).below(5, 0, strata)
            t = ((place + turn) % strata + t) / strata
        if kind == "mdlm":
            t = (1 - 1e-3) * t + 1e-3
        p = rate if fixed else (1 - 1e-3) * t + (1e-3 if kind == "llada" else 0)
        if fixed:
            t = (p - (1e-3 if kind == "llada" else 0)) / (1 - 1e-3)
        weight = 0 if p == 0 else (1.0 if kind == "llada" else 1 - 1e-3) / p
        chosen = {place for place in ordinary_places(row, length, vocab) if twin.uniform(0, place) < p}
        rows.append((row, length, [vocab.mask_id if i in chosen else id_ for i, id_ in enumerate(row)], chosen))
        number = len(rows) - 1
        assert (found["t"][number], found["weights"][number]) == (t, weight)
    assert_equal(found, encoder_batch(rows, tokens.shape[1]))


def within(found, trials, share, sigmas=5):
    return np.all(np.abs(np.asarray(found) - trials * share) <= sigmas * np.sqrt(trials * share * (1 - share)))


@pytest.mark.parametrize(
    ("name", "options", "mask", "random"),
    [
        ("roberta", {}, 0.8, 0.1),
        ("roberta", {"random": 0.3, "leave": 0.2}, 0.5, 0.3),
        ("electra", {}, 0.85, 0),
        ("modernbert", {}, 0.8, 0.1),
    ],
)
def test_shares(name, options, mask, random):
    """Of a million chosen tokens: [MASK], others (each ordinary id alike), unchanged."""
    tokens, lengths = random_rows(1, 4000, 512, 2, 1002, short=False)
    batch = filled(name, tokens, lengths, rate=0.5, vocab=WIDE, **options)
    seen = batch["text"].ravel()[batch["masked_positions"]]
    chosen = len(seen)
    assert chosen > 1_000_000
    assert within((seen == 1).sum(), chosen, mask)
    others = np.bincount(seen[(seen != 1) & (seen != batch["masked_labels"])], minlength=len(WIDE))
    assert within(others[2:1002], chosen, random / 1001 * 999 / 1000 if random else 0)
    assert others[:2].sum() == 0


def test_frequency_weighted_replacements():
    counts = np.zeros(len(PIECES))
    counts[[FIRST, FIRST + 1, LAST]] = 1, 2, 7
    counts[MASK] = 100  # special ids are no replacements, whatever their counts
    tokens, lengths = random_rows(2, 2000, 64, FIRST, short=False)
    batch = filled("roberta", tokens, lengths, rate=1, random=1, leave=0, replacement_counts=counts)
    drawn = np.bincount(batch["text"].ravel(), minlength=len(PIECES))
    assert within(drawn[[FIRST, FIRST + 1, LAST]], drawn.sum(), np.array([0.1, 0.2, 0.7]))
    assert drawn.sum() == drawn[[FIRST, FIRST + 1, LAST]].sum()


def test_how_many():
    """roberta: the mean is rate x tokens; electra: Google's count; modernbert: each place alike."""
    tokens, lengths = random_rows(3, 40000, 41, FIRST, short=False)
    counts = filled("roberta", tokens, lengths)["masked_counts"]
    assert set(counts) == {6, 7}
    assert within((counts == 7).sum(), len(counts), 0.15)  # 0.15 x 41 = 6.15
    for length, width, rate, number in [
        (128, 128, 0.15, 19), (50, 128, 0.15, 8), (30, 128, 0.15, 4), (3, 128, 0.15, 1), (512, 512, 0.25, 128),
        (512, 512, 0.15, 77), (10, 10, 0.25, 2), (100, 10, 1, 10),
    ]:  # fmt: skip
        row, _ = random_rows(3, 1, width, FIRST, short=False)
        found = filled("electra", row, [min(length, width)], rate=rate)
        assert found["masked_counts"] == number, (length, width, rate)
    batch = filled("modernbert", tokens, lengths)
    assert within(batch["loss_mask"].sum(axis=0), len(tokens), 0.3)
    for name in ("roberta", "electra"):
        found = filled(name, tokens, lengths)
        assert within(found["loss_mask"].sum(axis=0), len(tokens), found["masked_counts"].mean() / 41)


def test_masks_differ_by_epoch_seed_and_index():
    tokens = np.full((4, 200), FIRST)
    lengths = np.full(4, 200)
    masks = [
        filled("modernbert", tokens, lengths, **change)["loss_mask"][0]
        for change in ({}, {"epoch": 1}, {"seed": 2}, {"indices": [9, 1, 2, 3]})
    ]
    for i, one in enumerate(masks):
        for other in masks[:i]:
            assert 40 < (one != other).sum() < 130  # 84 are expected of independent masks


def test_llada_and_mdlm():
    """Times, levels and weights: the mean of weight x masked is the length, which is what makes the loss a bound."""
    tokens, lengths = random_rows(4, 20000, 64, FIRST, short=False)
    llada = filled("masked-diffusion", tokens, lengths)
    assert np.allclose(llada["weights"] * ((1 - 1e-3) * llada["t"] + 1e-3), 1)
    assert within(np.bincount((llada["t"] * 10).astype(int), minlength=10), 20000, 0.1)
    mdlm = filled("masked-diffusion", tokens, lengths, kind="mdlm", strata=100)
    assert np.allclose(mdlm["weights"] * mdlm["t"], 1)
    # Every hundredth of the times once in a hundred samples that follow each other.
    strata = np.sort(((mdlm["t"] - 1e-3) / (1 - 1e-3) * 100).astype(int).reshape(200, 100), axis=1)
    assert (strata == np.arange(100)).all()
    assert within(np.bincount((mdlm["t"][::100] * 4).astype(int), minlength=4), 200, 0.25)  # which one turns
    for batch in (llada, mdlm):
        assert set(batch["text"][batch["loss_mask"] == 1]) == {MASK}
        totals = batch["weights"] * batch["masked_counts"]
        assert abs(totals.mean() - 64) < 5 * totals.std() / math.sqrt(len(totals))
    fixed = filled("masked-diffusion", tokens, lengths, rate=0.25)
    assert (fixed["weights"] == 4).all()
    assert within(fixed["masked_counts"].sum(), tokens.size, 0.25)


@pytest.mark.parametrize("whole_words", [False, True])
def test_words_are_masked_and_shown_together(whole_words):
    tokens, lengths = random_rows(5, 500, 60, FIRST, short=False)
    batch = filled("roberta", tokens, lengths, whole_words=whole_words)
    continued = ~TOY.word_starts[tokens[:, 1:]]
    together = batch["loss_mask"][:, 1:] == batch["loss_mask"][:, :-1]
    assert together[continued].all() == whole_words
    masked = batch["text"] == MASK
    both = continued & (batch["loss_mask"][:, 1:] == 1) & (batch["loss_mask"][:, :-1] == 1)
    assert both.any()
    assert (masked[:, 1:] == masked[:, :-1])[both].all() == whole_words
