"""PNG by hand: chunks and their checksums, the inflated size, and pixels of 8-bit images.

bytes --chunks, CRCs--> header, palette, data --inflate, no further than the header says--> lines --unfilter--> pixels
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from preprocess.images.facts import ImageError, ImageFacts

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
FILTERS = 5
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Png:
    """A file whose checksums are right."""

    facts: ImageFacts
    depth: int
    colour: int
    interlaced: bool
    palette: bytes
    data: bytes  # deflated

    @property
    def is_simple(self) -> bool:
        """Whether `pixels` can decode it."""
        return self.depth == 8 and not self.interlaced

    def lines(self) -> bytes:
        """Inflated: a filter's number and the bytes of a line, line after line; never more than these can be."""
        width, height = self.facts.width, self.facts.height
        line = 1 + -(-width * CHANNELS[self.colour] * self.depth // 8)
        most = height * line if not self.interlaced else 2 * height * line + 8 * (width + height)
        inflating = zlib.decompressobj()
        try:
            found = inflating.decompress(self.data, most + 1)
        except zlib.error as error:
            raise ImageError(f"a PNG whose data is damaged ({error})") from None
        if len(found) > most or (not self.interlaced and len(found) != most) or not inflating.eof:
            raise ImageError(f"a PNG with {len(found)} bytes of lines; {most} belong to {width} x {height} pixels")
        if not self.interlaced and (number := max(found[::line])) >= FILTERS:
            raise ImageError(f"a PNG with a filter {number}; 0 to {FILTERS - 1} are known")
        return found


def parse(data: bytes) -> Png:
    """Check the chunks of a file, and take it apart."""
    place, header, palette, parts, ended = len(SIGNATURE), b"", b"", [], False
    while place < len(data) and not ended:
        if place + 12 > len(data):
            raise ImageError("a PNG that is cut off")
        size, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + size
        if end > len(data):
            raise ImageError(f"a PNG that is cut off in {kind!r}")
        body = data[place + 8 : end - 4]
        if zlib.crc32(body, zlib.crc32(kind)) != struct.unpack_from(">I", data, end - 4)[0]:
            raise ImageError(f"a PNG with a wrong checksum of {kind!r}")
        if kind == b"IHDR":
            header = header or body
        elif kind == b"PLTE":
            palette = body
        elif kind == b"IDAT":
            parts.append(body)
        ended, place = kind == b"IEND", end
    if len(header) != 13 or not parts or not ended:
        raise ImageError("a PNG without header, data or end")
    width, height, depth, colour, *methods = struct.unpack(">IIBBBBB", header)
    if colour not in CHANNELS or depth not in DEPTHS[colour]:
        raise ImageError(f"a PNG of colour type {colour} and depth {depth}; there are no such")
    if methods not in ([0, 0, 0], [0, 0, 1]):
        raise ImageError(f"a PNG with the methods {methods} of compression, filters and lines; there are no such")
    if colour == 3 and (not palette or len(palette) % 3):
        raise ImageError(f"a PNG with a palette of {len(palette)} bytes; 3 a colour belong there")
    return Png(ImageFacts("PNG", width, height), depth, colour, bool(methods[2]), palette, b"".join(parts))


def pixels(png: Png) -> Pixels:
    """Red, green and blue of every pixel; transparency is dropped."""
    channels = CHANNELS[png.colour]
    lines = np.frombuffer(png.lines(), np.uint8).reshape(png.facts.height, -1)
    values = unfilter(lines[:, 0], lines[:, 1:], channels).reshape(png.facts.height, png.facts.width, channels)
    if png.colour == 3:
        palette = np.frombuffer(png.palette, np.uint8).reshape(-1, 3)
        if int(values.max(initial=0)) >= len(palette):
            raise ImageError(f"a PNG with the colour {values.max()} of a palette of {len(palette)}")
        return palette[values[:, :, 0]]
    return np.repeat(values[:, :, :1], 3, axis=2) if channels < 3 else np.ascontiguousarray(values[:, :, :3])


def unfilter(filters: Pixels, lines: Pixels, step: int) -> Pixels:
    """The bytes that the filters of lines stand for; `step` is the bytes of a pixel."""
    out = np.zeros((len(lines) + 1, lines.shape[1]), np.uint8)  # the line above the first is zeros
    for row, (number, line) in enumerate(zip(filters.tolist(), lines, strict=True), 1):
        above = out[row - 1]
        if number == 0:
            out[row] = line
        elif number == 1:  # differences to the pixel before: sums, modulo 256
            out[row] = np.cumsum(line.reshape(-1, step), axis=0, dtype=np.uint8).reshape(-1)
        elif number == 2:
            out[row] = line + above
        else:
            out[row] = _one_by_one(number, line.tolist(), above.tolist(), step)
    return out[1:]


def _one_by_one(number: int, line: list[int], above: list[int], step: int) -> list[int]:
    """Filters whose bytes depend on the one before in more than a sum."""
    out = [0] * step + line  # a pixel of zeros before the first
    corner = [0] * step + above
    for place, value in enumerate(line):
        before, up = out[place], above[place]
        if number == 3:
            guess = (before + up) >> 1
        else:
            diagonal = corner[place]
            left, top = abs(up - diagonal), abs(before - diagonal)
            both = abs(before + up - 2 * diagonal)
            guess = before if left <= top and left <= both else up if top <= both else diagonal
        out[place + step] = (value + guess) & 255
    return out[step:]
