"""Blocks of JSON lines: the native scan and the encoding of spans against their twins."""

import json
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_cases import json_lines
from tokenizer_files import small_vocabulary, write_vocabulary

from preprocess import _native, load_tokenizer
from preprocess.corpora import errors
from preprocess.corpora.json_line import is_blank, read_json_line
from preprocess.corpora.json_lines import ASK, BLANK, TAKEN, read_json_block, scan_lines
from preprocess.tokenization.errors import EngineMismatchError

KEYS = ("text", "title")
COMMON = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """Native and through the fallback: 16-bit ids, and 32-bit ids."""
    folder = tmp_path_factory.mktemp("vocabulary")
    small = write_vocabulary(folder)
    large = folder / "large"
    large.mkdir()
    pieces = small_vocabulary()
    wide = write_vocabulary(large, pieces[:5] + [f"filler{i}" for i in range(66_000)] + pieces[5:])
    return [load_tokenizer(path, engine) for path in (small, wide) for engine in ("native", "reference")]


def scan(data, *keys):
    return _native.scan_json_lines(data, [key.encode() for key in keys or KEYS])


def states(*lines):
    return scan(b"\n".join(lines), "text")[1].tolist()


def assert_equal(found, expected):
    """Two TextRecords hold the same."""
    assert [list(column) for column in found.documents] == [list(column) for column in expected.documents]
    np.testing.assert_array_equal(found.lines, expected.lines)
    for name in ("problems", "blank", "lines_read", "bytes_read"):
        assert getattr(found, name) == getattr(expected, name)


def assert_encoded_as_read(tokenizer, data, keys):
    """Every key's spans give the ids of the texts that the twin reads, and -1 exactly for what it refuses."""
    records = read_json_block(data, keys)
    found = [tokenizer.encode_json(data, records.spans[:, column]) for column in range(len(keys))]
    bad = np.flatnonzero(np.any([lengths < 0 for _, lengths in found], axis=0))
    left, kept = records.without(bad)
    expected = read_json_block(data, keys, scan=scan_lines).as_text()
    assert_equal(left.as_text(), expected)
    assert not set(left.odd) - set(np.flatnonzero((left.spans < 0).any(axis=(1, 2))))
    for column, (ids, lengths) in enumerate(found):
        assert ids.dtype == (np.uint16 if tokenizer.dtype == np.uint16 else np.int32)
        assert lengths.dtype == np.int32
        rows = np.flatnonzero(kept & (records.spans[:, column, 0] >= 0))
        texts = [document for number, document in enumerate(expected.documents[column]) if number not in left.odd]
        wanted = tokenizer.encode_batch(texts)
        ends = np.maximum(lengths, 0).cumsum(dtype=np.int64)
        np.testing.assert_array_equal(lengths[rows], wanted[1])
        own = [ids[ends[row] - lengths[row] : ends[row]] for row in rows]
        np.testing.assert_array_equal(np.concatenate([*own, np.zeros(0, ids.dtype)]), wanted[0])
        assert ends[-1:].sum() == len(ids)


def assert_states_as_read(data, keys):
    """Line by line: what the native scan may say, given what the twin says."""
    starts, found, spans = scan(data, *keys)
    np.testing.assert_array_equal(starts, scan_lines(memoryview(data), [])[0])
    for row, state in enumerate(found.tolist()):
        line = data[starts[row] : starts[row + 1]]
        assert (state == BLANK) == is_blank(line)
        assert state == TAKEN or (spans[row] == -1).all()
        if state != TAKEN:
            continue
        texts = [data[begin:end] for begin, end in spans[row].tolist()]
        try:
            documents = read_json_line(line, keys)
        except errors.BadRecordError as error:
            assert error.reason in (errors.INVALID_UTF8, errors.LONE_SURROGATE, errors.NOT_JSON)  # noqa: PT017
            assert any(b"\\" in text or not text.isascii() for text in texts)
        else:
            assert [json.loads(b'"' + text + b'"') for text in texts] == documents


