"""Collators for masked diffusion: sequences to padded batches, each hidden to a share of its own. Without PyTorch.

texts | dataset --Examples--> ids with index, epoch, length of the prefix --a collator--> input_ids, target_ids, ...

What is hidden of an example is a function of (seed, epoch, index), never of its batch: see maskgen/schemes/draws.py.
"""

from maskgen.collators.base import Collator, DiffusionBatch, PredictionBatch
from maskgen.collators.examples import DocumentExamples, Example, TextExamples
from maskgen.collators.plain import DefaultCollator, InfillingCollator, PackedCollator
from maskgen.collators.prefixes import Seq2SeqCollator, Seq2SeqPredCollator, Seq2SeqTrainCollator

__all__ = [
    "Collator",
    "DefaultCollator",
    "DiffusionBatch",
    "DocumentExamples",
    "Example",
    "InfillingCollator",
    "PackedCollator",
    "PredictionBatch",
    "Seq2SeqCollator",
    "Seq2SeqPredCollator",
    "Seq2SeqTrainCollator",
    "TextExamples",
]
