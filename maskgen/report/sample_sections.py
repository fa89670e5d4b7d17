"""Sections on samples: how full they are, what is masked where, lengths of n-grams, the blend, some samples."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from maskgen.report import drawing
from maskgen.report.coloured import ColouredView
from maskgen.report.drawing import Axis, Series, Words
from maskgen.report.figures import Section, figure, note
from maskgen.report.markup import Row, Share, facts, table
from maskgen.report.masks import MaskFacts, entries, ordinary_by_rank, rates_by_place
from maskgen.report.measure import Measured, SampleFacts
from maskgen.report.restored import KEPT, MASKED, MOVED, PREDICTED, REPLACED, TAKEN, WORDS
from maskgen.report.tokens import ranks_to_show
from maskgen.sample_view import Decode
from maskgen.vocab import Ids

BINS, PLACES = 20, 64
MOST_TOKENS = 30
COLOURS = {MASKED: 1, REPLACED: 2, KEPT: 3, TAKEN: 1}


def fill_section(found: SampleFacts) -> Section:
    """How full samples are, and how many are truncated."""
    masks = found.masks
    looked = f"Looked at {masks.seen.words('samples')}."
    count = max(masks.samples, 1)
    pairs: list[tuple[str, object]] = [
        ("samples looked at", masks.samples),
        ("mean fill", Share(masks.in_use / (count * masks.width))),
        ("full samples", Share(int(masks.lengths[-1]) / count)),
    ]
    if masks.truncated is not None:
        pairs.append(("truncated samples", masks.truncated))
        pairs.append(("truncated share", Share(masks.truncated / count)))
    if masks.is_random is not None:
        pairs.append(("share with is_random 1", Share(masks.is_random / count)))
    drawn = _filled("fill", "Fill of samples", masks.lengths, looked)
    if masks.decoder is not None:
        drawn += _filled("fill-decoder", "Fill of decoders", masks.decoder, looked)
    return Section("fill", "Fill of samples", f'{facts(pairs)}\n<div class="figures">{drawn}</div>')


def _filled(name: str, title: str, lengths: Ids, looked: str) -> str:
    width, total = len(lengths) - 1, max(int(lengths.sum()), 1)
    edges = sorted({1 + number * width // BINS for number in range(BINS + 1)})
    sums = np.concatenate(([0], np.cumsum(lengths)))
    counts = [int(sums[high] - sums[low]) for low, high in pairwise(edges)]
    mean = float((lengths * np.arange(width + 1)).sum()) / (total * width)
    words = f"{mean:.1%} of the {width:,} entries are in use, on average."
    drawn = drawing.histogram(
        Words(f"{name}-chart", title, f"Bars over entries in use. {words}"),
        edges,
        [count / total for count in counts],
        Axis(f"entries in use, of {width:,}"),
        Axis("share of samples", share=True),
    )
    rows = [
        (low, high - 1, count, Share(count / total)) for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]
    return figure(
        f"{name}-figure",
        title,
        drawn,
        f"{words} {looked}",
        table(("from", "to", "samples", "share"), rows, name, title),
    )


def masks_section(found: SampleFacts) -> Section:
    """Rates of prediction, by place and by token."""
    masks = found.masks
    if masks.by_place is None:
        words = f"The scheme {found.scheme} moves tokens, so there are no rates by place or token."
        return Section("masks", "Masks", note(words))
    kinds = [kind for kind in PREDICTED if masks.total(kind)] or [MASKED]
    everything, predicted = max(entries(masks), 1), masks.total(*PREDICTED)
    pairs: list[tuple[str, object]] = [
        ("tokens looked at", entries(masks)),
        ("to predict", predicted),
        ("share to predict", Share(predicted / everything)),
    ]
    pairs += [(f"{WORDS[kind]}, of those to predict", Share(masks.total(kind) / max(predicted, 1))) for kind in kinds]
    words = "Shares are of all entries that are no padding, special tokens among them."
    if KEPT in kinds or REPLACED in kinds:
        words += " A random replacement that happens to be the token itself counts as kept."
    drawn = _by_place(masks, kinds) + _by_rank(masks, kinds) + _by_token(found, kinds)
    return Section("masks", "Masks", f'{facts(pairs)}\n{note(words)}\n<div class="figures">{drawn}</div>')


def _by_place(masks: MaskFacts, kinds: Sequence[int]) -> str:
    bins = rates_by_place(masks, PLACES)
    middles = [(first + last - 1) / 2 for first, last, _ in bins]
    totals = [int(counts[1:].sum()) for _, _, counts in bins]
    series = [
        Series(
            WORDS[kind],
            [int(counts[kind]) / total if total else None for (_, _, counts), total in zip(bins, totals, strict=True)],
            COLOURS[kind],
        )
        for kind in kinds
    ]
    rows: list[Row] = []
    for (first, last, counts), total in zip(bins, totals, strict=True):
        shares = [Share(int(counts[kind]) / max(total, 1)) for kind in kinds]
        rows.append((first, last - 1, total, *(int(counts[kind]) for kind in kinds), *shares))
    names = [WORDS[kind] for kind in kinds]
    title = "What is predicted, by place in the sample"
    words = f"Places of {masks.samples:,} samples, counted from 0" + (
        f", in bins of {bins[0][1] - bins[0][0]}." if bins and bins[0][1] > 1 else "."
    )
    drawn = drawing.lines(
        Words("places-chart", title, f"A line each for {', '.join(names)}. {words}"),
        middles,
        series,
        Axis("place in the sample"),
        Axis("share of tokens there", share=True),
    )
    header = ("from", "to", "tokens", *names, *(f"{name}, share" for name in names))
    return figure("places-figure", title, drawn, words, table(header, rows, "places", title))


def _by_rank(masks: MaskFacts, kinds: Sequence[int]) -> str:
    order, counts = ordinary_by_rank(masks)
    if masks.by_token is None or len(order) < 2:
        return ""
    edges = [1, *(rank + 1 for rank in ranks_to_show(len(order))[3::4])]
    if edges[-1] <= len(order):
        edges.append(len(order) + 1)
    rows: list[Row] = []
    shares: dict[int, list[float | None]] = {kind: [] for kind in kinds}
    for low, high in pairwise(edges):
        ids, seen = order[low - 1 : high - 1], int(counts[low - 1 : high - 1].sum())
        found = [int(masks.by_token[kind, ids].sum()) for kind in kinds]
        for kind, count in zip(kinds, found, strict=True):
            shares[kind].append(count / seen)
        rows.append((low, high - 1, seen, *found, *(Share(count / seen) for count in found)))
    names = [WORDS[kind] for kind in kinds]
    title = "What is predicted, by frequency of the token"
    words = f"The {len(order):,} ordinary ids of these samples, the most frequent first."
    middles = [(low * (high - 1)) ** 0.5 for low, high in pairwise(edges)]
    drawn = drawing.lines(
        Words("token-ranks-chart", title, f"A line each for {', '.join(names)}. {words}"),
        middles if len(middles) > 1 else [*middles, middles[0] + 1],
        [
            Series(WORDS[kind], shares[kind] if len(middles) > 1 else [*shares[kind], None], COLOURS[kind])
            for kind in kinds
        ],
        Axis("rank of the id (log scale)", log=True),
        Axis("share of its occurrences", share=True),
    )
    header = ("from rank", "to rank", "tokens", *names, *(f"{name}, share" for name in names))
    return figure("token-ranks-figure", title, drawn, words, table(header, rows, "token-ranks", title))


def _by_token(found: SampleFacts, kinds: Sequence[int]) -> str:
    order, counts = ordinary_by_rank(found.masks)
    if found.masks.by_token is None:
        return ""
    rows: list[Row] = []
    for id_, seen in zip(order[:MOST_TOKENS].tolist(), counts[:MOST_TOKENS].tolist(), strict=True):
        own = [int(found.masks.by_token[kind, id_]) for kind in kinds]
        rows.append((found.vocab.pieces[id_], str(id_), seen, Share(sum(own) / seen), *own))
    title = f"The {len(rows)} most frequent tokens of the samples"
    header = ("piece", "id", "tokens", "predicted", *(WORDS[kind] for kind in kinds))
    return f"<figure><figcaption>{title}</figcaption>{table(header, rows, 'token-rates', title)}</figure>"


def ngrams_section(found: SampleFacts) -> Section:
    """Lengths of what is masked together."""
    ngrams, runs = found.ngrams, found.masks.runs
    parts = []
    if ngrams is not None:
        lengths = sorted(set(ngrams.expected) | set(ngrams.drawn) | set(ngrams.kept))[:24]
        drawn, kept = sum(ngrams.drawn.values()), sum(ngrams.kept.values())
        series = [Series("distribution", [ngrams.expected.get(length, 0.0) for length in lengths], 4)]
        if drawn:
            series.append(Series("drawn", [ngrams.drawn[length] / drawn for length in lengths], 1))
        series.append(Series("kept", [ngrams.kept[length] / max(kept, 1) for length in lengths], 2))
        rows = [
            (
                length,
                Share(ngrams.expected.get(length, 0.0)),
                ngrams.drawn[length],
                Share(ngrams.drawn[length] / max(drawn, 1)),
                ngrams.kept[length],
                Share(ngrams.kept[length] / max(kept, 1)),
            )
            for length in lengths
        ]
        title = f"Lengths of n-grams, in {ngrams.unit}"
        words = f"Looked at {ngrams.seen.words('samples')}: " + (
            f"{drawn:,} lengths drawn, {kept:,} kept. One that does not fit into what is left to mask is cut or left "
            "out, so fewer long ones are kept than drawn."
            if drawn
            else f"{kept:,} spans. None is drawn: the masked tokens are cut into spans, every way to cut them alike."
        )
        chart = drawing.groups(
            Words("ngrams-chart", title, f"Groups of bars, one a length. {words}"),
            [str(length) for length in lengths],
            series,
            Axis(f"length in {ngrams.unit}"),
            Axis("share", share=True),
        )
        header = (f"{ngrams.unit}", "distribution", "drawn", "drawn, share", "kept", "kept, share")
        parts.append(figure("ngrams-figure", title, chart, words, table(header, rows, "ngrams", title)))
    if runs:
        parts.append(_runs(runs))
    return Section("ngrams", "Lengths of what is masked together", f'<div class="figures">{"".join(parts)}</div>')


def _runs(runs: Mapping[int, int]) -> str:
    total, shown = sum(runs.values()), sorted(runs)[:20]
    title = "Runs of neighbouring predicted tokens"
    words = (
        f"{total:,} runs in all samples that were looked at, {sum(n * c for n, c in runs.items()) / total:.2f} tokens "
    )
    words += f"long on average, {max(runs):,} at most."
    chart = drawing.groups(
        Words("runs-chart", title, words),
        [str(length) for length in shown],
        [Series("share", [runs[length] / total for length in shown])],
        Axis("length in tokens"),
        Axis("share of runs", share=True),
    )
    rows = [(length, count, Share(count / total)) for length, count in sorted(runs.items())[:200]]
    return figure("runs-figure", title, chart, words, table(("tokens", "runs", "share"), rows, "runs", title))


def blend_section(measured: Measured, found: SampleFacts) -> Section:
    """Weights of the datasets, and what they come to."""
    shares = found.mixture.shares()
    names = [each.prefix for each in measured.datasets]
    title = "Blend: target and achieved"
    words = f"Of the first {len(found.mixture.blend):,} draws of the blend. "
    words += "A dataset that is seen more than once starts its next epoch, with other masks."
    chart = drawing.groups(
        Words("blend-chart", title, f"Two bars for each dataset. {words}"),
        [str(number) for number in range(1, len(names) + 1)],
        [Series("target", [each.target for each in shares], 4), Series("achieved", [each.achieved for each in shares])],
        Axis("dataset, as numbered below"),
        Axis("share of samples", share=True),
    )
    rows = [
        (number, name, Share(each.target), each.drawn, Share(each.achieved), each.samples, each.epochs)
        for number, (name, each) in enumerate(zip(names, shares, strict=True), 1)
    ]
    header = ("number", "dataset", "target", "draws", "achieved", "samples it has", "epochs")
    shown = table(header, rows, "blend", title)
    return Section("blend", "Blend", figure("blend-figure", title, chart, words, shown, folded=False))


def shown_section(measured: Measured, found: SampleFacts, decode: Decode) -> Section:
    """Some samples in colours."""
    view = ColouredView(found.vocab, decode)
    prefixes = [each.prefix for each in measured.datasets]
    shown = [view.show(found.mixture, pick, prefixes[pick.dataset]) for pick in found.shown]
    legend = view.legend(found.masks.by_place is not None and TAKEN not in _kinds(found.masks))
    words = "Point at a token, or tap it: its id, its piece, and what was there."
    if found.scheme in MOVED:
        legend = ""
    return Section("samples", "Samples", f"{legend}{note(words)}\n" + "\n".join(shown))


def _kinds(masks: MaskFacts) -> list[int]:
    return [kind for kind in PREDICTED if masks.total(kind)]
