"""Fingerprints: what proves that two jobs see the same data, stage by stage, in a file of a few kilobytes.

samples --stages--> tokens, vocabulary, settings, rows, samples, batches --digest--> JSON --check--> first difference
"""

from maskgen.fingerprint.file import Comparison, FingerprintError, check, fingerprint, read_fingerprint, to_json
from maskgen.fingerprint.request import Request
from maskgen.fingerprint.stages import STAGES, Manner

__all__ = [
    "STAGES",
    "Comparison",
    "FingerprintError",
    "Manner",
    "Request",
    "check",
    "fingerprint",
    "read_fingerprint",
    "to_json",
]
