"""What an image file says of itself, and whether it is whole; no pixel is made.

PNG by all of its checksums and its inflated size, PPM and PGM by their size, JPEG and WebP by their markers and ends.
"""

import re
import struct

from preprocess.images import png
from preprocess.images.facts import ImageError, ImageFacts

__all__ = ["ImageError", "ImageFacts", "examine"]

# Between numbers there is one way to read each byte: with several, a file of blanks takes for ever.
BETWEEN = rb"(?:\s|#[^\n]*\n)+"
NETPBM = re.compile(rb"(P[56])" + BETWEEN + rb"(\d{1,9})" + BETWEEN + rb"(\d{1,9})" + BETWEEN + rb"(\d{1,5})\s")
SIZES_OF_JPEG = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def examine(data: bytes) -> ImageFacts:
    """The kind and the size of a whole image; an ImageError for anything else."""
    if not data:
        raise ImageError("no bytes")
    if data.startswith(png.SIGNATURE):
        found = png.parse(data)
        found.lines()
        return found.facts
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if data[:2] in (b"P5", b"P6"):
        return netpbm(data)[0]
    raise ImageError(f"bytes that begin with {data[:8]!r}; PNG, JPEG, WebP, PPM and PGM are known")


def netpbm(data: bytes) -> tuple[ImageFacts, int, int]:
    """Facts, channels and the first byte of the pixels of a PPM or PGM with 8 bits a value."""
    match = NETPBM.match(data)
    if match is None or match[4] != b"255":
        raise ImageError("a PPM or PGM with a header that is cut off, or with values that are not 0 to 255")
    channels = 3 if match[1] == b"P6" else 1
    facts = ImageFacts("PPM" if channels == 3 else "PGM", int(match[2]), int(match[3]))
    found, wanted = len(data) - match.end(), facts.width * facts.height * channels
    if found != wanted:
        raise ImageError(f"a {facts.kind} with {found} bytes of pixels; {wanted} belong to it")
    return facts, channels, match.end()


def _jpeg(data: bytes) -> ImageFacts:
    place, facts = 2, None
    while place + 4 <= len(data) and facts is None:
        if data[place] != 0xFF:
            raise ImageError(f"a JPEG with no marker at byte {place}")
        marker = data[place + 1]
        if marker == 0xFF or marker in range(0xD0, 0xD8):  # filling, or a marker that stands alone
            place += 1 if marker == 0xFF else 2
            continue
        (size,) = struct.unpack_from(">H", data, place + 2)
        if marker in SIZES_OF_JPEG and place + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, place + 5)
            facts = ImageFacts("JPEG", width, height)
        place += 2 + max(size, 2)
    if facts is None:
        raise ImageError("a JPEG that is cut off before its size")
    if data.rfind(b"\xff\xd9") < place:
        raise ImageError("a JPEG that is cut off: it has no end")
    return facts


def _webp(data: bytes) -> ImageFacts:
    (size,) = struct.unpack_from("<I", data, 4)
    if size + 8 > len(data) or len(data) < 30:
        raise ImageError(f"a WebP of {len(data)} bytes that is cut off; it says that it has {size + 8}")
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", data, 26))
    else:
        raise ImageError(f"a WebP that begins with {kind!r}")
    return ImageFacts("WebP", width, height)
