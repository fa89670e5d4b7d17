"""The C++ WordPiece engine against `tokenizers`, its definition."""

import json
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizer_files import small_vocabulary, write_tokenizer, write_vocabulary
from tokenizers import AddedToken

from preprocess.tokenization.errors import EngineUnsupportedError, TextError
from preprocess.tokenization.hard_texts import hard_texts
from preprocess.tokenization.loading import load_reference
from preprocess.tokenization.native import NativeEngine
from preprocess.tokenization.reference import ReferenceEngine, encode_one

VARIANTS = [(True, None), (False, None), (False, True), (False, False), (True, False)]
COMMON = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def pair(request, tmp_path_factory):
    """A native engine and the `tokenizers` tokenizer that it must equal."""
    lowercase, strip_accents = request.param
    path = write_vocabulary(tmp_path_factory.mktemp("vocabulary"))
    loaded = load_reference(path, lowercase=lowercase, strip_accents=strip_accents)
    return NativeEngine(loaded), loaded.tokenizer


@pytest.fixture(scope="module")
def uncased(tmp_path_factory):
    loaded = load_reference(write_vocabulary(tmp_path_factory.mktemp("vocabulary")))
    return NativeEngine(loaded), loaded.tokenizer


def assert_same(pair, texts, threads=1):
    engine, reference = pair
    found = engine.encode_batch(texts, threads)
    position = 0
    for text, length in zip(texts, found.lengths.tolist(), strict=True):
        assert found.ids[position : position + length].tolist() == encode_one(reference, text), ascii(text)
        position += length
    assert position == len(found.ids)


def test_hard_texts(pair):
    assert_same(pair, list(hard_texts(seed=20, count=1500)), threads=2)


@COMMON
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_any_text(pair, texts):
    assert_same(pair, texts)


@COMMON
@given(text=st.text(alphabet="ab é\u0301\u302e\u1d165\u0323\U0001d165\U0001d16d\u05b8[MASK]中、\x01\x00-가"))
def test_marks_and_literals(pair, text):
    assert_same(pair, [text])


@pytest.mark.parametrize("unit", ["a", "é", "가", "각", "e\u0301", "a\x01", "İ", "\U0001d160", "z\u0430"])
@pytest.mark.parametrize("count", [24, 25, 33, 34, 49, 50, 51, 99, 100, 101, 300])
def test_length_limit(pair, unit, count):
    assert_same(pair, [unit * count, "x " + unit * count + "-y", unit * count + "b"])


def test_special_literals(pair):
    texts = [
        "[MASK]",
        "x[MASK]y",
        "[mask]",
        "[MA\u00adSK]",
        "[[MASK]]",
        "[MASK",
        "[CLS] a [SEP]",
        "[UNK][PAD]",
        "[",
        "[]",
    ]
    assert_same(pair, texts)


def test_words_of_every_size(pair):
    words = ["ab"[i % 2] * i for i in range(1, 70)] + ["ж" * i for i in range(1, 40)] + ["x1" * i for i in range(1, 40)]
    # Alone, where nothing can be read behind them; and each twice, from the memo.
    assert_same(pair, [*words, " ".join(words + words), "中".join(words), "-".join(words)])


def test_more_words_than_the_memo_holds(uncased):
    rng = random.Random(3)
    words = ["".join(rng.choice("abcdefgh") for _ in range(rng.choice((5, 6, 12, 20)))) for _ in range(150_000)]
    text = " ".join(words + words[:1000])
    assert_same(uncased, [text])


def test_empty_inputs(pair):
    engine, _ = pair
    batch = engine.encode_batch([], 2)
    assert batch.ids.shape == batch.lengths.shape == (0,)
    assert batch.ids.dtype == batch.lengths.dtype == np.int32
    assert engine.encode_batch(["", b"", " ", "\x01\u200b", "\n\t"], 1).lengths.tolist() == [0] * 5


