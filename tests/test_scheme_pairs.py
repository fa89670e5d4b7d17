"""Google's next-sentence pairs: equal to a plain twin, B from another document, the shares, and what is refused."""

import pickle
from itertools import chain

import numpy as np
import pytest
from helpers import write_dataset
from scheme_twins import CLS, FIRST, LAST, SEP, TOY, Twin

from maskgen.samples import SampleError, to_hf
from maskgen.samples.bert import truncate
from maskgen.schemes import NextSentenceSamples
from preprocess import IndexedDataset


def corpus(prefix, documents=40, seed=3, longest=12):
    random = np.random.RandomState(seed)
    texts = [
        [random.randint(FIRST, LAST + 1, random.randint(0, longest + 1)).tolist() for _ in range(random.randint(0, 7))]
        for _ in range(documents)
    ]
    write_dataset(prefix, texts)
    ends = np.cumsum([len(text) for text in texts])
    rows = [[end - len(text), end, random.randint(2, 26)] for end, text in zip(ends, texts, strict=True) if text]
    return texts, np.array(rows, np.uint32), IndexedDataset(prefix)


def pair_twin(twin, texts, row, room):
    """[CLS] A [SEP] B [SEP] by lists, where B starts, and whether it is random."""
    first, last, target = row.tolist()
    sentences = [sentence for text in texts for sentence in text]
    pivot = 1 + twin.below(64, 0, last - first - 1) if last - first > 1 else 1
    a, b = list(chain(*sentences[first : first + pivot])), list(chain(*sentences[first + pivot : last]))
    is_random = last - first == 1 or twin.uniform(65, 0) < 0.5
    if is_random:
        starts = np.cumsum([0, *map(len, texts)]).tolist()
        others = [number for number, text in enumerate(texts) if text and starts[number] != first]
        text = texts[others[twin.below(66, 0, len(others))]]
        b = []
        for sentence in text[twin.below(67, 0, len(text)) :]:
            b = b + sentence
            if len(b) >= max(target - len(a), 1):
                break
    surplus = len(a) + len(b) - room
    if surplus > 0:
        draws = np.array([twin.uniform(68, number) for number in range(surplus)])
        a, b = (part.tolist() for part in truncate(np.array(a), np.array(b), draws))
    return [CLS, *a, SEP, *b, *[SEP][: len(b)]], len(a) + 2, int(is_random), int(surplus > 0)


@pytest.mark.parametrize("width", [6, 29])
def test_pairs_are_their_twin(tmp_path, width):
    texts, rows, dataset = corpus(tmp_path / "d")
    rows[:, 2] = np.minimum(rows[:, 2], width - 3)
    samples = NextSentenceSamples(dataset, rows, TOY, max_seq_length=width, seed=9, rate=0)
    batch = samples.batch(range(len(samples)), epoch=2)
    for index, row in enumerate(rows):
        text, second, is_random, truncated = pair_twin(Twin(9, 2, index), texts, row, width - 3)
        assert batch["text"][index, : len(text)].tolist() == text
        assert batch["lengths"][index] == len(text)
        assert batch["types"][index].tolist() == [int(second <= i < len(text)) for i in range(width)]
        assert (batch["is_random"][index], batch["truncated"][index]) == (is_random, truncated)
    assert 0 < batch["truncated"].mean() < 1


def test_random_parts_come_from_other_documents(tmp_path):
    """Every document has ids of its own here; half of the pairs are random, all others alike."""
    write_dataset(tmp_path / "d", [[[FIRST + i] * 3, [FIRST + i] * 3] for i in range(5)])
    rows = np.tile([[2, 4, 20]], (20000, 1))
    samples = NextSentenceSamples(IndexedDataset(tmp_path / "d"), rows, TOY, max_seq_length=23, rate=0)
    batch = samples.batch(range(20000))
    ids, counts = np.unique(batch["text"][:, 5], return_counts=True)
    assert ids.tolist() == [FIRST + i for i in range(5)]
    assert (batch["text"][:, 1:4] == FIRST + 1).all()
    shares = np.array([1, 4, 1, 1, 1]) / 8
    assert (np.abs(counts - 20000 * shares) <= 5 * np.sqrt(20000 * shares * (1 - shares))).all()
    assert np.array_equal(batch["is_random"] == 1, batch["text"][:, 5] != FIRST + 1)


@pytest.mark.parametrize("scheme", ["roberta", "electra", "spanbert", "masked-diffusion"])
def test_any_encoder_scheme_masks_them(tmp_path, scheme):
    _, rows, dataset = corpus(tmp_path / "d")
    samples = NextSentenceSamples(dataset, rows, TOY, max_seq_length=29, scheme=scheme)
    batch = samples.batch([3, 0, -1])
    assert batch["masked_counts"].sum() > 0
    again = pickle.loads(pickle.dumps(samples)).batch([3, 0, -1], out=samples.allocate(3))
    for name, array in batch.items():
        assert np.array_equal(array, again[name]), name
    alone = samples[3]
    assert all(np.array_equal(alone[name], batch[name][0]) for name in alone)
    hf = to_hf(batch, next_sentence=True)
    assert np.array_equal(hf["next_sentence_label"], batch["is_random"])
    assert np.array_equal(hf["token_type_ids"], batch["types"])
    description = samples.describe()
    assert description["scheme"] == f"next-sentence/{scheme}"
    assert description["data"]["sequences"] == len(dataset)
    other = NextSentenceSamples(dataset, rows[:-1], TOY, max_seq_length=29, scheme=scheme)
    assert other.describe() != description


def test_no_types_without_pairs():
    from scheme_twins import filled

    batch = filled("roberta", [[FIRST] * 8], [8])
    assert set(to_hf(batch)) == {"input_ids", "attention_mask", "labels"}
    with pytest.raises(SampleError, match="samples without pairs"):
        to_hf(batch, next_sentence=True)


def test_errors(tmp_path):
    _, rows, dataset = corpus(tmp_path / "d")
    with pytest.raises(SampleError, match="moves tokens"):
        NextSentenceSamples(dataset, rows, TOY, max_seq_length=29, scheme="bart")
    with pytest.raises(SampleError, match="documents=True with pairs"):
        NextSentenceSamples(dataset, rows, TOY, max_seq_length=29, documents=True)
    with pytest.raises(SampleError, match="random_share is 2"):
        NextSentenceSamples(dataset, rows, TOY, max_seq_length=29, random_share=2)
    with pytest.raises(SampleError, match="a target of"):
        NextSentenceSamples(dataset, rows, TOY, max_seq_length=8)
    write_dataset(tmp_path / "one", [[[FIRST], [FIRST]]])
    one = IndexedDataset(tmp_path / "one")
    with pytest.raises(SampleError, match="1 documents with sentences; expected two"):
        NextSentenceSamples(one, [[0, 2, 5]], TOY, max_seq_length=8)
    assert len(NextSentenceSamples(one, [[0, 2, 5]], TOY, max_seq_length=8, random_share=0)[0]["text"]) == 8
    with pytest.raises(SampleError, match="without draws"):
        NextSentenceSamples(dataset, rows, TOY, max_seq_length=29).rows.tokens([0])
