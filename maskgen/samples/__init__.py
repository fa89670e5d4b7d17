"""Masked training samples: one at a time, or whole batches, each a pure function of data, settings, seed and index.

dataset, sample mapping, vocabulary --> BertSamples | T5Samples --> samples[i] | samples.batch(indices) --> to_hf
"""

from maskgen.samples.bert import BertSamples
from maskgen.samples.errors import SampleError
from maskgen.samples.hugging_face import to_hf
from maskgen.samples.row_masker import RowMasker
from maskgen.samples.t5 import T5Samples

__all__ = ["BertSamples", "RowMasker", "SampleError", "T5Samples", "to_hf"]
