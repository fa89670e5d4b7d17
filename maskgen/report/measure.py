"""Everything that a report measures, in one go, before anything is drawn.

Request --open--> datasets, samples --count--> Measured
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from maskgen.fingerprint import Manner, fingerprint
from maskgen.history import History
from maskgen.report.documents import DatasetFacts, dataset_facts
from maskgen.report.looking import SAMPLES, SHOWN
from maskgen.report.masks import MaskFacts, mask_facts
from maskgen.report.mixture import Mixture, Pick
from maskgen.report.ngrams import NgramFacts, ngram_facts
from maskgen.report.request import Request
from maskgen.report.tokens import TokenFacts, Vocabulary, load_vocabulary, runs_to_look_at, token_facts
from maskgen.samples.errors import SampleError
from maskgen.vocab import Vocab
from preprocess import IndexedDataset


@dataclass(frozen=True)
class SampleFacts:
    """What is measured of samples."""

    mixture: Mixture
    vocab: Vocab
    scheme: str
    masks: MaskFacts
    ngrams: NgramFacts | None
    shown: Sequence[Pick]
    fingerprints: Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Measured:
    """What there is to draw."""

    request: Request
    datasets: Sequence[DatasetFacts]
    tokens: TokenFacts  # of all datasets together
    tokens_of_each: Sequence[TokenFacts]
    vocabulary: Vocabulary | None
    vocabulary_size: int | None  # from the tokenizer, or from a sidecar
    samples: SampleFacts | None
    history: History | None  # of what a model wrote


def measure(request: Request) -> Measured:
    """Look at everything that was asked for."""
    # Read first, as a wrong name should cost no time.
    history = None if request.history is None else History.load(request.history)
    opened = [IndexedDataset(each.prefix) for each in request.datasets]
    facts = [dataset_facts(dataset, request.look) for dataset in opened]
    vocabulary = None if request.tokenizer is None else load_vocabulary(request.tokenizer, request.roles)
    size = None if vocabulary is None else len(vocabulary.pieces)
    if size is None:
        known = [each.sidecar.tokenizer.vocabulary_size for each in facts if each.sidecar and each.sidecar.tokenizer]
        size = max(known) if len(known) == len(facts) else None
    runs = runs_to_look_at([each.tokens for each in facts], request.look)
    tokens = [token_facts(dataset, chosen, size) for dataset, chosen in zip(opened, runs, strict=True)]
    return Measured(
        request=request,
        datasets=facts,
        tokens=reduce(TokenFacts.merged, tokens),
        tokens_of_each=tokens,
        vocabulary=vocabulary,
        vocabulary_size=size,
        samples=None if request.choice is None else _measure_samples(request),
        history=history,
    )


def _measure_samples(request: Request) -> SampleFacts | None:
    if request.choice is None:
        return None
    choices = [request.choice(each.prefix) for each in request.datasets]
    samples = [choice.open() for choice in choices]
    weights = [each.weight for each in request.datasets if each.weight is not None]
    mixture = Mixture(samples, weights or None, request.draws)
    look, scheme, first = request.look, choices[0].scheme, samples[0]
    width = next((field.width for field in first.fields if field.name in ("text", "text_enc")), None)
    if width is None:
        raise SampleError(f"--scheme {scheme} in a report; expected one that masks tokens; leave the samples out")
    picks = mixture.picks(look, look.samples, SAMPLES)
    batches = mixture.batches(picks, request.threads)
    return SampleFacts(
        mixture=mixture,
        vocab=first.vocab,
        scheme=scheme,
        masks=mask_facts(scheme, mixture.seen(picks), width, first.vocab, batches),
        ngrams=ngram_facts(mixture, look),
        shown=mixture.picks(look, look.shown, SHOWN) if look.shown else [],
        fingerprints=[fingerprint(each, manner=Manner(threads=request.threads)) for each in samples],
    )