def test_threads_and_cuts_do_not_matter(uncased):
    texts = [text * 3 for text in hard_texts(seed=4, count=3000)]
    engine, _ = uncased
    whole = engine.encode_batch(texts, 1)
    for threads in (2, 5):
        again = engine.encode_batch(texts, threads)
        np.testing.assert_array_equal(again.ids, whole.ids)
        np.testing.assert_array_equal(again.lengths, whole.lengths)
    parts = [engine.encode_batch(texts[i : i + 700], 2) for i in range(0, len(texts), 700)]
    np.testing.assert_array_equal(np.concatenate([part.ids for part in parts]), whole.ids)


def test_str_and_bytes_give_the_same(uncased):
    texts = list(hard_texts(seed=5, count=500))
    engine, _ = uncased
    ids = engine.encode_batch(texts, 1).ids
    np.testing.assert_array_equal(engine.encode_batch([text.encode() for text in texts], 1).ids, ids)


def test_results_outlive_the_engine(tmp_path):
    loaded = load_reference(write_vocabulary(tmp_path))
    engine = NativeEngine(loaded)
    ids = engine.encode_batch(["hello world"] * 1000, 1).ids
    expected = ids.copy()
    del engine
    np.testing.assert_array_equal(ids, expected)
    ids[0] = 7  # one's own memory, not a view of anything


@COMMON
@given(content=st.lists(st.sampled_from([b"a", b"\xc3", b"\xa9", b"\xe4", b"\xb8", b"\xad", b"\xf0", b"\x9f", b"\x98",
                                         b"\xed", b"\xa0", b"\x80", b" ", b"-", b"\xff", b"[MASK]", b"\xc0", b"\xf4"]),
                        max_size=12).map(b"".join))  # fmt: skip
def test_invalid_utf8_is_found_where_python_finds_it(pair, content):
    engine, reference = pair
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        with pytest.raises(TextError) as caught:
            engine.encode_batch([b"fine", content], 1)
        assert (caught.value.index, caught.value.offset) == (1, error.start)  # noqa: PT017
    else:
        assert engine.encode_batch([content], 1).ids.tolist() == encode_one(reference, text)


def test_the_error_is_that_of_the_first_bad_text(uncased):
    engine, _ = uncased
    texts = ["hello world " * 2000 for _ in range(60)]
    texts[31] = "\ud800"
    texts[40] = b"\xff"
    for threads in (1, 4):
        with pytest.raises(TextError, match="text 31 of the batch: found a lone surrogate at character 0"):
            engine.encode_batch(texts, threads)
    with pytest.raises(TextError, match="text 1 of the batch: found a NoneType"):
        engine.encode_batch(["a", None], 1)


def test_reference_engine_reports_the_same_errors(tmp_path):
    loaded = load_reference(write_vocabulary(tmp_path))
    for bad in (b"ab\xc3(", "x\ud800", 3):
        messages = []
        for engine in (NativeEngine(loaded), ReferenceEngine(loaded)):
            with pytest.raises(TextError) as caught:
                engine.encode_batch(["fine", bad], 1)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]


@COMMON
@given(text=st.text(alphabet='aé中 \n\t\r"\\/\b\f\x01[MASK]-\u2028ж', max_size=40), ascii_only=st.booleans())
def test_json_strings(uncased, text, ascii_only):
    engine, reference = uncased
    content = json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode()
    ids = engine._engine.encode_json(content)
    if ids is None:
        assert "[MASK]" in text or any(escape in content for escape in (b"\\u", b"\\b", b"\\f"))
    else:
        assert ids.tolist() == encode_one(reference, text)


def test_json_strings_take_common_escapes(uncased):
    engine, reference = uncased
    ids = engine._engine.encode_json(rb"hello\nworld\t\"of\" \\ \/ the")
    assert ids.tolist() == encode_one(reference, 'hello\nworld\t"of" \\ / the')
    for content in (b"a\\", b"\\x", b"a\\u0041"):
        assert engine._engine.encode_json(content) is None


