"""Collators of masked diffusion: what is cut, padded and hidden, of datasets and of texts."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from helpers import write_dataset
from sample_files import TOY, TOY_PIECES, toy_dataset

from maskgen.collators import (
    DefaultCollator,
    DocumentExamples,
    Example,
    InfillingCollator,
    PackedCollator,
    Seq2SeqCollator,
    Seq2SeqPredCollator,
    Seq2SeqTrainCollator,
    TextExamples,
)
from maskgen.rows import Documents
from maskgen.samples.errors import SampleError
from maskgen.schemes import SchemeSamples
from preprocess import load_tokenizer

PAD, CLS, SEP, MASK, EOS = TOY.pad_id, TOY.cls_id, TOY.sep_id, TOY.mask_id, TOY.eos_id


def words(count, first=20):
    return [first + place % 40 for place in range(count)]


def example(ids, index=0, *, epoch=0, prefix=0):
    return Example(np.array(ids, np.int64), index, epoch, prefix)


def several(count=8, prefix=True):
    random = np.random.RandomState(4)
    made = []
    for index in range(count):
        given, rest = random.randint(0, 9), random.randint(1, 12)
        ids = [CLS, *random.randint(20, 60, given + rest), SEP]
        made.append(example(ids, index * 3, prefix=(given + 1) * prefix))
    return made


def test_the_default_masks_are_those_of_the_scheme(tmp_path):
    """Whole documents, as rows of Documents have them: one way to hide tokens, whichever way they come."""
    dataset, _ = toy_dataset(tmp_path / "toy")
    rows = Documents(dataset, 80, pad_id=PAD)
    examples = DocumentExamples(dataset, epoch=2)
    lengths = [len(examples[index].ids) for index in range(len(examples))]
    assert max(lengths) <= 80
    assert min(lengths) > 0
    for kind in ("llada", "mdlm"):
        batch = DefaultCollator(TOY, 80, seed=7, kind=kind)([examples[index] for index in (3, 0, 11)])
        samples = SchemeSamples(rows, TOY, "masked-diffusion", seed=7, kind=kind).batch([3, 0, 11], epoch=2)
        assert np.array_equal(batch["input_ids"], samples["text"])
        assert np.array_equal(batch["attention_mask"], samples["padding_mask"])
        assert np.array_equal(
            np.where(samples["labels"] >= 0, samples["labels"], batch["input_ids"]), batch["target_ids"]
        )
        assert np.allclose(batch["weights"], samples["weights"])
        assert np.allclose(batch["t"], samples["t"])


def test_truncation_keeps_the_end():
    """XLM's collator cuts [SEP] or </s> off."""
    for end in (SEP, EOS):
        row = DefaultCollator(TOY, 6, rate=0.0)([example([CLS, *words(9), end])])
        assert row["target_ids"][0].tolist() == [CLS, 20, 21, 22, 23, end]
    row = DefaultCollator(TOY, 6, rate=0.0)([example([CLS, *words(9)])])  # without an end there is none
    assert row["target_ids"][0].tolist() == [CLS, 20, 21, 22, 23, 24]
    row = Seq2SeqTrainCollator(TOY, 3, 4, rate=0.0)([example([CLS, *words(9), *words(5), SEP], prefix=10)])
    assert row["target_ids"][0].tolist() == [CLS, 27, 28, 20, 21, 22, SEP]  # of the prefix its end, and [CLS]
    row = Seq2SeqTrainCollator(TOY, 3, 4, rate=0.0)([example([*words(9), *words(5), SEP], prefix=9)])
    assert row["target_ids"][0].tolist() == [26, 27, 28, 20, 21, 22, SEP]


def test_rows_are_padded_and_special_tokens_are_never_hidden():
    collator = DefaultCollator(TOY, 12, rate=1.0)
    batch = collator([example([CLS, *words(4), SEP]), example([CLS, 1, MASK, 20, SEP], 1)])
    assert batch["input_ids"].tolist() == [[CLS, *[MASK] * 4, SEP, *[PAD] * 6], [CLS, 1, MASK, MASK, SEP, *[PAD] * 7]]
    assert batch["attention_mask"].tolist() == [[1] * 6 + [0] * 6, [1] * 5 + [0] * 7]
    assert batch["maskable"].tolist() == [[0, 1, 1, 1, 1, *[0] * 7], [0, 0, 0, 1, *[0] * 8]]
    assert batch["positions"][1].tolist() == [0, 1, 2, 3, *[4] * 8]
    batch = DefaultCollator(TOY, 12, rate=1.0, mask_end=True)([example([CLS, *words(4), SEP])])
    assert batch["input_ids"].tolist() == [[CLS, *[MASK] * 5, *[PAD] * 6]]


