"""Lengths of what is masked together: as drawn, as their distribution has them, and as they were kept.

bert, t5         n-grams of words; one length is drawn a word that is gone through; what does not fit is cut or left
spanbert         runs of words; cut where the share is reached or a special id comes, and runs that touch are one
span-corruption  spans of tokens; none is drawn: the noise is cut into spans, every way to cut it alike
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import lgamma

import numpy as np

from maskgen.masking.reference import CONTINUATION
from maskgen.masking.settings import MaskingSettings
from maskgen.report.looking import NGRAMS, Look, Seen
from maskgen.report.mixture import Mixture, Pick
from maskgen.report.restored import PREDICTED, TAKEN, restore
from maskgen.samples.base import Samples
from maskgen.schemes.draws import Draws
from maskgen.schemes.samples import SchemeSamples
from maskgen.schemes.span_corruption import SpanCorruption
from maskgen.schemes.spanbert import SpanBert
from maskgen.schemes.spans import count_of_spans
from maskgen.vocab import Table


@dataclass
class NgramFacts:
    """Lengths in `unit`, each with its count; `expected` are probabilities, or expected shares."""

    unit: str
    seen: Seen
    expected: dict[int, float]
    drawn: Counter[int] = field(default_factory=Counter)
    kept: Counter[int] = field(default_factory=Counter)


def ngram_facts(mixture: Mixture, look: Look) -> NgramFacts | None:
    """Look at some samples; None for schemes without lengths to look at."""
    picks = mixture.picks(look, look.ngrams, NGRAMS)
    first, seen = mixture.samples[0], mixture.seen(picks)
    if isinstance(first, Samples):
        facts = NgramFacts("words", seen, _of_settings(first.masking))
        for pick in picks:
            _note_megatron(facts, mixture.samples[pick.dataset], pick)
        return facts
    if isinstance(first.scheme, SpanBert):
        shares = np.diff([0.0, *first.scheme.cumulative, 1.0]).tolist()
        facts = NgramFacts("words", seen, dict(enumerate(shares, 1)))
        for pick in picks:
            _note_spanbert(facts, mixture.samples[pick.dataset], pick)
        return facts
    if isinstance(first.scheme, SpanCorruption):
        return _span_corruption(mixture, picks, seen, first.scheme)
    return None


def _of_settings(settings: MaskingSettings) -> dict[int, float]:
    """The distribution that Megatron-LM's options name."""
    most = settings.max_ngrams
    if settings.geometric_dist:  # what is longer counts as the longest
        shares = [CONTINUATION * (1 - CONTINUATION) ** (length - 1) for length in range(1, most)]
        shares.append(1 - sum(shares))
    else:
        shares = np.diff([0.0, *settings.cumulative]).tolist()
    return dict(enumerate(shares, 1))


def _note_megatron(facts: NgramFacts, samples: object, pick: Pick) -> None:
    if not isinstance(samples, Samples):
        return
    notes = samples.notes(pick.index, epoch=pick.epoch)
    facts.drawn.update(notes.drawn)
    if notes.predictions is None:
        return
    whole = samples.masking.do_whole_word_mask
    for places, _ in notes.predictions.spans:
        starts = [notes.predictions.boundaries[place] for place in places[1:]]
        facts.kept[1 + (sum(starts) if whole else len(starts))] += 1


def _note_spanbert(facts: NgramFacts, samples: object, pick: Pick) -> None:
    if not isinstance(samples, SchemeSamples) or not isinstance(samples.scheme, SpanBert):
        return
    batch = samples.batch([pick.index], epoch=pick.epoch)
    restored = restore("spanbert", batch, samples.vocab)
    if restored is None:
        return
    drawn: list[int] = []
    draws = Draws(samples.seed, pick.epoch, np.array([pick.index]))
    samples.scheme.choose(restored.tokens, batch["lengths"], draws, samples.scheme.rate, drawn)
    facts.drawn.update(drawn)
    starts = samples.vocab.word_starts[restored.tokens[0]]
    for begin, end in _runs(np.isin(restored.treatment[0], PREDICTED)):
        facts.kept[1 + int(starts[begin + 1 : end].sum())] += 1


def _runs(marked: Table) -> Sequence[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], marked.astype(np.int8), [0])))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _span_corruption(mixture: Mixture, picks: Sequence[Pick], seen: Seen, scheme: SpanCorruption) -> NgramFacts:
    facts = NgramFacts("tokens", seen, {})
    expected: dict[int, float] = {}
    spans_in_all = 0
    for _, _, batch in mixture.batches(picks, 1):
        restored = restore(scheme.name, batch, mixture.samples[0].vocab)
        if restored is None:
            continue
        ordinary = scheme.ordinary[restored.tokens] & (restored.treatment > 0)
        noises, spans = count_of_spans(ordinary.sum(axis=1), scheme.rate, scheme.mean_length)
        for (noise, count), times in Counter(zip(noises.tolist(), spans.tolist(), strict=True)).items():
            spans_in_all += count * times
            for length, share in _cut_at_random(noise, count).items():
                expected[length] = expected.get(length, 0.0) + share * count * times
        for row in range(len(restored.tokens)):
            facts.kept.update(end - begin for begin, end in _runs(restored.treatment[row] == TAKEN))
    facts.expected = {length: share / spans_in_all for length, share in sorted(expected.items())}
    return facts


def _cut_at_random(total: int, parts: int) -> dict[int, float]:
    """The share of parts of each length, where `total` is cut into `parts` of at least 1, every way alike."""
    if parts <= 1:
        return {total: 1.0} if parts else {}
    ways = _log_choose(total - 1, parts - 1)
    return {
        length: float(np.exp(_log_choose(total - length - 1, parts - 2) - ways))
        for length in range(1, total - parts + 2)
    }


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
