"""bart: its steps against plain twins, and what it does on average."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scheme_twins import CLS, EOS, FIRST, LAST, MASK, SEP, TOY, Twin, filled, random_rows

from maskgen.samples import SampleError
from maskgen.schemes import bart_noise
from maskgen.schemes.bart_noise import poisson
from maskgen.vocab import Vocab

STOPS = {i for i, piece in enumerate(TOY.pieces) if piece.lstrip("#") in (".", "!", "?")}
ORDINARY = TOY.ordinary_ids.tolist()
ONE_PIECE = Vocab(
    ["<pad>", "<mask>", "</s>", ".", *(f"w{i}" for i in range(300)), "##x"], pad_id=0, mask_id=1, eos_id=2
)


def in_rank_order(twin, stream, places):
    return sorted(places, key=lambda place: twin.rank(stream, place))


def bart_twin(twin, row, width, rate, lam=3.0, replace=1, random=0.1, insert=0.0, rotate=0.0, permute=1.0):
    """The text of one row (without padding), by lists; and whether insertions were left out."""
    places = [i for i, id_ in enumerate(row) if id_ not in TOY.special_ids]
    if not places:
        return row, 0
    head, body, tail = row[: places[0]], row[places[0] : places[-1] + 1], row[places[-1] + 1 :]
    sentences = [[]]
    for i, id_ in enumerate(body):
        sentences[-1].append(id_)
        if id_ in STOPS and i + 1 < len(body) and body[i + 1] not in STOPS:
            sentences.append([])
    moved = in_rank_order(twin, 0, range(len(sentences)))[: math.ceil(len(sentences) * permute)]
    order = list(range(len(sentences)))
    if len(moved) > 1:
        for place, source in zip(moved, in_rank_order(twin, 1, range(len(moved))), strict=True):
            order[place] = moved[source]
    body = [id_ for i in order for id_ in sentences[i]]

    def ordinary(i):
        return body[i] not in TOY.special_ids

    begins = [
        i for i in range(len(body)) if ordinary(i) and (TOY.word_starts[body[i]] or i == 0 or not ordinary(i - 1))
    ]
    budget, lengths, cumulative = math.ceil(rate * len(begins)), [], poisson(lam)[:-1].tolist()
    while sum(lengths) < budget:
        u = twin.uniform(2, len(lengths))
        lengths.append(min(sum(c <= u for c in cumulative), budget - sum(lengths)))
    spans = [length for length in lengths if length]
    heads, inside = in_rank_order(twin, 3, begins)[: len(spans)], set()
    for start, length in zip(heads, spans, strict=False):
        place, left = start + 1, length - 1
        while place < len(body) and ordinary(place):
            left -= place in begins
            if left < 0:
                break
            inside.add(place)
            place += 1

    def noise(which, what, place):
        if twin.uniform(which, place) < random:
            return ORDINARY[twin.below(what, place, len(ORDINARY))]
        return MASK

    text = []
    for i, id_ in enumerate(body):
        if i in inside or i in heads:
            if replace == -1 or (replace == 1 and i not in inside):
                text.append(noise(4, 5, i))
        else:
            text.append(id_)
    wanted = len(lengths) - len(spans) + math.ceil(insert * len(text))
    room = width - len(head) - len(tail) - len(text)
    total = len(text) + min(wanted, room)
    for place in sorted(in_rank_order(twin, 6, range(total))[: total - len(text)]):
        text.insert(place, noise(7, 8, place))
    if len(text) > 1 and twin.uniform(9, 0) < rotate:
        offset = twin.below(10, 0, len(text))
        text = text[offset:] + text[:offset]
    return head + text + tail, int(wanted > room)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_bart_is_its_twin(data):
    seed, width = data.draw(st.integers(0, 10**6)), data.draw(st.integers(1, 40))
    tokens, lengths = random_rows(seed, 3, width, data.draw(st.sampled_from([0, FIRST])))
    tokens[np.random.RandomState(seed).random_sample(tokens.shape) < 0.1] = LAST - 3  # more sentences
    rate = data.draw(st.sampled_from([0, 0.3, 1]))
    options = {
        "replace_length": data.draw(st.sampled_from([-1, 0, 1])),
        "poisson_lambda": data.draw(st.sampled_from([0.3, 3.0, 20.0])),
        "random": data.draw(st.sampled_from([0, 0.1, 1])),
        "insert": data.draw(st.sampled_from([0, 0.2])),
        "rotate": data.draw(st.sampled_from([0, 0.5, 1])),
        "permute_sentences": data.draw(st.sampled_from([0, 0.5, 1])),
    }
    batch = filled("bart", tokens, lengths, seed, 2, [5, 6, 2**40], rate, **options)
    names = {"replace_length": "replace", "poisson_lambda": "lam", "permute_sentences": "permute"}
    for row, index in enumerate([5, 6, 2**40]):
        own = tokens[row, : lengths[row]].tolist()
        text, truncated = bart_twin(
            Twin(seed, 2, index), own, width, rate, **{names.get(name, name): value for name, value in options.items()}
        )
        assert batch["text_enc"][row, : batch["lengths"][row]].tolist() == text
        assert batch["truncated"][row] == truncated
        assert batch["labels"][row, : len(own)].tolist() == own
        assert batch["text_dec"][row, : len(own)].tolist() == [EOS, *own[:-1]][: len(own)]


def test_poisson_shares():
    shares = np.diff(np.concatenate(([0], poisson(3.0))))
    assert np.allclose(shares[:5], [math.exp(-3) * 3**k / math.factorial(k) for k in range(5)])
    assert (np.arange(len(shares)) * shares).sum() == pytest.approx(3, abs=1e-4)
    assert (np.arange(len(poisson(100.0))) * np.diff(np.concatenate(([0], poisson(100.0))))).sum() == pytest.approx(
        100, abs=0.01
    )


def test_what_infilling_does():
    """Words go from the encoder's text as often as the rate says, less what overlaps; lengths are Poisson's."""
    count = 2000
    tokens = np.random.RandomState(1).randint(4, 304, (count, 200))
    draws = bart_noise.BatchDraws(bart_noise.Draws(7, 0, np.arange(count)), 200)
    noise = filled_noise()
    found = np.zeros(30, int)
    for row in range(count):
        lengths = bart_noise.span_lengths(200, 0.3, noise, bart_noise.RowDraws(draws, row))
        assert lengths.sum() == 60
        found[: lengths[:10].max() + 1] += np.bincount(lengths[:10])
    shares = np.array([math.exp(-3) * 3**k / math.factorial(k) for k in range(10)])
    assert (np.abs(found[:10] - 10 * count * shares) <= 5 * np.sqrt(10 * count * shares * (1 - shares))).all()
    batch = filled("bart", tokens, np.full(count, 200), vocab=ONE_PIECE, random=0, permute_sentences=0)
    seen = (batch["text_enc"] == 1).sum(axis=1)
    gone = 200 - (batch["lengths"] - seen)
    assert (gone <= 60).all()
    assert gone.mean() > 50  # overlaps and the end of the text cost the rest
    each = filled(
        "bart", tokens, np.full(count, 200), vocab=ONE_PIECE, poisson_lambda=None, random=0.1, permute_sentences=0
    )
    assert ((each["text_enc"] != tokens).sum(axis=1) <= 60).all()
    masks = (each["text_enc"] == 1).sum()
    assert abs(masks - count * 60 * 0.9) <= 5 * np.sqrt(count * 60 * 0.09)


def filled_noise():
    from maskgen.schemes import SCHEMES

    return SCHEMES["bart"](ONE_PIECE, 200).noise


def test_permutations_are_even():
    """Three sentences between special ids: each of six orders as often as the others, nothing lost."""
    row = [CLS, FIRST + 1, 86, FIRST + 2, 86, FIRST + 4, 86, SEP]
    assert 86 in STOPS
    batch = filled("bart", np.tile(row, (12000, 1)), np.full(12000, 8), rate=0)
    orders = batch["text_enc"][:, [1, 3, 5]]
    assert (np.sort(batch["text_enc"], axis=1) == np.sort(row)).all()
    assert (batch["text_enc"][:, [0, 2, 4, 6, 7]] == [CLS, 86, 86, 86, SEP]).all()
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 6
    assert (np.abs(counts - 2000) <= 5 * np.sqrt(12000 * 5 / 36)).all()


def test_a_vocabulary_without_stops():
    vocab = Vocab(["<pad>", "<mask>", "</s>", "a", "##x"], pad_id=0, mask_id=1, eos_id=2)
    with pytest.raises(SampleError, match="no piece that ends a sentence"):
        filled("bart", [[3, 3]], [2], vocab=vocab)
    assert filled("bart", [[3, 3]], [2], vocab=vocab, permute_sentences=0)["labels"].tolist() == [[3, 3]]
