"""Small image files for the tests, written by hand."""

import json
import struct
import zlib

import numpy as np

PNG = b"\x89PNG\r\n\x1a\n"
COLOURS = {1: 0, 3: 2, 2: 4, 4: 6}


def picture(seed, height=9, width=7, channels=3):
    return np.random.RandomState(seed).randint(0, 256, (height, width, channels), np.uint8)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width, height, colour, depth=8, interlace=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def filtered(pixels, filters):
    """The lines of a PNG with these filters, by the words of its specification."""
    height, width, step = pixels.shape
    lines = pixels.reshape(height, width * step).astype(int)
    out = b""
    for row in range(height):
        line, above = lines[row], lines[row - 1] if row else np.zeros(width * step, int)
        values = []
        for place, value in enumerate(line):
            left = line[place - step] if place >= step else 0
            up, corner = above[place], above[place - step] if place >= step else 0
            estimate = left + up - corner
            near = min((left, up, corner), key=lambda each, estimate=estimate: abs(estimate - each))
            guess = [0, left, up, (left + up) // 2, near][filters[row]]
            values.append((value - guess) % 256)
        out += bytes([filters[row], *values])
    return out


def png(pixels, filters=None, palette=None):
    height, width, channels = pixels.shape
    lines = filtered(pixels, [0] * height if filters is None else filters)
    colour = COLOURS[channels] if palette is None else 3
    extra = b"" if palette is None else chunk(b"PLTE", bytes(palette))
    return PNG + header(width, height, colour) + extra + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def ppm(pixels):
    height, width, channels = pixels.shape
    return b"P%d\n# made\n%d %d\n255\n" % (6 if channels == 3 else 5, width, height) + pixels.tobytes()


def jpeg(width=5, height=4):
    """What examining looks at of a JPEG; no decoder could read it."""
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes(9)
    return b"\xff\xd8\xff\xe0\x00\x04ab" + b"\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + b"\xff\xd9"


def webp(width=6, height=5):
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + (width - 1).to_bytes(3, "little")
    body += (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body)) + body


def write_pairs(folder, count, caption="hello world the token", sizes=((9, 7),), kinds=(png, ppm)):
    """captions.jsonl and its images in img/; returns its path, the captions, and the pictures."""
    (folder / "img").mkdir(exist_ok=True)
    captions, pictures = [], []
    with open(folder / "captions.jsonl", "w") as lines:
        for number in range(count):
            pictures.append(picture(number, *sizes[number // len(kinds) % len(sizes)]))
            name = f"img/{number}.{'png' if kinds[number % len(kinds)] is png else 'ppm'}"
            (folder / name).write_bytes(kinds[number % len(kinds)](pictures[-1]))
            captions.append(" ".join([*caption.split()[: 1 + number % 4], "of"][: 1 + number % 5]))
            lines.write(json.dumps({"id": number, "caption": captions[-1], "image": name}) + "\n")
    return str(folder / "captions.jsonl"), captions, pictures
