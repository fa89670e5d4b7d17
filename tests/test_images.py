"""Image files: pixels of all filters and colours, and every way to be no image, which is an error and never a crash."""

import struct
import sys
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_files import PNG, chunk, filtered, header, jpeg, picture, png, ppm, webp

from preprocess.images import ImageError, decode, examine


@pytest.mark.parametrize("filters", [[0] * 9, [1] * 9, [2] * 9, [3] * 9, [4] * 9, [4, 3, 2, 1, 0, 4, 3, 1, 2]])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pixels_of_png(filters, channels):
    pixels = picture(sum(filters), channels=channels)
    expected = pixels[:, :, :3] if channels > 2 else np.repeat(pixels[:, :, :1], 3, axis=2)
    data = png(pixels, filters)
    assert np.array_equal(decode(data), expected)
    assert (examine(data).kind, examine(data).width, examine(data).height) == ("PNG", 7, 9)


def test_palettes_and_portable_maps():
    palette = list(range(30))
    places = picture(1, channels=1) % 10
    expected = np.array(palette, np.uint8).reshape(-1, 3)[places[:, :, 0]]
    assert np.array_equal(decode(png(places, palette=palette)), expected)
    with pytest.raises(ImageError, match="the colour"):
        decode(png(places + 5, palette=palette))
    colours, grey = picture(2), picture(3, channels=1)
    assert np.array_equal(decode(ppm(colours)), colours)
    assert np.array_equal(decode(ppm(grey)), np.repeat(grey, 3, axis=2))


def test_other_kinds_are_examined_and_decoded_by_pillow_alone(monkeypatch):
    assert (examine(jpeg()).width, examine(jpeg()).height) == (5, 4)
    assert (examine(webp()).width, examine(webp()).height) == (6, 5)
    monkeypatch.setitem(sys.modules, "PIL", None)
    wide = PNG + header(1, 1, 0, depth=16) + chunk(b"IDAT", zlib.compress(bytes(3))) + chunk(b"IEND", b"")
    assert examine(wide).kind == "PNG"
    for data in (jpeg(), webp(), wide):
        with pytest.raises(ImageError, match="pip install pillow"):
            decode(data)


LINES = filtered(picture(0), [0] * 9)


def of_chunks(*chunks):
    return PNG + b"".join(chunks) + chunk(b"IEND", b"")


HOSTILE = {
    "nothing": (b"", "no bytes"),
    "zeros": (bytes(100), "that begin with"),
    "text": (b"GIF89a" + bytes(50), "that begin with"),
    "cut off": (png(picture(0))[:-20], "cut off"),
    "cut in a header": (png(picture(0))[:12], "cut off"),
    "signature alone": (PNG, "without header"),
    "wrong checksum": (png(picture(0)).replace(b"IDAT", b"IDAX"), "wrong checksum"),
    "more pixels than data": (of_chunks(header(7, 900, 2), chunk(b"IDAT", zlib.compress(LINES))), "bytes of lines"),
    "a bomb": (of_chunks(header(7, 9, 2), chunk(b"IDAT", zlib.compress(bytes(10**7)))), "bytes of lines"),
    "a bomb that says so": (of_chunks(header(10**5, 10**5, 2), chunk(b"IDAT", zlib.compress(LINES))), "are read"),
    "no pixels": (of_chunks(header(0, 9, 2), chunk(b"IDAT", zlib.compress(LINES))), "are read"),
    "no deflated data": (of_chunks(header(7, 9, 2), chunk(b"IDAT", b"abc")), "damaged"),
    "unknown colours": (of_chunks(header(7, 9, 5), chunk(b"IDAT", zlib.compress(LINES))), "colour type 5"),
    "colours of 4 bits": (of_chunks(header(7, 9, 2, depth=4), chunk(b"IDAT", zlib.compress(LINES))), "depth 4"),
    "unknown lines": (of_chunks(header(7, 9, 2, interlace=2), chunk(b"IDAT", zlib.compress(LINES))), "the methods"),
    "an unknown filter": (of_chunks(header(7, 9, 2), chunk(b"IDAT", zlib.compress(b"\x07" + LINES[1:]))), "a filter 7"),
    "no palette": (of_chunks(header(7, 9, 3), chunk(b"IDAT", zlib.compress(LINES))), "palette of 0"),
    "short ppm": (ppm(picture(0))[:-1], "bytes of pixels"),
    "long ppm": (ppm(picture(0)) + b"a", "bytes of pixels"),
    "huge ppm": (b"P6 999999999 999999999 255\n", "are read"),
    "ppm of 16 bits": (b"P6 1 1 65535\n123456", "not 0 to 255"),
    "cut ppm": (b"P6 1", "header"),
    "cut jpeg": (jpeg()[:-2], "no end"),
    "jpeg header": (jpeg()[:9], "before its size"),
    "no jpeg": (b"\xff\xd8abcdefgh", "no marker"),
    "huge jpeg": (jpeg(65535, 65535), "are read"),
    "cut webp": (webp()[:20], "cut off"),
    "long webp": (webp()[:4] + struct.pack("<I", 999) + webp()[8:], "cut off"),
    "unknown webp": (webp().replace(b"VP8X", b"VP9X"), "begins with"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_image(name):
    data, words = HOSTILE[name]
    with pytest.raises(ImageError, match=words):
        examine(data)
    with pytest.raises(ImageError):
        decode(data)


@pytest.mark.parametrize("blank", [b" ", b"#\n", b" #\n "])
def test_a_header_of_blanks_is_read_once(blank):
    """A pattern with several ways to divide them would try 2^1000000 of these."""
    for start in (b"P6", b"P6 1", b"P6 1 1"):
        with pytest.raises(ImageError, match="header"):
            examine(start + blank * 1_000_000 + b"x")
    assert examine(b"P5" + blank * 9 + b" 1" + blank * 9 + b" 1" + blank * 9 + b" 255 a").width == 1


@given(st.sampled_from([png(picture(0), [4] * 9), ppm(picture(1)), jpeg(), webp()]), st.data())
def test_changed_bytes_are_an_image_or_an_error(data, draws):
    changed = bytearray(data)
    for _ in range(draws.draw(st.integers(1, 4))):
        changed[draws.draw(st.integers(0, len(data) - 1))] = draws.draw(st.integers(0, 255))
    cut = bytes(changed[: draws.draw(st.integers(0, len(data)))])
    for read in (examine, decode):
        with suppress(ImageError):
            read(cut)
