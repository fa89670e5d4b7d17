"""Masking schemes: one module each, found by name, each sample a pure function of (row, settings, seed, epoch, index).

rows (maskgen.rows), a vocabulary, the name of a scheme --> SchemeSamples --> samples[i] | samples.batch(indices)
"""

from maskgen.schemes.bart import Bart
from maskgen.schemes.base import Scheme
from maskgen.schemes.electra import Electra
from maskgen.schemes.masked_diffusion import MaskedDiffusion
from maskgen.schemes.modernbert import ModernBert
from maskgen.schemes.next_sentence import NextSentenceSamples
from maskgen.schemes.pmi import Pmi
from maskgen.schemes.roberta import Roberta
from maskgen.schemes.samples import SchemeSamples
from maskgen.schemes.span_corruption import SpanCorruption
from maskgen.schemes.spanbert import SpanBert
from maskgen.schemes.ul2 import Ul2

SCHEMES: dict[str, type[Scheme]] = {
    scheme.name: scheme
    for scheme in (
        Roberta,
        Electra,
        ModernBert,
        MaskedDiffusion,
        SpanBert,
        Pmi,
        SpanCorruption,
        Ul2,
        Bart,
    )
}

__all__ = ["SCHEMES", "NextSentenceSamples", "Scheme", "SchemeSamples"]
