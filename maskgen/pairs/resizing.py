"""From a picture of any size to a square one, in whole numbers: the same bits on every machine.

pixels [h, w, 3] --a square of it--> box filter: each new pixel is the rounded mean of those that it covers
"""

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def crop_and_resize(pixels: Pixels, size: int, side: int, top: int, left: int) -> Pixels:
    """The square of `side` pixels at (top, left) as one of `size` pixels, uint8 [size, size, channels].

    New pixel i covers the old ones from ``floor(i * side / size)`` to ``ceil((i + 1) * side / size)``.
    """
    square = pixels[top : top + side, left : left + side]
    if side == size:
        return square
    places = np.arange(size)
    begins, ends = places * side // size, -(-(places + 1) * side // size)
    sums = _sums(_sums(square.astype(np.int64), begins, ends, 0), begins, ends, 1)
    covered = (ends - begins)[:, None] * (ends - begins)[None, :]
    means: Pixels = ((sums + covered[:, :, None] // 2) // covered[:, :, None]).astype(np.uint8)
    return means


def _sums(
    values: npt.NDArray[np.int64], begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], axis: int
) -> npt.NDArray[np.int64]:
    """Sums over ranges along an axis."""
    up_to = np.insert(np.cumsum(values, axis=axis), 0, 0, axis=axis)
    sums: npt.NDArray[np.int64] = up_to.take(ends, axis=axis) - up_to.take(begins, axis=axis)
    return sums
