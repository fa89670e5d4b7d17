"""What can go wrong between a dataset, a sample mapping and a masked sample."""

from preprocess.errors import MaskgenError


class SampleError(MaskgenError, ValueError):
    """Settings that contradict each other, a mapping that does not fit its dataset, or a sample that does not fit."""
