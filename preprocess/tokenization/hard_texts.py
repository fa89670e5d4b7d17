"""Generated texts that tell tokenizers apart: what an engine has to pass before anyone trusts it.

seed --random.Random--> fragments of the kinds below, glued together or spaced --> texts
"""

import random
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache

LITERALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# First and last of ranges where tables of different origin disagree, with their neighbours.
EDGES = (
    0x7F, 0x80, 0x85, 0xA0, 0xAD, 0x2FF, 0x300, 0x36F, 0x378, 0x37E, 0x483, 0x590, 0x5FF, 0x61C, 0x8D4, 0x8E1, 0x93C,
    0xE31, 0xF71, 0x10FF, 0x1160, 0x1680, 0x180E, 0x1AB0, 0x1DFB, 0x1FEF, 0x2000, 0x200B, 0x200D, 0x2028, 0x202F,
    0x205F, 0x2260, 0x2E80, 0x2FFF, 0x3000, 0x3005, 0x302E, 0x302F, 0x3031, 0x303F, 0x33FF, 0x3400, 0x4DBF, 0x4DC0,
    0x4DFF, 0x4E00, 0x9FA5, 0x9FFF, 0xA000, 0xABFF, 0xAC00, 0xD7A3, 0xD7FB, 0xE000, 0xF8FF, 0xF900, 0xFAFF, 0xFB1D,
    0xFE0F, 0xFE20, 0xFEFF, 0xFF01, 0xFF5E, 0xFFF9, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x11C3F, 0x1D15E, 0x1D165,
    0x1D166, 0x1D16D, 0x1D172, 0x1D1BB, 0x1D1C0, 0x1E000, 0x1E02A, 0x1E944, 0x1E94A, 0x1F3FB, 0x1F468, 0x1FFFF,
    0x20000, 0x2A6DF, 0x2A700, 0x2B73F, 0x2B740, 0x2B81F, 0x2B820, 0x2B91F, 0x2B920, 0x2CEAF, 0x2CEB0, 0x2F800, 0x2FA1F,
    0x30000, 0xE0001, 0xE0100, 0xF0000, 0x10FFFF,
)  # fmt: skip
WORDS = (
    "the", "of", "unaffable", "Tokenization", "naïve", "ΟΔΥΣΣΕΥΣ", "İstanbul", "straße", "слово",
    "שָׁלוֹם", "مَدْرَسَة", "हिन्दी",
    "ไทย", "한국어", "日本語", "中文",
    "don\u2019t", "e\u0301a\u0323\u0302", "x" * 40, "ÅÅ", "ﬁn", "\uff11\uff12\uff13", "½",
    "a\u00adb", "₿", "…", "C++", "3.14",
)  # fmt: skip


@cache
def _marks() -> tuple[str, ...]:
    """Every code point with a combining class, as this Python knows them."""
    return tuple(chr(code) for code in range(sys.maxunicode + 1) if unicodedata.combining(chr(code)))


def _scalar(rng: random.Random, low: int, high: int) -> str:
    code = rng.randint(low, high)
    return "\u0fff" if 0xD800 <= code < 0xE000 else chr(code)


def _any(rng: random.Random) -> str:
    plane = rng.choice((0, 0, 0, 1, 1, 2, 3, 14, 15, 16, rng.randrange(17)))
    return "".join(_scalar(rng, plane << 16, (plane << 16) + 0xFFFF) for _ in range(rng.randint(1, 4)))


def _edge(rng: random.Random) -> str:
    codes = (min(rng.choice(EDGES) + rng.randint(-1, 1), 0x10FFFF) for _ in range(rng.randint(1, 3)))
    return "".join(_scalar(rng, code, code) for code in codes)


def _marked(rng: random.Random) -> str:
    """A base and marks, some equal, some with a joiner or selector between them."""
    parts = [rng.choice("aeox\u0446\u0627\u0915\uac00")]
    for _ in range(rng.randint(1, 5)):
        parts.append(rng.choice(_marks()))
        if rng.random() < 0.2:
            parts.append(rng.choice(("\u200d", "\ufe0f", "\u034f", "\x01", parts[-1])))
    return "".join(parts)


