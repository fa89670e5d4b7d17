"""pmi: the search against counting by hand, the file, and the masks against a plain twin."""

import json
import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from helpers import GOLDEN, write_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from scheme_twins import FIRST, LAST, TOY, Twin, assert_equal, encoder_batch, filled, random_rows, shown

from maskgen.cli import main
from maskgen.samples import SampleError
from maskgen.schemes import pmi_search
from maskgen.schemes.ngrams import NGrams, save_ngrams
from maskgen.schemes.pmi_search import find_ngrams
from preprocess import IndexedDataset

FEW = FIRST + 8  # with so few ids n-grams come back


def words_of(tokens, length):
    """Words as tuples of ids with their places; None where a special id is."""
    words = []
    for place, id_ in enumerate(tokens[:length]):
        if id_ in TOY.special_ids:
            words.append(None)
        elif words and words[-1] is not None and not TOY.word_starts[id_]:
            words[-1] = (words[-1][0], (*words[-1][1], id_))
        else:
            words.append((place, (id_,)))
    return words


def search_twin(sequences, min_count, longest):
    counts = [Counter() for _ in range(longest + 1)]
    for sequence in sequences:
        words = words_of(sequence, len(sequence))
        for size in range(1, longest + 1):
            for i in range(len(words) - size + 1):
                if None not in words[i : i + size]:
                    counts[size][tuple(word for _, word in words[i : i + size])] += 1

    def log_share(ngram):
        return math.log(counts[len(ngram)][ngram] / counts[len(ngram)].total())

    def explained(ngram):
        """The best of all ways to cut."""
        cuts = range(1, len(ngram))
        return max(
            sum(log_share(ngram[a:b]) for a, b in pairwise([0, *chosen, len(ngram)]))
            for number in range(1, 2 ** len(cuts))
            for chosen in [[cut for cut in cuts if number >> (cut - 1) & 1]]
        )

    return {
        tuple(id_ for word in ngram for id_ in word): (size, count, log_share(ngram) - explained(ngram))
        for size in range(2, longest + 1)
        for ngram, count in counts[size].items()
        if count >= min_count
    }


@pytest.mark.parametrize("chunk", [7, 1 << 20])
@pytest.mark.parametrize("longest", [2, 5])
def test_the_search_is_its_twin(tmp_path, monkeypatch, chunk, longest):
    monkeypatch.setattr(pmi_search, "CHUNK", chunk)
    random = np.random.RandomState(8)
    sequences = [random.choice([1, *range(FIRST, FEW)], random.randint(0, 30)).tolist() for _ in range(60)]
    write_dataset(tmp_path / "d", [sequences[:20], sequences[20:]])
    dataset = IndexedDataset(tmp_path / "d")
    expected = search_twin(sequences, 3, longest)
    ngrams, facts = find_ngrams(dataset, TOY, min_count=3, longest=longest, min_pmi=-99)
    assert {tuple(each) for each in ngrams} == set(expected)
    assert len(expected) > 30
    for ngram, pmi, count in zip(ngrams, facts["pmi"], facts["counts"], strict=True):
        assert (count, pytest.approx(pmi, abs=2e-6)) == expected[tuple(ngram)][1:]
    sizes = [expected[tuple(ngram)][0] for ngram in ngrams]
    assert sizes == sorted(sizes)
    for (one, pmi), (other, less) in pairwise(zip(sizes, facts["pmi"], strict=True)):
        assert one < other or pmi >= less
    assert NGrams(ngrams, TOY).sizes.tolist() == sizes
    best, _ = find_ngrams(dataset, TOY, min_count=3, longest=longest, size=2 * (longest - 1), min_pmi=-99)
    assert best == [
        each
        for size in range(2, longest + 1)
        for each in [n for n, s in zip(ngrams, sizes, strict=True) if s == size][:2]
    ]


def pmi_twin(twin, tokens, length, rate, known):
    words = words_of(tokens, length)
    units, i = [], 0
    while i < len(words):
        size = 0
        if words[i] is not None:
            size = 1
            for n in range(2, 6):
                run = words[i : i + n]
                if len(run) == n and None not in run and tuple(x for _, word in run for x in word) in known:
                    size = n
            units.append([place + k for place, word in words[i : i + size] for k in range(len(word))])
        i += max(size, 1)
    ordinary = sum(map(len, units))
    budget = max(1, round(rate * ordinary)) if ordinary and rate else 0
    masked = []
    for unit in sorted(units, key=lambda unit: twin.rank(0, unit[0])):
        if len(masked) + len(unit) <= budget:
            masked += unit
    return shown(twin, tokens, sorted(masked), 1 - 0.1 - 0.1, 0.1), set(masked)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.booleans(), st.sampled_from([0, 0.15, 0.5, 1]))
