"""What can go wrong between samples and batches."""

from preprocess.errors import MaskgenError


class BatchError(MaskgenError, ValueError):
    """Settings of batches that contradict each other, or a saved state of other data or settings."""
