"""Batches for training: an order of all samples that any number of ranks shares, blends, ramps, and a small state."""

from maskgen.batches.blend import Blend
from maskgen.batches.errors import BatchError
from maskgen.batches.order import Draws
from maskgen.batches.sizes import BatchSizes, linear_ramp
from maskgen.batches.source import BatchSource

__all__ = ["BatchError", "BatchSizes", "BatchSource", "Blend", "Draws", "linear_ramp"]