def _control(rng: random.Random) -> str:
    return "".join(
        rng.choice((chr(rng.randrange(32)), chr(rng.randrange(127, 160)), "\ufffd", "\u200b", "\ufeff", "a", "Z"))
        for _ in range(rng.randint(1, 4))
    )


def _hangul(rng: random.Random) -> str:
    ranges = ((0xAC00, 0xD7A3), (0x1100, 0x11FF), (0xA960, 0xA97C), (0xD7B0, 0xD7FB))
    return "".join(_scalar(rng, *rng.choice(ranges)) for _ in range(rng.randint(1, 5)))


def _east_asian(rng: random.Random) -> str:
    ranges = (
        (0x4E00, 0x9FFF),
        (0x3000, 0x30FF),
        (0x3400, 0x4DFF),
        (0xF900, 0xFAFF),
        (0xFF00, 0xFFEF),
        (0x20000, 0x2FA1F),
    )
    return "".join(_scalar(rng, *rng.choice(ranges)) for _ in range(rng.randint(1, 5)))


def _emoji(rng: random.Random) -> str:
    parts = []
    for _ in range(rng.randint(1, 3)):
        parts.append(_scalar(rng, 0x1F300, 0x1FAFF))
        parts.append(rng.choice(("", "\ufe0f", "\u200d", "\U0001f3fd", "\u20e3")))
    return "".join(parts)


def _right_to_left(rng: random.Random) -> str:
    ranges = ((0x590, 0x6FF), (0x700, 0x8FF), (0xFB1D, 0xFDFF), (0x10800, 0x10FFF), (0x1E800, 0x1EFFF))
    chosen = rng.choice(ranges)
    return "".join(_scalar(rng, *chosen) for _ in range(rng.randint(1, 6)))


def _literal(rng: random.Random) -> str:
    literal = rng.choice(LITERALS)
    if rng.random() < 0.4:
        return literal
    place = rng.randint(0, len(literal))
    broken = (
        literal[:place] + rng.choice(("\u00ad", "\u200d", " ", "\u0301", "[")) + literal[place:],
        literal.lower(),
        literal[:place],
        literal[place:],
        "[" + literal + "]",
        literal + literal[1:],
    )
    return rng.choice(broken)


def _long(rng: random.Random) -> str:
    """A word near the limit of 100 code points, counted after normalisation."""
    piece = rng.choice(
        ("a", "zz", "é", "e\u0301", "가", "각", "İ", "д", "ß", "\u1fef", "\U0001d160", "a\u00ad", "\U0002f800")
    )
    return (piece * 110)[: rng.choice((31, 32, 33, 34, 66, 99, 100, 101, 102, 200, 201))] + rng.choice(
        ("", "s", "\u0301")
    )


def _sized(rng: random.Random) -> str:
    """ASCII and two-byte letters around the sizes of memo keys: 8, 16 and 32 bytes."""
    size = rng.choice((7, 8, 9, 15, 16, 17, 31, 32, 33)) + rng.randint(-1, 1)
    return "".join(rng.choice("abcdefxyzABC019") if rng.random() < 0.95 else rng.choice("éßж") for _ in range(size))


def _ascii(rng: random.Random) -> str:
    return "".join(chr(rng.randrange(128)) for _ in range(rng.randint(1, 12)))


def _word(rng: random.Random) -> str:
    return rng.choice(WORDS)


KINDS = (
    _any, _edge, _marked, _marked, _control, _hangul, _east_asian, _emoji, _right_to_left, _literal, _long, _sized,
    _ascii, _word, _word,
)  # fmt: skip


def hard_texts(seed: int, count: int) -> Iterator[str]:
    """`count` texts of one to eight fragments; the same ones for the same seed and Python version."""
    rng = random.Random(seed)  # noqa: S311 - test texts, not secrets
    for _ in range(count):
        glue = rng.choice(("", "", " ", "-", "\u3000", "\n"))
        yield glue.join(rng.choice(KINDS)(rng) for _ in range(rng.randint(1, 8)))
