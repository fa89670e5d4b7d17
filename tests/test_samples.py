"""Whole samples: Megatron-LM's bits, whatever the engine, the order, the thread or the process."""

import itertools
import json
import pickle
import threading

import numpy as np
import pytest
from sample_files import TOY, TOY_PIECES, VOCAB, golden_rows, golden_samples, toy_dataset, toy_samples

from maskgen.mapping.npy_file import MappedRows
from maskgen.samples import BertSamples, SampleError, T5Samples
from maskgen.samples.t5 import closed_at_gaps
from maskgen.vocab import Vocab, VocabError
from preprocess import IndexedDataset, IndexedDatasetError

ENGINES = ["reference", "native"]
KINDS = ["bert", "one", "t5"]
BERT_KEYS = {"text", "types", "labels", "is_random", "loss_mask", "padding_mask", "truncated"}
T5_KEYS = {"text_enc", "text_dec", "labels", "loss_mask", "truncated"}


def make(prefix, kind, **options):
    if kind != "t5":
        options["binary_head"] = kind == "bert"
    return toy_samples(prefix, kind, **options)


def assert_equal_samples(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert np.array_equal(found[name], value), name


def assert_stacked(batch, samples, indices):
    """A batch says what its samples say, and its own arrays follow from theirs."""
    expected = [samples[index] for index in indices]
    for name in samples[0]:
        assert batch[name].tolist() == [np.asarray(sample[name]).tolist() for sample in expected], name
    masked = batch["loss_mask"].astype(bool)
    assert batch["masked_positions"].tolist() == np.flatnonzero(masked).tolist()
    assert batch["masked_labels"].tolist() == batch["labels"][masked].tolist()
    assert batch["masked_counts"].tolist() == masked.sum(1).tolist()
    assert batch["lengths"].tolist() == batch["padding_mask"].sum(1).tolist()
    assert set(batch) == {field.name for field in samples.fields}
    if isinstance(samples, T5Samples):
        assert batch["lengths_dec"].tolist() == masked.sum(1).tolist()


def next_double(samples):
    """What the generator of sample 0, which has just been made, would draw next."""
    if samples.engine == "reference":
        return samples._generator().random_sample()
    _, builder = samples.last_builder
    build = builder.t5_batch if isinstance(samples, T5Samples) else builder.bert_batch
    rows, seeds = samples.sample_map[:1].astype(np.int64), samples.seeds(np.array([0]))
    arguments = {**samples.token_arrays(), "rows": rows, "seeds": seeds, "out": samples.allocate(1), "threads": 1}
    return build(**arguments, next_doubles=True)[2][0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["samples.jsonl.gz", "samples_edge.jsonl.gz"])
def test_golden_samples(tmp_path, name, engine):
    rows = golden_rows(name)
    assert {row["kind"] for row in rows} == {"bert", "bert_nonsp", "t5"}
    for number, row in enumerate(rows):
        samples = golden_samples(tmp_path / str(number), row, engine=engine)
        found = samples[0]
        assert_equal_samples(found, row["output"])
        assert next_double(samples) == row["next_double"]
        for value in found.values():
            assert value.dtype == np.int64
        assert_stacked(samples.batch([0, 0]), samples, [0, 0])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_of_a_sample_is_seed_plus_index(tmp_path, kind, engine):
    samples = make(tmp_path / "toy", kind, seed=7, engine=engine)
    rows = samples.sample_map
    same = np.repeat(rows[3:4], 8, axis=0)
    first = BertSamples if kind != "t5" else T5Samples
    options = {"max_seq_length": 29, "engine": engine}
    options |= {"max_seq_length_dec": 24} if kind == "t5" else {"binary_head": kind == "bert"}
    later = first(samples.dataset, same, TOY, seed=2**32 + 4, **options)  # 2^32 + 4 + 6 is 7 + 3
    assert_equal_samples(later[6], samples[3])
    assert_equal_samples(first(samples.dataset, same, TOY, seed=-3, **options)[5], first(
        samples.dataset, same, TOY, seed=2, **options)[0])  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prob", [0.0, 0.15, 0.5])
def test_a_batch_is_its_samples_stacked(tmp_path, kind, engine, prob):
    samples = make(tmp_path / "toy", kind, engine=engine, masked_lm_prob=prob)
    assert len(samples) == 30
    for indices in (range(30), [5], [3, 3, 1], np.array([29, 0, 7], np.uint16)):
        for threads in (1, 3):
            assert_stacked(samples.batch(indices, threads=threads), samples, indices)
    assert_stacked(samples.batch([-1, -30, 4]), samples, [29, 0, 4])
    assert_stacked(samples.batch(iter([2, 4])), samples, [2, 4])


BOTH = [
    {"max_ngrams": 1, "favor_longer_ngram": True},
    {"do_whole_word_mask": False},
    {"max_ngrams": 6},
]
OF_BERT = [
    {"geometric_dist": True},
    {"do_permutation": True},
    {"masking_style": "t5"},
    {"replacement_ids": [50, 51], "masked_lm_prob": 0.9},
]


@pytest.mark.parametrize(
    ("kind", "options"),
    [*itertools.product(KINDS, BOTH), *itertools.product(["bert", "one"], OF_BERT), ("t5", {"geometric_dist": False})],
    ids=str,
)
def test_engines_agree_on_every_option(tmp_path, kind, options):
    options = {"masked_lm_prob": 0.3, **options}
    one, other = (make(tmp_path / engine, kind, engine=engine, **options) for engine in ENGINES)
    expected = one.batch(range(30))
    found = other.batch(range(30), threads=2)
    for name, array in expected.items():
        assert np.array_equal(found[name], array), name
    assert_stacked(found, one, range(30))


@pytest.mark.parametrize("kind", KINDS)
def test_one_sample_needs_no_twin(tmp_path, monkeypatch, kind):
    samples, other = (make(tmp_path / engine, kind, engine=engine, masked_lm_prob=0.3) for engine in ENGINES)
    expected = [samples.sample(index, epoch=index % 3, rate=0.2 + index / 100) for index in range(30)]
    monkeypatch.setattr(type(other), "_assemble", None)
    for index, sample in enumerate(expected):
        found = other.sample(index, epoch=index % 3, rate=0.2 + index / 100)
        assert_equal_samples(found, sample)
        assert list(found) == list(sample)
        assert {name: (type(value), value.shape) for name, value in found.items()} == {
            name: (type(value), value.shape) for name, value in sample.items()}  # fmt: skip


def test_a_rate_in_32_bits_is_one_rate(tmp_path):
    """0.3 in 32 bits times 30 is 9.0 there, and 9.00000036 in 64: one token more or less."""
    expected, found = (make(tmp_path / each, "bert", masked_lm_prob=np.float32(0.3), engine=each) for each in ENGINES)
    assert type(found.masking.masked_lm_prob) is float
    for index in range(30):
        assert_equal_samples(found[index], expected[index])
    same = make(tmp_path / "same", "bert").sample(3, rate=np.float32(0.3))
    assert_equal_samples(same, expected[3])


@pytest.mark.parametrize("engine", ENGINES)
def test_an_index_may_be_any_integer(tmp_path, engine):
    samples = make(tmp_path / "toy", "bert", engine=engine)
    many = type(samples)(samples.dataset, np.tile(samples.sample_map, (10, 1)), TOY, max_seq_length=29, engine=engine)
    assert_equal_samples(many.sample(np.uint8(7)), many[7])  # 300, the number of samples, is no uint8
    with pytest.raises(TypeError):
        many.sample(7.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", ENGINES)
def test_keys_and_types(tmp_path, kind, engine):
    samples = make(tmp_path / "toy", kind, engine=engine)
    sample = samples[0]
    assert set(sample) == (T5_KEYS if kind == "t5" else BERT_KEYS)
    for name, value in sample.items():
        assert value.dtype == np.int64
        assert isinstance(value, np.int64 if name in ("is_random", "truncated") else np.ndarray)
    batch = samples.batch([1, 2])
    assert all(array.dtype == np.int64 and len(array) for array in batch.values())


def test_what_bert_samples_are(tmp_path):
    samples = make(tmp_path / "toy", "bert", masked_lm_prob=0.3)
    swapped = 0
    for index, sample in enumerate(samples[:]):
        first, last, target = samples.sample_map[index].tolist()
        sentences = [sentence.tolist() for sentence in samples.dataset[first:last]]
        length = int(sample["padding_mask"].sum())
        masked = sample["loss_mask"] == 1
        whole = np.where(masked, sample["labels"], sample["text"])[:length].tolist()
        split = sample["types"][:length].tolist().index(1) if 1 in sample["types"][:length] else length - 1
        assert (whole[0], whole[split - 1], whole[-1]) == (2, 3, 3)
        a, b = whole[1 : split - 1], whole[split:-1]
        assert len(a) + len(b) == min(target, sum(map(len, sentences)))
        assert sample["truncated"] == (sum(map(len, sentences)) > target)
        if not sample["truncated"]:
            a, b = (b, a) if sample["is_random"] else (a, b)
            splits = [list(itertools.chain(*sentences[:pivot])) for pivot in range(1, len(sentences))]
            assert a in splits
            assert a + b == list(itertools.chain(*sentences))
        swapped += int(sample["is_random"])
        assert not masked[[0, split - 1, length - 1]].any()
        assert not masked[length:].any()
    assert 5 < swapped < 25


@pytest.mark.parametrize("engine", ENGINES)
def test_replacements(tmp_path, engine):
    def unmasked_words(samples):
        batch = samples.batch(range(30))
        places = batch["masked_positions"]
        shown = batch["text"].ravel()[places]
        return set(shown[(shown != 4) & (shown != batch["masked_labels"])].tolist())

    options = {"masked_lm_prob": 1.0, "engine": engine}
    special = set(range(20))
    assert unmasked_words(make(tmp_path / "a", "bert", **options)) & special
    ordinary = unmasked_words(make(tmp_path / "b", "bert", replacement_ids=TOY.ordinary_ids, **options))
    assert ordinary
    assert not ordinary & special
    assert unmasked_words(make(tmp_path / "c", "bert", replacement_ids=[33], **options)) == {33}
    gaps = Vocab(
        [piece if id_ < 50 else "" for id_, piece in enumerate(TOY_PIECES)], cls_id=2, sep_id=3, mask_id=4, pad_id=0
    )
    dataset, rows = toy_dataset(tmp_path / "d")
    found = unmasked_words(BertSamples(dataset, rows, gaps, max_seq_length=29, **options))
    assert found
    assert max(found) < 50


@pytest.mark.parametrize("kind", KINDS)
def test_access_by_index(tmp_path, kind):
    samples = make(tmp_path / "toy", kind)
    assert_equal_samples(samples[-1], samples[29])
    assert_equal_samples(samples[np.uint32(4)], samples[4])
    for found, index in zip(samples[27:2:-9], [27, 18, 9], strict=True):
        assert_equal_samples(found, samples[index])
    assert samples[5:5] == []
    assert len(list(itertools.islice(samples, 40))) == 30
    for index in (30, -31, 2**70):
        with pytest.raises(IndexError, match="of 30"):
            samples[index]
    with pytest.raises(TypeError):
        samples[1.0]
    for indices in ([30], [0, -31], [2**62]):
        with pytest.raises(IndexError, match="of 30"):
            samples.batch(indices)
    for indices in ([1.0], [[1]], 1.5 * np.ones(2), ["a"], [True], 2**70 * np.ones(1, object)):
        with pytest.raises(SampleError, match="expected a sequence of integers"):
            samples.batch(indices)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_nothing(tmp_path, kind):
    samples = make(tmp_path / "toy", kind)
    batch = samples.batch([])
    assert all(array.size == 0 for array in batch.values())
    assert batch["labels"].shape[1] > 20
    none = type(samples)(samples.dataset, np.empty((0, 3), np.uint32), TOY, max_seq_length=29,
                         **({"max_seq_length_dec": 9} if kind == "t5" else {}))  # fmt: skip
    assert len(none) == 0
    with pytest.raises(IndexError):
        none[0]
    assert none.batch([])["lengths"].shape == (0,)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
def test_out_is_used_again(tmp_path, kind, engine):
    samples = make(tmp_path / "toy", kind, engine=engine)
    narrow = dict.fromkeys(("padding_mask", "truncated", "lengths", "masked_labels", "masked_counts"), np.uint8)
    narrow |= {"labels": np.int8, "loss_mask": np.bool_, "masked_positions": np.int16}
    narrow |= {"text_enc": np.uint16} if kind == "t5" else {"text": np.uint16, "types": np.int8}
    for dtypes in (None, narrow):
        out = samples.allocate(4, dtypes)
        assert {name: array.dtype for name, array in out.items()} == {
            field.name: np.dtype((dtypes or {}).get(field.name, np.int64)) for field in samples.fields
        }
        for indices in ([1, 2, 3, 4], [9, 8, 7, 7]):
            for array in out.values():
                array.fill(1)
            batch = samples.batch(indices, out=out)
            assert_stacked(batch, samples, indices)
            for name, array in batch.items():
                assert np.shares_memory(array, out[name])
                assert array.shape == out[name].shape or name.startswith("masked_")


def test_out_of_the_wrong_make(tmp_path):
    samples = make(tmp_path / "toy", "bert")

    def refused(message, **changes):
        with pytest.raises(SampleError, match=message):
            samples.batch([1, 2], out={**samples.allocate(2), **changes})

    refused("more; expected text", more=np.zeros(2))
    refused(r"out\['text'\] is a list", text=[1, 2])
    refused(r"shape \(3, 29\); expected \(2, 29\)", text=np.zeros((3, 29), np.int64))
    refused("not contiguous", text=np.zeros((29, 2), np.int64).T)
    refused("not aligned", text=np.zeros(2 * 29 * 8 + 1, np.uint8)[1:].view(np.int64).reshape(2, 29))
    refused("text as float64: expected integers", text=np.zeros((2, 29)))
    refused("text as >i8", text=np.zeros((2, 29), ">i8"))
    refused("text as bool", text=np.zeros((2, 29), bool))
    refused("labels as uint16: its values are -1 to 59", labels=np.zeros((2, 29), np.uint16))
    frozen = np.zeros((2, 29), np.int64)
    frozen.flags.writeable = False
    refused("read-only", text=frozen)
    same = np.zeros((2, 29), np.int64)
    refused("share memory", text=same, labels=same)
    with pytest.raises(SampleError, match=r"out has a list"):
        samples.batch([1, 2], out=[])
    with pytest.raises(SampleError, match=r"out has text; expected"):
        samples.batch([1, 2], out={"text": np.zeros((2, 29), np.int64)})
    with pytest.raises(SampleError, match="batch returns views"):
        samples.batch([1, 2], out=samples.batch([1, 2]))


def test_types_that_are_too_narrow(tmp_path):
    samples = make(tmp_path / "toy", "bert")
    assert samples.allocate(2, {"masked_positions": np.int8})["masked_positions"].shape == (58,)
    with pytest.raises(SampleError, match="masked_positions as int8: its values are 0 to 144"):
        samples.allocate(5, {"masked_positions": np.int8})
    with pytest.raises(SampleError, match="types as >i8: expected integers as this machine writes them"):
        samples.allocate(2, {"types": ">i8"})
    with pytest.raises(SampleError, match="types as float32"):
        samples.allocate(2, {"types": np.float32})
    with pytest.raises(SampleError, match="dtypes names mask; expected"):
        samples.allocate(2, {"mask": np.int8})
    large = BertSamples(samples.dataset, samples.sample_map, VOCAB, max_seq_length=512)
    assert large.allocate(2, {"text": np.uint16})["text"].dtype == np.uint16
    for name in ("text", "labels", "masked_labels"):
        with pytest.raises(SampleError, match=f"{name} as int8"):
            large.allocate(2, {name: np.int8})


@pytest.mark.parametrize("kind", KINDS)
def test_pickled_samples_are_the_same(tmp_path, kind):
    samples = make(tmp_path / "toy", kind, seed=99)
    before = samples.batch(range(30))
    np.save(tmp_path / "map.npy", samples.sample_map)
    options = {"max_seq_length": 29, "seed": 99}
    options |= {"max_seq_length_dec": 24} if kind == "t5" else {"binary_head": kind == "bert"}
    mapped = type(samples)(samples.dataset, np.load(tmp_path / "map.npy", mmap_mode="r"), TOY, **options)
    mapped[0]
    for each in (samples, mapped):
        other = pickle.loads(pickle.dumps(each))
        assert repr(other) == repr(each)
        assert isinstance(other.sample_map, MappedRows) == (each is mapped)
        for name, array in other.batch(range(30), threads=2).items():
            assert np.array_equal(array, before[name]), name


def test_a_pickled_mapping_is_small_and_must_stay(tmp_path):
    dataset, rows = toy_dataset(tmp_path / "toy")
    np.save(tmp_path / "map.npy", np.repeat(rows, 1000, axis=0))
    mapped = np.load(tmp_path / "map.npy", mmap_mode="r")
    samples = BertSamples(dataset, mapped, TOY, max_seq_length=29)
    data = pickle.dumps(samples)
    assert len(data) < 10_000
    part = pickle.loads(pickle.dumps(BertSamples(dataset, mapped[5:7], TOY, max_seq_length=29)))  # no whole file
    assert np.array_equal(part.sample_map, mapped[5:7])
    np.save(tmp_path / "map.npy", rows)
    with pytest.raises(SampleError, match=r"map\.npy: a sample mapping that is gone, or another one"):
        pickle.loads(data)
    (tmp_path / "map.npy").unlink()
    with pytest.raises(SampleError, match="gone"):
        pickle.loads(data)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
def test_threads_do_not_disturb_each_other(tmp_path, kind, engine):
    samples = make(tmp_path / "toy", kind, engine=engine)
    expected = [json.dumps({name: np.asarray(value).tolist() for name, value in each.items()}) for each in samples[:]]
    wrong = []

    def run(start):
        for index in range(start, start + 60):
            sample = samples[index % 30]
            if json.dumps({name: np.asarray(value).tolist() for name, value in sample.items()}) != expected[index % 30]:
                wrong.append(index)
            samples.batch([index % 30, 3])

    threads = [threading.Thread(target=run, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_rows_that_do_not_fit(tmp_path):
    dataset, rows = toy_dataset(tmp_path / "toy")
    sentences = len(dataset)

    def refused(sample_map, message, **options):
        with pytest.raises(SampleError, match=message):
            BertSamples(dataset, sample_map, TOY, **{"max_seq_length": 29, **options})

    for dtype in (np.int32, np.int64, np.uint32, np.uint64, np.int16, ">i4"):
        samples = BertSamples(dataset, rows.astype(dtype), TOY, max_seq_length=29)
        assert_equal_samples(samples[7], BertSamples(dataset, rows, TOY, max_seq_length=29)[7])
    assert len(BertSamples(dataset, rows.tolist(), TOY, max_seq_length=29)) == 30
    assert len(BertSamples(dataset, np.asfortranarray(rows), TOY, max_seq_length=29)) == 30
    for row, dtype in (
        ([0, sentences + 1, 9], np.uint32),
        ([-1, 3, 9], np.int64),
        ([5, 5, 9], np.uint32),
        ([7, 6, 9], np.int32),
        ([2**32 - 2, 2**32 - 1, 9], np.uint32),
        ([0, 2**64 - 1, 9], np.uint64),
        ([2**63, 2**63 + 1, 9], np.uint64),
    ):
        bad = rows.astype(dtype)
        bad[17] = row
        refused(bad, r"row 17 of the sample mapping is .*expected 0 <= first < last")
    for target in (0, 27, 2**32 - 1):
        bad = rows.copy()
        bad[29, 2] = target
        refused(bad, f"row 29 .* a target of {target} tokens; expected 1 to 26.*raise max_seq_length")
    bad = np.repeat(rows, 5000, axis=0)
    bad[123_456, 2] = 27
    refused(bad, "row 123456")
    assert len(BertSamples(dataset, bad, TOY, max_seq_length=29, binary_head=False)) == 150_000
    refused(rows, "expected 1 to 9", max_seq_length=12)
    refused(rows[0], r"shape \(3,\)")
    refused(rows[:, :2], r"shape \(30, 2\)")
    refused([], r"shape \(0,\)")
    refused(rows.astype(float), "holds float64")
    refused("rows", r"shape \(\)")
    refused(np.array([[1, 2, None]]), "holds object")


def test_rows_that_change_after_the_check(tmp_path):
    samples = make(tmp_path / "toy", "one")
    samples.sample_map[4] = [0, 10**6, 9]
    for access in (lambda: samples[4], lambda: samples.batch([4]), lambda: samples.batch([1, 4], threads=2)):
        with pytest.raises(SampleError, match="row 4 of the sample mapping"):
            access()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_seq_length": 3}, "max_seq_length is 3; expected an integer from 4"),
        ({"max_seq_length": 29.0}, r"max_seq_length is 29\.0"),
        ({"max_seq_length": True}, "max_seq_length is True"),
        ({"masked_lm_prob": 1.1}, r"masked_lm_prob is 1\.1"),
        ({"masked_lm_prob": -0.1}, r"masked_lm_prob is -0\.1"),
        ({"masked_lm_prob": float("nan")}, "masked_lm_prob is nan"),
        ({"masked_lm_prob": "0.15"}, "masked_lm_prob is '0.15'; expected a share .*correct it"),
        ({"max_ngrams": 2.5}, r"max_ngrams is 2\.5; expected an integer"),
        ({"seed": 1.5}, r"seed is 1\.5; expected an integer;"),
        ({"seed": None}, "seed is None"),
        ({"engine": "fast"}, "engine is 'fast'; expected one of native, reference"),
        ({"max_ngrams": 0}, "max_ngrams is 0"),
        ({"masking_style": "roberta"}, "masking_style is 'roberta'"),
        ({"replacement_ids": []}, "at least one id"),
        ({"replacement_ids": [60]}, "replacement_ids hold 60; expected ids from 0 to 59"),
        ({"replacement_ids": [-1, 3]}, "replacement_ids hold -1"),
        ({"replacement_ids": [1.5]}, "replacement_ids are float64"),
    ],
)
def test_arguments_that_do_not_fit(tmp_path, options, message):
    with pytest.raises(SampleError, match=message) as caught:
        make(tmp_path / "toy", "bert", **options)
    assert isinstance(caught.value, ValueError)


def test_objects_that_do_not_fit(tmp_path):
    dataset, rows = toy_dataset(tmp_path / "toy")
    with pytest.raises(SampleError, match=r"dataset is a str.*pass IndexedDataset"):
        BertSamples("prefix", rows, TOY, max_seq_length=29)
    with pytest.raises(SampleError, match=r"vocab is a dict.*pass Vocab"):
        BertSamples(dataset, rows, {}, max_seq_length=29)
    plain = Vocab(TOY_PIECES, cls_id=2, sep_id=3, pad_id=0)
    with pytest.raises(VocabError, match="no id for mask"):
        BertSamples(dataset, rows, plain, max_seq_length=29)
    with pytest.raises(VocabError, match="no id for bos"):
        T5Samples(dataset, rows, plain, max_seq_length=29, max_seq_length_dec=24)
    with pytest.raises(VocabError, match="no sentinels"):
        T5Samples(
            dataset, rows, Vocab(TOY_PIECES, bos_id=0, eos_id=6, pad_id=0), max_seq_length=29, max_seq_length_dec=24
        )
    with pytest.raises(SampleError, match="max_seq_length_dec is 0"):
        make(tmp_path / "t5", "t5", max_seq_length_dec=0)
    samples = make(tmp_path / "x", "bert")
    for threads in (0, -1, 1.5):
        with pytest.raises(SampleError, match="threads is"):
            samples.batch([1], threads=threads)
    with pytest.raises(SampleError, match="batch_size is -1"):
        samples.allocate(-1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("bad", "dtype"), [(60, "uint16"), (65535, "uint16"), (-1, "int32"), (2**31 - 1, "int32")])
def test_ids_outside_the_vocabulary(tmp_path, kind, engine, bad, dtype):
    from helpers import write_dataset

    write_dataset(tmp_path / "bad", [[[20, 21], [22, 23], [], [24, bad, 25]], [[20, 21], [22, 59]]], dtype)
    options = {"max_seq_length": 29, "engine": engine}
    options |= {"max_seq_length_dec": 24} if kind == "t5" else {"binary_head": kind == "bert"}
    samples = (T5Samples if kind == "t5" else BertSamples)(
        IndexedDataset(tmp_path / "bad"), [[0, 4, 9], [4, 6, 9]], TOY, **options
    )
    samples[1]
    for access in (lambda: samples[0], lambda: samples.batch([1, 0]), lambda: samples.batch([1, 0], threads=2)):
        with pytest.raises(SampleError, match=rf"bad: sequence 3 holds the id {bad}; expected ids below 60"):
            access()


@pytest.mark.parametrize("engine", ENGINES)
def test_one_sentence_has_no_second_part(tmp_path, engine):
    dataset, _ = toy_dataset(tmp_path / "toy")
    rows = [[0, 2, 9], [3, 4, 9]]
    samples = BertSamples(dataset, rows, TOY, max_seq_length=29, engine=engine)
    samples[0]
    for access in (lambda: samples[1], lambda: samples.batch([0, 1])):
        with pytest.raises(SampleError, match=r"sample 1 has the one sentence 3.*min_num_sent=2"):
            access()
    one = BertSamples(dataset, rows, TOY, max_seq_length=29, engine=engine, binary_head=False)[1]
    assert one["is_random"] == 0
    assert not one["types"].any()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
def test_sentences_without_tokens(tmp_path, kind, engine):
    from helpers import write_dataset

    write_dataset(tmp_path / "empty", [[[], []], [[], [20, 21, 22]], [[0], [0, 0]]])
    options = {"max_seq_length": 9, "engine": engine, "masked_lm_prob": 0.5}
    options |= {"max_seq_length_dec": 9} if kind == "t5" else {"binary_head": kind == "bert"}
    rows = np.repeat([[0, 2, 5], [2, 4, 2], [4, 6, 5]], 8, axis=0)
    samples = (T5Samples if kind == "t5" else BertSamples)(IndexedDataset(tmp_path / "empty"), rows, TOY, **options)
    assert_stacked(samples.batch(range(24)), samples, range(24))
    if kind == "t5":
        assert not samples[0]["text_enc"].any()
        assert samples[0]["text_dec"].tolist() == [5, 0, 0, 0, 0, 0, 0, 0, 0]
        assert samples[0]["labels"].tolist() == [6, -1, -1, -1, -1, -1, -1, -1, -1]
    else:
        assert samples[0]["text"].tolist() == [2, 3, 0, 0, 0, 0, 0, 0, 0]  # an empty second part has no [SEP]
        tokens = {int(samples[index]["padding_mask"].sum()) for index in range(8, 16)}
        assert tokens == ({4, 5} if kind == "bert" else {4})  # whether the empty part comes first
        assert (samples[16]["padding_mask"].sum(), samples[16]["loss_mask"].any()) == (6 if kind == "bert" else 5, True)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cap_below_one_masks_nothing(tmp_path, engine):
    dataset, rows = toy_dataset(tmp_path / "toy")
    rows[:, 2] = 6
    samples = BertSamples(dataset, rows, TOY, max_seq_length=29, masked_lm_prob=0.15, engine=engine)  # 0.9
    assert samples.batch(range(30))["masked_counts"].sum() == 0
    rows[:, 2] = 7
    samples = BertSamples(dataset, rows, TOY, max_seq_length=29, masked_lm_prob=0.15, engine=engine)  # 1.05
    assert samples.batch(range(30))["masked_counts"].sum() > 0


def restored(sample, sentinels):
    """The text that a sample of T5 was made of."""
    spans = {}
    for id_ in sample["labels"][sample["loss_mask"] == 1][:-1].tolist():
        if id_ in sentinels:
            spans[id_] = []
            last = id_
        else:
            spans[last].append(id_)
    text = []
    for id_ in sample["text_enc"].tolist():
        text += spans.pop(id_, [id_])
    assert not spans
    return text


@pytest.mark.parametrize("engine", ENGINES)
def test_t5_loses_nothing_at_a_gap(tmp_path, engine):
    from helpers import write_dataset

    # 21 continues a word, also across the [SEP] (3) before it: so spans jump over it.
    text = [22, 3, 21, 23, 2, 24, 3, 21, 22, 21, 3, 21]
    write_dataset(tmp_path / "gaps", [[text]])
    samples = T5Samples(
        IndexedDataset(tmp_path / "gaps"), np.repeat([[0, 1, 12]], 40, axis=0), TOY,
        max_seq_length=12, max_seq_length_dec=24, masked_lm_prob=0.6, engine=engine,
    )  # fmt: skip
    jumped = 0
    for sample in samples[:]:
        assert restored(sample, TOY.sentinel_ids)[:12] == text
        assert sample["text_dec"][0] == 5
        used = [id_ for id_ in sample["text_enc"].tolist() if id_ in TOY.sentinel_ids]
        assert used == list(TOY.sentinel_ids[: len(used)])
        jumped += any(
            sample["text_enc"][place] == 3 and {*sample["text_enc"][[place - 1, place + 1]].tolist()} <= {*used}
            for place in range(1, 11)
        )
    assert jumped > 5
    assert_stacked(samples.batch(range(40)), samples, range(40))


def test_runs_of_a_span():
    assert list(closed_at_gaps([([2], [9]), ([4, 5, 7], [9] * 3), ([8, 10, 12, 13], [9] * 4)])) == [
        (2, 3), (4, 6), (7, 8), (8, 9), (10, 11), (12, 14)]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_t5_with_too_little_room(tmp_path, engine):
    dataset, rows = toy_dataset(tmp_path / "toy")
    few = Vocab(TOY_PIECES, bos_id=0, eos_id=6, pad_id=0, sentinel_ids=[7], name="small.json")
    options = {"max_seq_length": 29, "masked_lm_prob": 0.5, "max_ngrams": 1, "engine": engine}
    enough = T5Samples(dataset, rows, TOY, max_seq_length_dec=60, **options)
    used = [np.isin(sample["text_enc"], TOY.sentinel_ids).sum() for sample in enough[:]]
    entries = [sample["loss_mask"].sum() for sample in enough[:]]
    without = T5Samples(dataset, rows, few, max_seq_length_dec=60, **options)
    narrow = T5Samples(dataset, rows, TOY, max_seq_length_dec=9, **options)
    assert max(used) > 1
    assert max(entries) > 9
    for index in range(30):
        if used[index] > 1:
            message = rf"toy: sample {index} needs {used[index]} sentinels and small\.json has 1; give"
            with pytest.raises(SampleError, match=message):
                without[index]
            with pytest.raises(SampleError, match=message):
                without.batch([index])
        if entries[index] > 9:
            message = f"toy: sample {index} needs {entries[index]} entries for its decoder and max_seq_length_dec is 9;"
            with pytest.raises(SampleError, match=message):
                narrow[index]
            with pytest.raises(SampleError, match=message):
                narrow.batch([index], threads=2)


@pytest.mark.parametrize("engine", ENGINES)
def test_t5_works_without_cls_sep_and_mask(tmp_path, engine):
    dataset, rows = toy_dataset(tmp_path / "toy")
    plain = Vocab(TOY_PIECES, bos_id=0, eos_id=6, pad_id=0, sentinel_ids=range(7, 20))
    samples = T5Samples(dataset, rows, plain, max_seq_length=29, max_seq_length_dec=24, engine=engine)
    for sample, (first, last, target) in zip(samples[:], rows.tolist(), strict=True):
        text = np.concatenate(dataset[first:last]).tolist()[:target]
        assert restored(sample, plain.sentinel_ids)[: len(text)] == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("access", [lambda samples: samples[1], lambda samples: samples.batch([1])])
def test_pages_that_are_lost_meanwhile(tmp_path, monkeypatch, kind, access):
    from maskgen.samples import base

    samples = make(tmp_path / "toy", kind)
    counts = iter([4, 5])
    monkeypatch.setattr(base, "lost_page_count", lambda: next(counts))
    with pytest.raises(IndexedDatasetError, match="a page that its file no longer has"):
        access(samples)


def test_a_file_cut_under_a_thread(tmp_path):
    from helpers import write_dataset

    write_dataset(tmp_path / "long", [[[20] * 4000, [21] * 4000]])
    samples = BertSamples(IndexedDataset(tmp_path / "long"), [[0, 2, 9]], TOY, max_seq_length=29)
    samples.batch([0])
    errors = []

    def run():
        try:
            samples.batch([0])
        except IndexedDatasetError as error:
            errors.append(error)

    with open(tmp_path / "long.bin", "r+b") as file:
        file.truncate(10)
    thread = threading.Thread(target=run)

    def start_and_wait():
        thread.start()
        while thread.is_alive():
            thread.join(0.01)

    with pytest.raises(IndexedDatasetError):  # the main thread learns of it, too
        start_and_wait()
    thread.join()
    assert len(errors) == 1


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_epochs_go_on_where_the_mapping_ends(tmp_path, kind, engine):
    """Sample i of epoch e is sample i + e n of a mapping that is e + 1 times as long."""
    dataset, rows = toy_dataset(tmp_path / "toy")
    options = {"max_seq_length": 29, "engine": engine, **({"max_seq_length_dec": 40} if kind == "t5" else {})}
    make = T5Samples if kind == "t5" else BertSamples
    once, thrice = (make(dataset, np.tile(rows, (times, 1)), TOY, **options) for times in (1, 3))
    for epoch in range(3):
        found = once.batch(range(len(rows)), epoch=epoch)
        expected = thrice.batch(range(epoch * len(rows), (epoch + 1) * len(rows)))
        assert all(np.array_equal(found[name], expected[name]) for name in expected)
    one, other = once.sample(2, epoch=2), thrice[2 + 2 * len(rows)]
    assert all(np.array_equal(one[name], other[name]) for name in other)
    with pytest.raises(SampleError, match="epoch is -1"):
        once.batch([0], epoch=-1)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_rate_for_one_call(tmp_path, engine):
    dataset, rows = toy_dataset(tmp_path / "toy")
    samples = BertSamples(dataset, rows, TOY, max_seq_length=29, engine=engine)
    for rate in (0.15, 0.3, 0, 1, 0.3):
        expected = BertSamples(dataset, rows, TOY, max_seq_length=29, engine=engine, masked_lm_prob=rate).batch(
            range(9)
        )
        found = samples.batch(range(9), rate=rate)
        assert all(np.array_equal(found[name], expected[name]) for name in expected), rate
    for rate in (1.5, "x", float("nan"), [0.1, 0.2], np.ones(2)):
        for call in (lambda rate=rate: samples.batch([0], rate=rate), lambda rate=rate: samples.sample(0, rate=rate)):
            with pytest.raises(SampleError, match=r"rate: masked_lm_prob is .*; expected a share"):
                call()
