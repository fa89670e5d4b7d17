"""What one JSON line is: the twin of the native scan, case by case of the list of bad inputs."""

import json
import sys

import pytest

from preprocess.corpora import errors
from preprocess.corpora.errors import BadRecordError
from preprocess.corpora.json_line import DEEPEST, is_blank, read_json_line, read_json_string


def read(line, *keys):
    return read_json_line(line if isinstance(line, bytes) else line.encode(), keys or ("text",))


def refused(line, *keys):
    with pytest.raises(BadRecordError) as caught:
        read(line, *keys)
    return caught.value.reason, caught.value.found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"text": "a"', "Expecting ',' delimiter at column 13"),
        ('{"text" "a"}', "Expecting ':' delimiter at column 9"),
        ('{"text": "a', "Unterminated string starting at at column 10"),
        (r'{"text": "\x"}', r"Invalid \escape at column 11"),
        ('{"text": "\\u12g4"}', "Invalid \\uXXXX escape at column 12"),
        ('{"text": 01}', "Expecting ',' delimiter at column 11"),
        ('{"text": .5}', "Expecting value at column 10"),
        ('{"text": +1}', "Expecting value at column 10"),
        ("not json", "Expecting value at column 1"),
        ('\v{"text": "a"}', "Expecting value at column 1"),
        ("", "Expecting value at column 1"),
    ],
)
def test_1_malformed_line(line, found):
    assert refused(line) == (errors.NOT_JSON, found)


def test_1_trailing_comma():
    assert refused('{"text": "a",}')[0] == errors.NOT_JSON
    assert refused('{"text": "a", "n": [1,]}')[0] == errors.NOT_JSON


def test_2_missing_key():
    assert refused('{"id": 1, "body": "a"}') == (errors.MISSING_KEY, "no key 'text' beside 'id', 'body'")
    assert refused("{}") == (errors.MISSING_KEY, "no key 'text' beside none")
    many = json.dumps({f"member {i}": i for i in range(30)})
    assert refused(many)[1].endswith("'member 7' and 22 more")
    assert len(refused(json.dumps({"x" * 10_000: 1}))[1]) < 100
    refused(r'{"\ud800": 1}')[1].encode()  # can be printed


def test_3_null_text():
    assert refused('{"text": null}') == (errors.NULL, "null under the key 'text'")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("3", "a number"), ("-0.5e3", "a number"), ("true", "true"), ("false", "false"), ("{}", "an object"),
        ('{"text": "a"}', "an object"), ("NaN", "a number"),
    ],
)  # fmt: skip
def test_4_number_and_other_values(value, found):
    assert refused('{"text": ' + value + "}") == (errors.NOT_TEXT, f"{found} under the key 'text'")


def test_5_list():
    assert read('{"text": ["One.", "Two."]}') == [["One.", "Two."]]
    assert read('{"text": []}') == [[]]
    assert refused('{"text": ["a", 1]}') == (errors.NOT_TEXT, "a list with a number in it under the key 'text'")
    assert refused('{"text": ["a", ["b"]]}')[1].startswith("a list with an array")
    assert refused('{"text": [null]}')[0] == errors.NOT_TEXT
    assert refused(r'{"text": ["\ud800", 1]}')[0] == errors.NOT_TEXT
    assert refused(r'{"text": ["a", "\ud800"]}')[0] == errors.LONE_SURROGATE


@pytest.mark.parametrize("line", [b"", b"\n", b"\r\n", b"   ", b" \t\v\f\r\n"], ids=repr)
def test_6_7_8_blank_lines(line):
    assert is_blank(line)


@pytest.mark.parametrize(
    "line", [b"\x00", b"\x1c", b"\xc2\xa0", b"\xe2\x80\xa8", b"\x85", b"{}", b"\xef\xbb\xbf"], ids=repr
)
def test_8_not_blank(line):
    assert not is_blank(line)


def test_7_white_space_around_a_record():
    assert read(b' \t{"text" :\r "a" } \r\n') == ["a"]


def test_9_byte_order_mark():
    assert refused(b'\xef\xbb\xbf{"text": "a"}') == (errors.NOT_JSON, "a byte order mark at column 1")