def test_pmi_is_its_twin(seed, width, specials, rate):
    tokens, lengths = random_rows(seed, 4, width, FIRST, FEW)
    if specials:
        tokens[np.random.RandomState(seed).random_sample(tokens.shape) < 0.1] = 3
    # N-grams that occur: runs of words of the rows themselves.
    known, random = set(), np.random.RandomState(seed)
    for row in tokens.tolist():
        words = words_of(row, width)
        for _ in range(6):
            i, n = random.randint(0, len(words)), random.randint(2, 6)
            run = words[i : i + n]
            if len(run) == n and None not in run and TOY.word_starts[run[0][1][0]]:
                known.add(tuple(x for _, word in run for x in word))
    ngrams = NGrams(sorted(known), TOY)
    batch = filled("pmi", tokens, lengths, seed, 1, [4, 5, 6, 2**35], rate, ngrams=ngrams)
    rows = []
    for row, index in enumerate([4, 5, 6, 2**35]):
        text, masked = pmi_twin(Twin(seed, 1, index), tokens[row].tolist(), int(lengths[row]), rate, known)
        rows.append((tokens[row].tolist(), int(lengths[row]), text, masked))
    assert_equal(batch, encoder_batch(rows, width))


def test_units_are_even():
    """Rows of an n-gram of two words and six single words: each unit is masked as often as any other."""
    one = [FIRST, FIRST + 1]
    row = [*one, *([FIRST + 3] * 6)]
    assert TOY.word_starts[row].all()
    tokens = np.tile(row, (20000, 1))
    batch = filled("pmi", tokens, np.full(20000, 8), rate=0.25, ngrams=NGrams([row[:2]], TOY))
    together = batch["loss_mask"][:, 0] == 1
    assert np.array_equal(together, batch["loss_mask"][:, 1] == 1)
    # The pair is masked when it comes first of seven units: after a single word it does not fit.
    assert abs(together.sum() - 20000 / 7) <= 5 * np.sqrt(20000 * 6 / 49)
    assert (batch["masked_counts"] == 2).all()


def test_the_file(tmp_path):
    path = tmp_path / "ngrams.json"
    save_ngrams(path, TOY, [[FIRST, FIRST + 1]], {"pmi": [1.5], "counts": [3]})
    assert len(NGrams.load(path, TOY)) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["ngrams.json"]
    saved = json.loads(path.read_text())
    for change, message in (
        ({"version": 9}, "not a file of n-grams"),
        ({"vocab": "x"}, "n-grams of another vocabulary"),
        ({"ngrams": 7}, "ngrams are not lists of ids"),
        ({"ngrams": [["a"]]}, "ngrams are not lists of ids"),
        ({"ngrams": [[FIRST]]}, "n-grams of 1 to 1 words; expected 2 to 5"),
        ({"ngrams": [[]]}, "is empty or holds a special id"),
        ({"ngrams": [[2, FIRST]]}, "is empty or holds a special id"),
        ({"ngrams": [[FIRST, 900]]}, "expected ids below 90"),
        ({"ngrams": [[FIRST, -1]]}, "ids from -1"),
        ({"ngrams": [[FIRST, 2**70]]}, "make the file again"),
        ({"ngrams": [[FIRST, FIRST + 1]] * 2}, "is there twice"),
    ):
        path.write_text(json.dumps({**saved, **change}))
        with pytest.raises(SampleError, match=message):
            NGrams.load(path, TOY)
    path.write_text("{")
    with pytest.raises(SampleError, match="no JSON"):
        NGrams.load(path, TOY)
    with pytest.raises(ValueError, match="No such file"):
        NGrams.load(tmp_path / "none.json", TOY)
    with pytest.raises(SampleError, match="pmi without ngrams"):
        filled("pmi", [[FIRST]], [1])


def test_the_last_bits_of_logarithms_do_not_show(tmp_path, monkeypatch):
    words = [id_ for id_ in range(FIRST, LAST) if TOY.word_starts[id_]]
    text = np.random.RandomState(3).permutation(np.tile(words, 100))
    write_dataset(tmp_path / "d", [[text.tolist()]])
    found = []
    for towards in (-np.inf, np.inf, 0.0):
        log = np.log

        def other(values, towards=towards, log=log):
            result = log(values)
            return np.where(np.arange(len(result)) % 2 == 0, np.nextafter(result, towards), result)

        with monkeypatch.context() as patch:
            patch.setattr(np, "log", other)
            found.append(find_ngrams(IndexedDataset(tmp_path / "d"), TOY, size=400, min_count=2))
    assert len(found[0][0]) > 100
    assert len(set(found[0][1]["pmi"])) < len(found[0][0]) / 4  # many score alike
    assert found[0] == found[1] == found[2]


def test_the_command(tmp_path, capsys):
    vocabulary = GOLDEN / "bert-base-uncased-vocab.txt"
    text = np.random.RandomState(1).randint(2000, 2050, 5000)
    text[::10], text[1::10], text[2::10] = 3000, 3001, 3002
    write_dataset(tmp_path / "d", [[text.tolist()]])
    output = str(tmp_path / "n.json")
    call = ["pmi", str(tmp_path / "d"), "--tokenizer", str(vocabulary), "--output", output]
    assert main([*call, "--show", "1", "--min-pmi", "1", "--longest", "3"]) == 0
    shown_text = capsys.readouterr().out
    assert "n-grams of 2 words" in shown_text
    saved = json.loads((tmp_path / "n.json").read_text())
    assert [3000, 3001, 3002] in saved["ngrams"]
    assert main([*call, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == output
    assert main([*call, "--min-count", "99999"]) == 2
    assert "lower --min-count" in capsys.readouterr().err
    assert main([*call, "--min-pmi", "99"]) == 2
    assert "occurs 10 times and scores more than 99" in capsys.readouterr().err
    assert main([*call, "--role", "cls"]) == 2
    assert "expected ROLE=TOKEN" in capsys.readouterr().err
