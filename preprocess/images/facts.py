"""What is known of an image file, and the error where it is none."""

from dataclasses import dataclass

MOST_PIXELS = 1 << 26  # of an image; what claims to have more is taken for a decompression bomb


class ImageError(ValueError):
    """Bytes that are no image that can be read: what was found. Where they are is known to the caller."""


@dataclass(frozen=True)
class ImageFacts:
    """The header of an image."""

    kind: str
    width: int
    height: int

    def __post_init__(self) -> None:
        if not 0 < self.width * self.height <= MOST_PIXELS or self.width < 1:
            raise ImageError(f"a {self.kind} of {self.width} x {self.height} pixels; 1 to {MOST_PIXELS} are read")
