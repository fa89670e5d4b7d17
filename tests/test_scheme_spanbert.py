"""spanbert: equal to a plain twin, and the published shape of its spans."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scheme_twins import FIRST, LAST, MASK, TOY, Twin, assert_equal, encoder_batch, filled, random_rows, shown

from maskgen.samples import SampleError
from maskgen.schemes.spanbert import SpanBert
from maskgen.vocab import Vocab

ONE_PIECE = Vocab(["[PAD]", "[MASK]", *(f"w{i}" for i in range(200)), "##x"], pad_id=0, mask_id=1)


def cumulative_shares(max_words):
    """To the last bit: one product and one sum after the other, as every machine computes them."""
    share, sums = 0.2, [0.2]
    for _ in range(max_words - 1):
        share *= 1 - 0.2
        sums.append(sums[-1] + share)
    return [each / sums[-1] for each in sums]


@pytest.mark.parametrize("max_words", [1, 2, 10, 300])
def test_lengths_of_runs_have_the_same_shares_everywhere(max_words):
    assert SpanBert(TOY, 8, max_words=max_words).cumulative.tolist() == cumulative_shares(max_words)[:-1]


def spanbert_twin(twin, tokens, length, rate, max_words):
    ordinary = [i < length and id_ not in TOY.special_ids for i, id_ in enumerate(tokens)]
    places = [i for i, each in enumerate(ordinary) if each]
    budget, masked = math.ceil(rate * len(places)), set()

    def starts(i):
        return ordinary[i] and (i == 0 or not ordinary[i - 1] or bool(TOY.word_starts[tokens[i]]))

    for anchor in sorted(places, key=lambda place: twin.rank(0, place)):
        if anchor in masked or len(masked) >= budget:
            continue
        words = 1 + sum(twin.uniform(1, anchor) >= c for c in cumulative_shares(max_words)[:-1])
        begin = anchor
        while not starts(begin):
            begin -= 1
        place = begin
        while place < len(tokens) and ordinary[place] and len(masked) < budget:
            words -= starts(place)
            if words < 0:
                break
            masked.add(place)
            place += 1
    leader, runs = {}, []
    for place in sorted(masked):
        if runs and runs[-1][-1] == place - 1:
            runs[-1].append(place)
        else:
            runs.append([place])
        leader[place] = runs[-1][0]
    return shown(twin, tokens, sorted(masked), 1 - 0.1 - 0.1, 0.1, leader=leader), masked, runs


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([0, FIRST]), st.sampled_from([0, 0.15, 0.5, 1]),
    st.sampled_from([1, 3, 10]),
)  # fmt: skip
def test_spanbert_is_its_twin(seed, width, least, rate, max_words):
    tokens, lengths = random_rows(seed, 4, width, least)
    batch = filled("spanbert", tokens, lengths, seed, 3, [1, 2, 3, 2**33], rate, max_words=max_words)
    rows, bounds = [], []
    for row, index in enumerate([1, 2, 3, 2**33]):
        text, masked, runs = spanbert_twin(
            Twin(seed, 3, index), tokens[row].tolist(), int(lengths[row]), rate, max_words
        )
        rows.append((tokens[row].tolist(), int(lengths[row]), text, masked))
        for run in runs:
            left, right = max(run[0] - 1, 0), min(run[-1] + 1, int(lengths[row]) - 1)
            bounds += [(row * width + left, row * width + right, i + 1) for i in range(len(run))]
    assert_equal(batch, encoder_batch(rows, width))
    found = zip(*(batch[name].tolist() for name in ("span_left", "span_right", "span_offset")), strict=True)
    assert list(found) == bounds


def test_boundaries_are_seen():
    """Between [CLS] and [SEP] no boundary is masked, and the offset leads back to the run's start."""
    tokens, _ = random_rows(1, 300, 128, FIRST, short=False)
    tokens[:, 0], tokens[:, -1] = 2, 3
    batch = filled("spanbert", tokens, np.full(300, 128))
    masked = batch["loss_mask"].ravel()
    assert not masked[batch["span_left"]].any()
    assert not masked[batch["span_right"]].any()
    assert np.array_equal(batch["span_left"] + batch["span_offset"], batch["masked_positions"])
    assert (batch["span_right"] > batch["masked_positions"]).all()
    assert (batch["masked_counts"] == math.ceil(0.15 * 126)).all()


def test_lengths_are_geometric():
    """The first run of a row, long before the share is reached: 3.8 words on average, as the paper says."""
    rows = 20000
    tokens = np.random.RandomState(3).randint(2, 202, (rows, 400))
    batch = filled("spanbert", tokens, np.full(rows, 400), rate=10 / 400, vocab=ONE_PIECE)
    lengths = np.array([drawn_length(row, 7) for row in range(rows)])
    n = np.arange(1, 11)
    share = 0.2 * 0.8 ** (n - 1) / (1 - 0.8**10)
    found = np.bincount(lengths, minlength=11)[1:]
    assert (np.abs(found - rows * share) <= 5 * np.sqrt(rows * share * (1 - share))).all()
    assert (n * share).sum() == pytest.approx(3.797, abs=1e-3)
    for row in range(100):
        anchor = min(range(400), key=lambda place, row=row: Twin(1, 0, row).rank(0, place))
        end = min(400, anchor + drawn_length(row, anchor))
        assert batch["loss_mask"][row, anchor:end].all()


def drawn_length(row, anchor):
    return 1 + int(np.searchsorted(CUMULATIVE, Twin(1, 0, row).uniform(1, anchor), side="right"))


CUMULATIVE = np.cumsum(0.2 * 0.8 ** np.arange(9) / (1 - 0.8**10))


def test_runs_are_shown_alike():
    tokens, lengths = random_rows(4, 3000, 100, FIRST, short=False)
    batch = filled("spanbert", tokens, lengths)
    starts = batch["span_offset"] == 1
    seen = batch["text"].ravel()[batch["masked_positions"]]
    run = np.cumsum(starts) - 1
    masked, kept = seen == MASK, seen == batch["masked_labels"]
    runs = starts.sum()
    for flags, share in ((masked, 0.8), (~masked & kept, 0.1)):
        full = np.bincount(run, flags) == np.bincount(run)
        if share == 0.8:
            assert (full | (np.bincount(run, flags) == 0)).all()
        # A replaced run may by chance look untouched: one of a single token, once in the number of ordinary ids.
        slack = 0.1 / (LAST - FIRST)
        assert runs * share - 5 * np.sqrt(runs * share * (1 - share)) <= full.sum()
        assert full.sum() <= runs * (share + slack) + 5 * np.sqrt(runs * share * (1 - share))


def test_options():
    for options, message in (({"geometric": 0}, "geometric is 0"), ({"max_words": 0}, "max_words is 0")):
        with pytest.raises(SampleError, match=message):
            filled("spanbert", [[FIRST]], [1], **options)