@pytest.mark.parametrize(
    "bad", [b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80"], ids=repr
)
def test_10_invalid_utf8(bad):
    reason, found = refused(b'{"text": "ab' + bad + b'"}')
    assert (reason, found) == (errors.INVALID_UTF8, f"byte 0x{bad[0]:02x} at offset 12 of the line")
    assert refused(b'{"text": "a", "other": "' + bad + b'"}')[0] == errors.INVALID_UTF8
    assert refused(b"{" + bad)[0] == errors.INVALID_UTF8


def test_11_lone_surrogate_escape():
    assert refused(r'{"text": "ab\ud800c"}') == (
        errors.LONE_SURROGATE,
        r"\ud800 at character 2 of the text under the key 'text'",
    )
    assert refused(r'{"text": "\ude00\ud83d"}')[0] == errors.LONE_SURROGATE
    assert read(r'{"text": "\ud83d\ude00"}') == ["\U0001f600"]
    assert read(r'{"text": "a", "other": "\ud800", "\udc00": 1}') == ["a"]


def test_12_nan_and_infinity():
    assert read('{"x": [NaN, Infinity, -Infinity], "text": "a"}') == ["a"]
    assert refused('{"text": Infinity}')[0] == errors.NOT_TEXT


def test_13_duplicate_keys():
    assert refused('{"text": "a", "text": "a"}') == (errors.DUPLICATE_KEY, "the key 'text' more than once")
    assert refused(r'{"text": "a", "te\u0078t": "b"}')[0] == errors.DUPLICATE_KEY
    assert read('{"x": 1, "text": "a", "x": 2, "y": {"text": 1, "text": 2}}') == ["a"]


@pytest.mark.parametrize(
    ("line", "found"),
    [("[]", "an array"), ('["a"]', "an array"), ('"a"', "text"), ("3", "a number"), ("null", "null"), ("true", "true")],
)
def test_14_no_object(line, found):
    assert refused(line) == (errors.NOT_AN_OBJECT, found)


def test_15_trailing_junk():
    assert refused('{"text": "a"} x') == (errors.NOT_JSON, "Extra data at column 15")
    assert refused('{"text": "a"},')[0] == errors.NOT_JSON


def test_19_empty_text():
    assert read('{"text": ""}') == [""]


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"text": "a", "b": ' + "[" * 10])
def test_21_nesting_100_000_deep(opening):
    assert refused(opening * 100_000)[0] == errors.TOO_DEEP


def test_21_nesting_at_the_limit():
    def nested(depth):
        return '{"text": "a", "x": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}"

    assert read(nested(DEEPEST)) == ["a"]
    assert refused(nested(DEEPEST + 1)) == (errors.TOO_DEEP, "more than 200 brackets open at column 219")
    # Brackets side by side, or inside strings, do not count.
    assert read('{"x": [' + "[]," * 300 + '{}], "text": "a"}') == ["a"]
    text = '[{\\"' * 1000
    assert read(json.dumps({"x": text, text: [text], "text": text})) == [text]
    assert read(nested(DEEPEST)[:-1] + ', "y": "' + r"\"[{\\" * 500 + '"}') == ["a"]


def test_22_a_5_000_digit_integer():
    digits = "9" * 5000
    assert read('{"n": ' + digits + ', "text": "a", "m": -' + digits + "}") == ["a"]
    assert refused('{"text": ' + digits + "}") == (errors.NOT_TEXT, "a number under the key 'text'")
    assert read('{"n": 1e999, "text": "a"}') == ["a"]


@pytest.mark.parametrize("control", ["\0", "\x01", "\t", "\x1f"], ids=repr)
def test_23_raw_control_characters(control):
    reason, found = refused('{"text": "a' + control + '"}')
    assert (reason, found) == (errors.NOT_JSON, "Invalid control character at at column 12")


def test_23_escaped_controls_are_text():
    assert read(r'{"text": "\u0000\u0001\b\f\n\r\t\"\\\/"}') == ['\0\x01\b\f\n\r\t"\\/']
    assert read('{"text": "\x7f"}') == ["\x7f"]


def test_24_two_objects_on_one_line():
    assert refused('{"text": "a"}{"text": "b"}') == (errors.NOT_JSON, "Extra data at column 14")
    assert refused('{"text": "a"} {"text": "b"}')[0] == errors.NOT_JSON


def test_25_separators_inside_text():
    assert read('{"text": "a\u2028b\u2029c\u0085d"}') == ["a\u2028b\u2029c\u0085d"]


def test_dotted_paths():
    line = '{"a": {"b": {"c": "deep"}, "s": "x"}, "a.b": "flat", "n": null, "l": [{"c": "x"}]}'
    assert read(line, "a.b.c", "a.b", "a.s") == ["deep", "flat", "x"]
    assert refused(line, "a.x.c") == (errors.MISSING_KEY, "no key 'a.x.c' beside 'b', 's'")
    assert refused(line, "a.s.c") == (errors.MISSING_KEY, "no key 'a.s.c': text on the way to 'c'")
    assert refused(line, "n.c")[1] == "no key 'n.c': null on the way to 'c'"
    assert refused(line, "l.c")[0] == errors.MISSING_KEY
    assert refused(line, "a.b.")[0] == errors.MISSING_KEY
    assert refused('{"a": {"b": "x"}, "a": {"b": "y"}}', "a.b")[0] == errors.DUPLICATE_KEY
    assert refused('{"a": {"b": "x", "b": "y"}}', "a.b")[0] == errors.DUPLICATE_KEY
    assert refused('{"a.b": null, "a": {"b": "x"}}', "a.b")[0] == errors.NULL
    assert read('{"": "empty", "x": {"": "inner"}}', "", "x.") == ["empty", "inner"]


def test_the_first_reason_counts():
    line = '{"a": null, "b": 1, "c": "x"}'
    assert refused(line, "a", "b")[0] == errors.NULL
    assert refused(line, "c", "b", "a")[0] == errors.NOT_TEXT
    assert refused(line, "z", "a")[0] == errors.MISSING_KEY
    assert refused(b"\xff" + b"[" * 300)[0] == errors.INVALID_UTF8
    assert refused("\ufeff" + "[" * 300)[0] == errors.TOO_DEEP
    assert refused("[1, 2")[0] == errors.NOT_JSON
    assert read(line, "c", "c") == ["x", "x"]


def test_every_reason_has_a_remedy():
    names = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, str)}
    assert names == set(errors.REMEDIES)


def test_nothing_depends_on_the_recursion_limit():
    line = '{"text": "a", "x": ' + "[" * 199 + "]" * 199 + "}"
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(600)
    try:
        assert read(line) == ["a"]
    finally:
        sys.setrecursionlimit(limit)


def test_json_strings():
    assert read_json_string(rb"a\u00e9\ud83d\ude00\n") == "aé\U0001f600\n"
    assert read_json_string("é\u2028".encode()) == "é\u2028"
    for content, reason in (
        (b"\xff", errors.INVALID_UTF8),
        (rb"\ud800", errors.LONE_SURROGATE),
        (rb"\q", errors.NOT_JSON),
        (b"\\", errors.NOT_JSON),
    ):
        with pytest.raises(BadRecordError) as caught:
            read_json_string(content)
        assert caught.value.reason == reason