@pytest.mark.parametrize("unit", ["a", "hello ", "é", "中", "-", "\n", '"', "\\", "\x01", "[", "a\n", '\\"'], ids=ascii)
def test_every_place_in_a_block(pair, unit):
    # The scan looks at 64 bytes at a time: whatever comes must come to stand at each of their ends.
    odd = [
        "word",
        "\n",
        '"',
        "\\",
        "/",
        "[",
        "[MASK]",
        "中",
        "中a",
        "a中",
        "\x01",
        "a\x01b",
        "é" * 20,
        "z" * 70,
        "「",
        "-",
    ]
    texts = [unit * count + piece + end for count in range(1, 70) for piece in odd for end in ("", " the end, of it")]
    assert_same(pair, texts)
    for text in texts[::3]:
        expected = None if "[MASK]" in text or "\x01" in text else encode_one(pair[1], text)
        content = json.dumps(text, ensure_ascii=False)[1:-1].encode()
        ids = pair[0]._engine.encode_json(content)
        assert (ids if ids is None else ids.tolist()) == expected, content


def test_added_tokens_anywhere(tmp_path):
    added = [AddedToken(token, special=True, normalized=False) for token in ("[MASK]", "<s>", "magic", "é", "a/b")]
    loaded = load_reference(write_tokenizer(tmp_path, added))
    pair = NativeEngine(loaded), loaded.tokenizer
    assert_same(pair, ["x<s>y", "tragicmagicword", "caf\u00e9", "a/b c", "Magic <S>", "hello"])
    # A literal that could be written with \/ or that the scan cannot see is left to the unescaped text.
    assert pair[0]._engine.encode_json(b"a\\/b") is None


def test_added_tokens_that_only_the_reference_can_match(tmp_path):
    for flag in ("single_word", "lstrip", "rstrip", "normalized"):
        added = [AddedToken("[X]", **{"normalized": False, flag: True})]
        with pytest.raises(EngineUnsupportedError, match=flag):
            NativeEngine(load_reference(write_tokenizer(tmp_path, added)))


def test_vocabulary_without_unknown(tmp_path):
    pieces = [piece for piece in small_vocabulary() if piece != "[UNK]"]
    loaded = load_reference(write_tokenizer(tmp_path, [], pieces))
    engine = NativeEngine(loaded)
    assert engine.encode_batch(["hello world, \u4e00"], 1).ids.tolist() == encode_one(
        loaded.tokenizer, "hello world, \u4e00"
    )
    for text in ("\u9fa5", "\U0001f600", "ϡ", "a" * 101):
        with pytest.raises(Exception, match="UNK"):
            engine.encode_batch([text], 1)


def test_the_sample_depends_on_the_texts_alone(tmp_path):
    loaded = load_reference(write_vocabulary(tmp_path))
    engine = NativeEngine(loaded, sample_one_in=8)
    texts = list(hard_texts(seed=6, count=400))
    sampled = list(engine.encode_batch(texts, 2).sampled)
    assert 20 < len(sampled) < 90
    assert sampled == sorted(sampled)
    again = [index for index, text in enumerate(texts) if engine.encode_batch([text.encode()], 1).sampled]
    assert again == sampled


def test_an_error_in_the_reference_reaches_the_caller(tmp_path, monkeypatch):
    loaded = load_reference(write_vocabulary(tmp_path))
    engine = NativeEngine(loaded)

    def broken(tokenizer, text):
        raise OSError("the reference failed")

    monkeypatch.setattr("preprocess.tokenization.native.encode_one", broken)
    with pytest.raises(OSError, match="the reference failed"):
        engine.encode_batch(["[MASK]"] * 20, 3)
    assert engine.encode_batch(["hello"], 1).lengths.tolist() == [1]