def test_each_sequence_has_a_rate_of_its_own_from_the_whole_range():
    collator = DefaultCollator(TOY, 400, seed=3)
    batch = collator([example(words(400), index) for index in range(300)])
    shares = (batch["input_ids"] == MASK).mean(axis=1)
    assert np.abs(shares - batch["t"]).max() < 0.1
    assert np.histogram(shares, 4, (0, 1))[0].min() > 40
    assert shares.min() < 0.03
    assert shares.max() > 0.97


@pytest.mark.parametrize("kind", [DefaultCollator, InfillingCollator, Seq2SeqTrainCollator, Seq2SeqCollator])
def test_masks_do_not_depend_on_the_batch_or_on_any_generator(kind):
    collator = kind(TOY, 14, seed=3) if kind in (DefaultCollator, InfillingCollator) else kind(TOY, 8, 9, seed=3)
    examples = several()
    whole = collator(examples)
    np.random.RandomState(0)
    for place, each in enumerate(examples):
        alone = pickle.loads(pickle.dumps(collator))([each])
        assert np.array_equal(alone["input_ids"][0], whole["input_ids"][place])
    mixed = [replace(each, epoch=place % 2) for place, each in enumerate(examples)]
    other = collator(mixed)
    for place in range(len(examples)):
        assert np.array_equal(other["input_ids"][place], collator([mixed[place]])["input_ids"][0])
    assert not np.array_equal(other["input_ids"], whole["input_ids"])
    collator.seed = 4
    assert not np.array_equal(collator(examples)["input_ids"], whole["input_ids"])


def test_only_suffixes_are_hidden_and_padding_is_on_the_right():
    batch = Seq2SeqTrainCollator(TOY, 12, 14, rate=1.0)(several())
    for row, each in enumerate(several()):
        size = len(each.ids)
        assert batch["target_ids"][row].tolist() == [*each.ids, *[PAD] * (26 - size)]
        assert batch["input_ids"][row, : each.prefix].tolist() == each.ids[: each.prefix].tolist()
        assert (batch["input_ids"][row, each.prefix : size - 1] == MASK).all()
        assert batch["attention_mask"][row].tolist() == [1] * size + [0] * (26 - size)
    assert not batch["maskable"][:, :1].any()


def test_suffixes_begin_at_one_place_with_the_masks_of_the_other_layout():
    options = {"seed": 5, "mask_end": True}
    right, both = Seq2SeqTrainCollator(TOY, 12, 14, **options), Seq2SeqCollator(TOY, 12, 14, **options)
    plain, batch = right(several()), both(several())
    for row, each in enumerate(several()):
        begin = 12 - each.prefix
        assert (
            batch["target_ids"][row, 12 : 12 + len(each.ids) - each.prefix].tolist() == each.ids[each.prefix :].tolist()
        )
        assert batch["attention_mask"][row].tolist() == [
            int(begin <= place < begin + len(each.ids)) for place in range(26)
        ]
        for name in ("input_ids", "target_ids", "maskable", "positions"):
            assert np.array_equal(batch[name][row, begin : begin + len(each.ids)], plain[name][row, : len(each.ids)])
        assert (batch["input_ids"][row, :begin] == PAD).all()
        assert (batch["positions"][row, :begin] == 0).all()


def test_prefixes_in_and_suffixes_as_targets():
    both, batch = Seq2SeqCollator(TOY, 12, 14)(several()), Seq2SeqPredCollator(TOY, 12, 14)(several())
    assert np.array_equal(batch["input_ids"], both["input_ids"][:, :12])
    assert np.array_equal(batch["attention_mask"], both["attention_mask"][:, :12])
    assert np.array_equal(batch["positions"], both["positions"][:, :12])
    assert np.array_equal(batch["target_ids"], both["target_ids"][:, 12:])
    batch = Seq2SeqPredCollator(TOY, 4, 3)([example([CLS, 20], prefix=2)])  # no suffix is known
    assert (batch["input_ids"].tolist(), batch["target_ids"].tolist()) == ([[PAD, PAD, CLS, 20]], [[PAD] * 3])


