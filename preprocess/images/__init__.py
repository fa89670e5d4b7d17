"""Image files as bytes: what they say of themselves, whether they are whole, and pixels where no library is needed.

bytes --examine--> ImageFacts (kind, width, height), or an ImageError    PNG, JPEG, WebP, PPM and PGM
      --decode--> uint8 [height, width, 3]                               8-bit PNG, PPM and PGM; others through Pillow
"""

from preprocess.images.decode import decode
from preprocess.images.examine import ImageError, ImageFacts, examine

__all__ = ["ImageError", "ImageFacts", "decode", "examine"]
