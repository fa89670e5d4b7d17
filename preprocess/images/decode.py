"""From the bytes of an image file to pixels: what needs no library here, everything else through Pillow.

The ways do not overlap, so that the pixels of a file do not depend on what is installed: 8-bit PNG, PPM and PGM are
always decoded here, other files always by Pillow.
"""

import io
import warnings

import numpy as np
import numpy.typing as npt

from preprocess.images import png
from preprocess.images.examine import examine, netpbm
from preprocess.images.facts import MOST_PIXELS, ImageError

Pixels = npt.NDArray[np.uint8]


def decode(data: bytes) -> Pixels:
    """Red, green and blue, uint8 [height, width, 3]; an ImageError where that cannot be."""
    if data.startswith(png.SIGNATURE):
        parsed = png.parse(data)
        return png.pixels(parsed) if parsed.is_simple else _by_pillow(data, "a PNG of other than 8 bits, or interlaced")
    if data[:2] in (b"P5", b"P6"):
        facts, channels, start = netpbm(data)
        values = np.frombuffer(data, np.uint8, offset=start).reshape(facts.height, facts.width, channels)
        return np.repeat(values, 3, axis=2) if channels == 1 else values
    return _by_pillow(data, f"a {examine(data).kind}")


def _by_pillow(data: bytes, what: str) -> Pixels:
    try:
        from PIL import Image
    except ImportError:
        raise ImageError(
            f"{what}, for which Pillow is needed (pip install pillow); without it 8-bit PNG, PPM and PGM are decoded"
        ) from None
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data)) as image:
            warnings.simplefilter("ignore")  # the size is checked here
            if image.width * image.height > MOST_PIXELS:
                raise ImageError(f"{what} of {image.width} x {image.height} pixels; at most {MOST_PIXELS} are read")
            return np.array(image.convert("RGB"), np.uint8)
    except ImageError:
        raise
    except Exception as error:  # whatever a decoder raises over hostile bytes
        raise ImageError(f"{what} that cannot be decoded ({error})") from None