def test_infilling_hides_one_stretch():
    examples = [example([CLS, *words(20), SEP], index) for index in range(200)]
    batch = InfillingCollator(TOY, 24, seed=2)(examples)
    masked = batch["input_ids"] == MASK
    assert (np.abs(np.diff(masked.astype(int), axis=1)).sum(axis=1) == 2).all()
    sizes = masked.sum(axis=1)
    assert np.abs(sizes - 20 * batch["t"]).max() <= 1
    assert set(sizes.tolist()) >= set(range(1, 20))
    assert masked[:, 1].any()
    assert masked[:, 20].any()
    assert "weights" not in batch
    broken = InfillingCollator(TOY, 8, rate=1.0)([example([20, SEP, 21, 22]), example([CLS, SEP], 1)])
    assert broken["input_ids"].tolist() == [[MASK, SEP, MASK, MASK, *[PAD] * 4], [CLS, SEP, *[PAD] * 6]]


def test_packed_rows_hold_what_the_default_makes_of_each():
    examples = several(12, prefix=False)
    alone, packed = DefaultCollator(TOY, 30, seed=8)(examples), PackedCollator(TOY, 30, seed=8)(examples)
    segments = packed["segment_ids"]
    assert np.array_equal(segments >= 0, packed["attention_mask"] == 1)
    assert 1 < len(segments) < 12
    found = []
    for row in range(len(segments)):
        assert (np.diff(segments[row][segments[row] >= 0]) >= 0).all()
        for segment in range(segments[row].max() + 1):
            places = segments[row] == segment
            assert packed["positions"][row, places].tolist() == list(range(places.sum()))
            found.append([packed[name][row, places].tolist() for name in ("input_ids", "target_ids", "t", "weights")])
    for number, each in enumerate(examples):
        size = len(each.ids)
        expected = [alone[name][number, :size].tolist() for name in ("input_ids", "target_ids")]
        expected += [[alone[name][number].item()] * size for name in ("t", "weights")]
        assert expected in found
        found.remove(expected)
    assert not found


def test_documents_with_prefixes(tmp_path):
    write_dataset(tmp_path / "pairs", [[[20, 21], [22]], [[23]], [[24], [25], [26, 27]]])
    from preprocess import IndexedDataset

    dataset = IndexedDataset(tmp_path / "pairs")
    examples = DocumentExamples(dataset, prefix_sequences=1, add_special=(CLS, SEP))
    assert [(each.ids.tolist(), each.prefix, each.index) for each in (examples[0], examples[1], examples[-1])] == [
        ([CLS, 20, 21, 22, SEP], 3, 0), ([CLS, 23, SEP], 2, 1), ([CLS, 24, 25, 26, 27, SEP], 2, 2),
    ]  # fmt: skip
    assert len(list(examples)) == 3
    assert DocumentExamples(dataset, documents=range(2, 3))[0].ids.tolist() == [24, 25, 26, 27]
    with pytest.raises(SampleError, match="documents are"):
        DocumentExamples(dataset, documents=range(4))
    with pytest.raises(IndexError):
        examples[3]


def test_texts_and_prompts(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(TOY_PIECES))
    tokenizer = load_tokenizer(tmp_path / "vocab.txt", sample_one_in=0)
    examples = TextExamples(["w20 w22", ("w23", "w25 w26")], tokenizer, add_special=(CLS, SEP))
    examples.set_epoch(3)
    ids = TOY_PIECES.index
    assert examples[0].ids.tolist() == [CLS, ids("w20"), ids("w22"), SEP]
    assert (examples[0].prefix, examples[0].epoch) == (0, 3)
    assert examples[1].ids.tolist() == [CLS, ids("w23"), ids("w25"), ids("w26"), SEP]
    assert (examples[1].prefix, len(examples)) == (2, 2)
    with pytest.raises(SampleError, match="one string"):
        TextExamples("w20", tokenizer)
    with pytest.raises(SampleError, match="3 texts in one example"):
        TextExamples([("a", "b", "c")], tokenizer)


def test_what_is_no_example():
    with pytest.raises(SampleError, match="no examples"):
        DefaultCollator(TOY, 8)([])
    with pytest.raises(SampleError, match="ids from 20 to 60; expected ids from 0 to 59"):
        DefaultCollator(TOY, 8)([example([20, 60])])
    with pytest.raises(SampleError, match="shape"):
        DefaultCollator(TOY, 8)([Example(np.zeros((2, 2), np.int64), 0)])
    with pytest.raises(SampleError, match="suffix_length is 0"):
        Seq2SeqCollator(TOY, 4, 0)
