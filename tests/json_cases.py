"""Generated JSON lines, good, odd and damaged: the same ones for the same seed."""

import json
import random

NAMES = ["text", "title", "id", "meta", "te\u00e9t", "", "a.b", 'q"q', "\\", "text ", "Text", "x" * 70]
FRAGMENTS = [
    b'"', b"\\", b"\\\\", b'\\"', b"\\u", b"\\u00", b"\\u0041", b"\\ud83d", b"\\ude00", b"\\n", b"\\b", b"\\f",
    b"\\/", b"\\x", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r", b"\t", b" ", b"\0", b"\x1f", b"\x7f", b"\v",
    b"\xef\xbb\xbf", b"\xff", b"\xc3", b"\xa9", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\xf0\x9f\x98\x80", b"NaN",
    b"-Infinity", b"null", b"true", b"0", b"-", b"1e5", b".", b'"text":', b'"text":"a"', b"text", b"[MASK]",
    b'{"text":"a"}', b"[[[[", b"/*", b"'",
]  # fmt: skip


def _characters(rng: random.Random) -> str:
    kind = rng.randrange(8)
    size = rng.choice((0, 1, 3, 8, 20, 60, 64, 70, 200))
    if kind < 3:
        return " ".join(
            rng.choice(("the", "of", "hello", "world", "token", "[MASK]", "un-affable")) for _ in range(size // 4)
        )
    if kind == 3:
        return "".join(chr(rng.randrange(128)) for _ in range(size))
    if kind == 4:
        return "".join(rng.choice('\\"/\n\b\f\tax') for _ in range(size))
    if kind == 5:
        return "".join(
            chr(rng.choice((0x4E00, 0x430, 0xE9, 0xAC00, 0x1F600, 0x2028, 0x85)) + rng.randrange(4))
            for _ in range(size)
        )
    if kind == 6:  # any plane, and surrogates one in a hundred
        points = (rng.randrange(0x110000) for _ in range(size))
        return "".join(chr(p) if not 0xD800 <= p < 0xE000 or rng.random() < 0.01 else "s" for p in points)
    return "".join(rng.choice(("\ud83d", "\ude00", "\ud800", "x", "\U0001f600")) for _ in range(rng.randrange(3)))


def _value(rng: random.Random, depth: int) -> object:
    kind = rng.randrange(10)
    if kind < 5 or depth > 4:
        return _characters(rng)
    if kind == 5:
        return rng.choice((None, True, False, 0, -1, 17, 1e300, -2.5e-7, 10**30, float("nan"), float("inf")))
    if kind == 6:
        return [_characters(rng) for _ in range(rng.randrange(4))]
    if kind == 7:
        return [_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 8:
        nested: object = "x"
        for _ in range(rng.choice((1, 3, 60, 63, 64, 65, 66, 199, 200, 201))):
            nested = [nested] if rng.random() < 0.5 else {"n": nested}
        return nested
    return _record(rng, depth + 1)


def _record(rng: random.Random, depth: int) -> dict[str, object]:
    names = rng.sample(NAMES, rng.randrange(4))
    made = {name: _value(rng, depth) for name in names}
    if depth == 0:
        for name in ("text", "title"):
            if rng.random() < 0.8:
                made[name] = _characters(rng)
    items = list(made.items())
    rng.shuffle(items)
    return dict(items)


def _line(rng: random.Random) -> bytes:
    if rng.random() < 0.05:
        return rng.choice((b"", b" ", b"\r", b"\t \v\f", b"[]", b"{}", b'"text"', b"{", b"\0"))
    separators = rng.choice(((", ", ": "), (",", ":"), (" ,\t", "\r: ")))
    text = json.dumps(_record(rng, 0), ensure_ascii=rng.random() < 0.4, separators=separators)
    return text.encode("utf-8", "surrogatepass") + rng.choice((b"", b"", b"\r", b" "))


def _damage(rng: random.Random, line: bytes) -> bytes:
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randint(0, len(line))
        kind = rng.randrange(5)
        if kind == 0:
            line = line[:place] + rng.choice(FRAGMENTS) + line[place:]
        elif kind == 1:
            line = line[:place] + line[place + rng.choice((1, 1, 2, 5)) :]
        elif kind == 2 and line:
            place = min(place, len(line) - 1)
            line = line[:place] + bytes([line[place] ^ 1 << rng.randrange(8)]) + line[place + 1 :]
        elif kind == 3:
            line = line[:place]
        else:
            line = line[:place] + bytes([rng.randrange(256)]) + line[place:]
    return line


def json_lines(seed: int, count: int) -> bytes:
    """About `count` lines; half of them damaged, which also makes new lines."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        line = _line(rng)
        made.append(_damage(rng, line) if rng.random() < 0.5 else line)
    return b"\n".join(made) + rng.choice((b"", b"\n"))
