"""Captions with images: batches of datasets that ``maskgen tokenize --images`` or Megatron-LM's tool has made.

PREFIX.bin/.idx with modes --> PairSamples --> text, padding_mask, images (uint8 [B, 3, S, S])
"""

from maskgen.pairs.samples import PairSamples

__all__ = ["PairSamples"]