@pytest.mark.parametrize("keys", [("text",), KEYS, ("a.b", "text", "text")], ids=str)
@pytest.mark.parametrize("seed", [1, 2])
def test_generated_lines(seed, keys):
    data = json_lines(seed, 1500)
    assert_states_as_read(data, keys)
    found = read_json_block(data, keys, offset=1000, lines_before=50)
    assert_equal(found.as_text(), read_json_block(data, keys, offset=1000, lines_before=50, scan=scan_lines).as_text())
    assert 0 < len(found.odd) < len(found)
    assert {problem.reason for problem in found.problems} > {errors.NOT_JSON, errors.MISSING_KEY, errors.INVALID_UTF8}


@pytest.mark.parametrize("which", range(4))
def test_generated_lines_encoded(tokenizers, which):
    assert_encoded_as_read(tokenizers[which], json_lines(which + 10, 800), KEYS)


TEXT = st.text(st.characters(codec=None), max_size=90) | st.text(
    alphabet='"\\/\b\f\n\r\t\x00\x1f [MASK]a\ud83d\ude00é中'
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@COMMON
@given(st.dictionaries(st.sampled_from(["text", "title", "id", "ti\\tle"]), TEXT | VALUES), st.booleans())
def test_any_json(record, ascii_only):
    data = json.dumps(record, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert_states_as_read(data, ("text",))
    assert_equal(read_json_block(data, ["text"]).as_text(), read_json_block(data, ["text"], scan=scan_lines).as_text())


@COMMON
@given(texts=st.lists(TEXT, min_size=1, max_size=4), ascii_only=st.booleans())
def test_any_text_encoded(tokenizers, texts, ascii_only):
    lines = [json.dumps({"text": text}, ensure_ascii=ascii_only) for text in texts]
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    for tokenizer in tokenizers[:2]:
        assert_encoded_as_read(tokenizer, data, ("text",))


@COMMON
@given(st.binary(max_size=60))
def test_any_bytes(data):
    assert_states_as_read(data, ("text",))
    assert_states_as_read(b'{"text": "' + data + b'"}', ("text",))
    assert_states_as_read(b'{"text": "a", "x": "' + data + b'"}', ("text",))
    assert_states_as_read(b'{"text": "a", "x": ' + data + b"}", ("text",))


def test_every_length_and_place():
    # A quote, an escape and a run of backslashes at each place of a block of bytes.
    for size in range(140):
        for ending in (b"", b'\\"', b"\\\\", b'\\\\\\"', b"\\n", b"\\u0041", b"\xc3\xa9"):
            text = b"x" * size + ending
            for line in (b'{"text":"' + text + b'"}', b'{"y":"' + text + b'","text":"' + text + b'"}'):
                _, found, spans = scan(line, "text")
                assert found.tolist() == [TAKEN]
                begin, end = spans[0, 0].tolist()
                assert line[begin:end] == text
                for cut in (len(line) - 1, len(line) - 2, len(line) - 3):
                    assert scan(line[:cut], "text")[1].tolist() == [ASK]
        for run in range(1, 6):
            line = b'{"text":"' + b"x" * size + b"\\" * run + b'"}'
            assert scan(line, "text")[1].tolist() == [TAKEN if run % 2 == 0 else ASK]


def test_states():
    assert states(b'{"text":"a"}', b"", b" \t\r\v\f", b'\r{ "text" : "a" }\r') == [TAKEN, BLANK, BLANK, TAKEN]
    assert states(b'{"x":[1,-0.5e+3,{"a":[{}]},[],true,false,null],"text":"","y":0}') == [TAKEN]
    deep = [b'{"x":' + b"[" * n + b"1" + b"]" * n + b',"text":"a"}' for n in (63, 64, 65, 201)]
    assert states(*deep) == [TAKEN, TAKEN, ASK, ASK]
    for odd in (
        b'{"text":null}', b'{"text":1}', b'{"text":["a"]}', b"{}", b'{"x":"a"}', b"[]", b'"a"', b'{"text":"a"',
        b'{"text":"a","text":"b"}', b'{"te\\u0078t":"a"}', b'{"text":"a","\\u0078":1}', b'{"x":NaN,"text":"a"}',
        b'{"x":-Infinity,"text":"a"}', b'{"x":01,"text":"a"}', b'{"x":1.,"text":"a"}', b'{"x":1e,"text":"a"}',
        b'{"x":-,"text":"a"}', b'{"x":"\xff","text":"a"}', b'{"\xff":1,"text":"a"}', b'{"x":"\\x","text":"a"}',
        b'{"x":[1,],"text":"a"}', b'{"x":{"a":1,},"text":"a"}', b'{"x":[1}],"text":"a"}', b'{"x":{"a"},"text":"a"}',
        b'{"text":"a"},', b'{"text":"a"}{}', b'\xef\xbb\xbf{"text":"a"}', b'\v{"text":"a"}', b'{"text":"a\tb"}',
        b'{"text":"a\0"}', b'{"text":"a"}\0', b'{"x":tru,"text":"a"}', b'{"x":nul', b'{"x":"\\', b'{"text":"\\',
        b'{"x":"\\u00', b'{"a":{"text":"a"}}', b'{"text" "a"}', b'{,"text":"a"}', b'{"text":"a",}',
    ):  # fmt: skip
        assert states(odd) == [ASK], odd
        assert states(odd, b'{"text":"next"}')[-1] == TAKEN, odd


def test_empty_data_and_no_final_newline():
    starts, found, spans = scan(b"")
    assert (starts.tolist(), found.shape, spans.shape) == ([0], (0,), (0, 2, 2))
    assert len(read_json_block(b"", KEYS).as_text()) == 0
    for data in (b'{"text":"a"}', b'{"text":"a"}\n'):
        assert scan(data, "text")[0].tolist() == [0, len(data)]
    assert states(b"", b"", b"") == [BLANK, BLANK]


def test_places_of_problems_and_odd_records():
    data = b'{"text":"a"}\n\n{"text":3}\r\n{"text":["b","c"]}\n{"text":"\\ud800"}\nbad'
    records = read_json_block(data, ["text"], offset=100, lines_before=7)
    assert records.lines.tolist() == [7, 10, 11]
    assert records.odd == {1: [["b", "c"]]}
    assert records.spans.tolist() == [[[9, 10]], [[-1, -1]], [[54, 60]]]
    assert (records.lines_read, records.blank) == (6, 1)
    left, kept = records.without(np.array([2]))
    assert kept.tolist() == [True, True, False]
    assert left.odd == {1: [["b", "c"]]}
    places = [(problem.reason, problem.line, problem.offset, problem.raw, problem.size) for problem in left.problems]
    assert places == [
        (errors.NOT_TEXT, 9, 114, b'{"text":3}\r', 11),
        (errors.LONE_SURROGATE, 11, 145, b'{"text":"\\ud800"}', 17),
        (errors.NOT_JSON, 12, 163, b"bad", 3),
    ]
    # A record that the twin can read is kept whoever doubts it.
    doubted, kept = left.without([0, 1])
    assert kept.all()
    assert doubted.odd == {0: ["a"], 1: [["b", "c"]]}
    assert_equal(doubted.as_text(), records.as_text())
    assert len(records.problems) == 2


def test_long_bad_lines_are_cut(monkeypatch):
    monkeypatch.setattr("preprocess.corpora.json_lines.RAW_KEPT", 10)
    (problem,) = read_json_block(b'{"text": 12345}\n', ["text"]).problems
    assert (problem.raw, problem.size) == (b'{"text": 1', 15)


def test_spans_that_stand_for_nothing(tokenizers):
    data = b'"hello" "\\ud800"'
    spans = np.array([[-1, -1], [1, 6], [-1, -1], [9, 15], [3, 3]], dtype=np.int64)
    for tokenizer in tokenizers:
        ids, lengths = tokenizer.encode_json(data, spans)
        assert lengths.tolist() == [0, 1, 0, -1, 0]
        assert ids.tolist() == tokenizer.encode_batch(["hello"])[0].tolist()
        assert tokenizer.encode_json(b"", np.empty((0, 2), dtype=np.int64))[0].shape == (0,)


@pytest.mark.parametrize("span", [(-1, 0), (0, -1), (-2, -2), (5, 4), (0, 8), (8, 8), (2**62, 2**62), (-(2**63), 3)])
def test_spans_outside(tokenizers, span):
    for tokenizer in tokenizers[:2]:
        with pytest.raises(ValueError, match=r"span 1 .* is not inside the 7 bytes"):
            tokenizer.encode_json(b"1234567", np.array([(0, 7), span], dtype=np.int64))


def test_other_hostile_arguments(tokenizers):
    engine = tokenizers[0]._engine._engine
    good = np.zeros((1, 2), dtype=np.int64)
    shapes = [
        good[0],
        good.astype(np.int32),
        good.astype(">i8"),
        good.reshape(1, 2, 1),
        np.zeros((2, 3), dtype=np.int64),
    ]
    shapes += [np.zeros((2, 4), dtype=np.int64)[:, ::2], np.zeros(17, dtype=np.uint8)[1:].view(np.int64).reshape(1, 2)]
    for spans in shapes:
        with pytest.raises(ValueError, match="spans must be"):
            engine.encode_json_spans(b"", spans, itemsize=2, sample_one_in=0)
    with pytest.raises(ValueError, match="itemsize 3"):
        engine.encode_json_spans(b"", good, itemsize=3, sample_one_in=0)
    with pytest.raises(TypeError):
        engine.encode_json_spans("text", good, itemsize=2, sample_one_in=0)
    with pytest.raises(BufferError):
        engine.encode_json_spans(memoryview(b"abcd")[::2], good, itemsize=2, sample_one_in=0)
    wide = tokenizers[2]._engine._engine
    with pytest.raises(OverflowError, match="does not fit"):
        wide.encode_json_spans(b"hello", np.array([[0, 5]], dtype=np.int64), itemsize=2, sample_one_in=0)
    for keys in (["text"], [3], b"text", None):
        with pytest.raises(TypeError):
            _native.scan_json_lines(b"{}", keys)
    with pytest.raises(TypeError):
        _native.scan_json_lines("{}", [b"text"])


def test_content_that_no_scan_has_passed(tokenizers):
    for content in (b"a\\", b"\\q", b"\\u12", b"\\u12g4", b"\\ud800\\n", b"\\ud800\\u0041", b"\xc3\\n", b"\\u0041\xa9"):
        spans = np.array([[0, len(content)]], dtype=np.int64)
        for tokenizer in tokenizers:
            assert tokenizer.encode_json(content, spans)[1].tolist() == [-1]


def test_arrays_outlive_the_data(tokenizers):
    data = bytearray(b'{"text": "hello world"}\n' * 50)
    starts, _, spans = scan(data, "text")
    ids, lengths = tokenizers[0].encode_json(bytes(data), spans[:, 0])
    data[:] = b""
    assert starts.tolist() == list(range(0, 24 * 51, 24))
    assert lengths.tolist() == [2] * 50
    ids[0] = 1


def test_threads_may_share_a_tokenizer(tokenizers):
    data = json_lines(5, 600)
    spans = np.ascontiguousarray(scan(data, "text")[2][:, 0])
    expected = tokenizers[0].encode_json(data, spans)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(tokenizers[0].encode_json(data, spans))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for found in results:
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_the_running_check_sees_spans(tmp_path, engine, monkeypatch):
    tokenizer = load_tokenizer(write_vocabulary(tmp_path), engine, sample_one_in=2)
    tokenizer._checked_any = False
    data = b"".join(b'{"text": "hello %d \\n world"}\n' % i for i in range(50))
    seen = []
    reference = tokenizer._encode_by_reference

    def watching(text):
        seen.append(text)
        return reference(text)

    monkeypatch.setattr(tokenizer, "_encode_by_reference", watching)
    spans = scan(data, "text")[2][:, 0]
    tokenizer.encode_json(data, spans)
    assert "hello 0 \n world" in seen
    assert engine == "reference" or 10 < len(seen) < 40
    monkeypatch.setattr(tokenizer, "_encode_by_reference", lambda text: [*reference(text), 1])
    tokenizer._checked_any = False
    with pytest.raises(EngineMismatchError):
        tokenizer.encode_json(data, spans)
