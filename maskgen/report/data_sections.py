"""Sections on datasets: what they are, lengths of documents, sentences, frequencies of tokens, what was skipped."""

from collections.abc import Iterator

from maskgen.inspection import other_tokenizer
from maskgen.report import drawing
from maskgen.report.documents import DatasetFacts, Distribution
from maskgen.report.drawing import Axis, Series, Words
from maskgen.report.figures import Section, figure, note
from maskgen.report.markup import Row, Share, details, facts, table
from maskgen.report.measure import Measured
from maskgen.report.tokens import ranks_to_show

MOST_LISTED = 30
MOST_FREQUENT = 40
NAMES = {0: "shortest", 50: "median", 100: "longest"}


def datasets_section(measured: Measured) -> Section:
    """What the datasets are, and where they come from."""
    parts = []
    for number, each in enumerate(measured.datasets):
        inside = "\n".join([*_dataset(each, number), *_other_tokenizer(measured, each)])
        many = len(measured.datasets) > 1
        parts.append(details(each.prefix, inside, is_open=number == 0) if many else inside)
    return Section("datasets", "Datasets" if len(measured.datasets) > 1 else "Dataset", "\n".join(parts))


def _dataset(each: DatasetFacts, number: int) -> Iterator[str]:
    pairs: list[tuple[str, object]] = [
        ("name", each.prefix),
        ("documents", each.documents),
        ("sequences", each.sequences),
        ("tokens", each.tokens),
        ("type of a token", each.dtype),
    ]
    sidecar = each.sidecar
    if sidecar is None:
        yield facts(pairs)
        yield note("There is no sidecar (PREFIX.json): origin, digests and what was skipped are unknown.")
        return
    if sidecar.tokenizer is not None:
        pairs.append(("tokenizer", f"{sidecar.tokenizer.name} ({sidecar.tokenizer.vocabulary_size:,} ids)"))
        pairs.append(("tokenizer, SHA-256", sidecar.tokenizer.sha256))
    pairs.append(("digest", sidecar.digest))
    yield facts(pairs)
    yield from _skipped(each, number)
    inputs = [(file.name, file.bytes, "" if file.lines is None else file.lines) for file in sidecar.inputs]
    if inputs:
        yield details(
            f"Input files: {len(inputs):,}" + _cut(len(inputs)),
            table(("file", "bytes", "lines or rows"), inputs[:MOST_LISTED], f"inputs-{number}", "input files"),
        )
    parts = [(place, part.bytes, part.sha256[:16]) for place, part in enumerate(sidecar.bin)]
    if parts:
        yield details(
            f"Parts of the .bin file: {len(parts):,}, as shards or merges have written them" + _cut(len(parts)),
            table(("part", "bytes", "SHA-256"), parts[:MOST_LISTED], f"parts-{number}", "parts of the .bin file"),
        )
    versions = ", ".join(f"{name} {version}" for name, version in sidecar.versions.items())
    yield note(f"Made by {versions}.")


def _other_tokenizer(measured: Measured, each: DatasetFacts) -> Iterator[str]:
    made_by, given = each.sidecar.tokenizer if each.sidecar else None, measured.vocabulary
    said = None if given is None else other_tokenizer(made_by, given.name, given.digest)
    if said is not None:
        yield note(f"Attention: {said}.")


def _cut(count: int) -> str:
    return f" (the first {MOST_LISTED})" if count > MOST_LISTED else ""


def _skipped(each: DatasetFacts, number: int) -> Iterator[str]:
    found = each.sidecar.statistics if each.sidecar else {}
    if "skipped" not in found:
        yield note("The sidecar does not say what was skipped: it was not written by one run of maskgen tokenize.")
        return
    skipped = {str(reason): int(count) for reason, count in dict(found["skipped"]).items()}
    rows: list[Row] = [("documents", each.documents)]
    rows += [(f"skipped: {reason}", count) for reason, count in skipped.items()]
    if found.get("blank_lines") is not None:
        rows.append(("blank lines", int(found["blank_lines"])))
    rows.append(("documents without a token (among the above)", int(found.get("empty_documents", 0))))
    total = sum(skipped.values())
    shown = table(("what", "count"), rows, f"skipped-{number}", "rows that were read")
    share = total / max(total + each.documents, 1)
    words = (
        f"{total:,} rows were skipped, {Share(share):.4%} of those with content." if total else "No row was skipped."
    )
    if skipped:
        drawn = drawing.levels(
            Words(f"skipped-chart-{number}", "Skipped rows by reason", words), sorted(skipped.items())
        )
        yield figure(f"skipped-figure-{number}", "Skipped rows by reason", drawn, words, shown)
    else:
        yield note(words) + details("Rows that were read", shown)
    left_out = [(one.get("name", ""), one.get("reason", ""), one.get("found", "")) for one in found["files_left_out"]]
    if left_out:
        yield table(("file left out", "reason", "found"), left_out, f"left-out-{number}", "files that were left out")


def documents_section(measured: Measured) -> Section:
    """Lengths of documents, and sentences a document."""
    parts = []
    for number, each in enumerate(measured.datasets):
        inside = []
        if each.lengths is None or each.sentences is None:
            inside.append(note("There is no document."))
        else:
            looked = f"Looked at {each.seen.words('documents')}."
            inside.append(_spread(each.lengths, f"lengths-{number}", "Length of documents", "tokens", looked))
            if each.sentences.percentiles[0] == each.sentences.percentiles[100] == 1:
                inside.append(
                    note("Every document that was looked at is one sequence: it was not split into sentences.")
                )
            else:
                title = "Sentences in a document"
                inside.append(_spread(each.sentences, f"sentences-{number}", title, "sentences (sequences)", looked))
        shown = f'<div class="figures">{"".join(inside)}</div>'
        parts.append(details(each.prefix, shown, is_open=number == 0) if len(measured.datasets) > 1 else shown)
    return Section("documents", "Documents", "\n".join(parts))


def _spread(found: Distribution, name: str, title: str, unit: str, looked: str) -> str:
    edges, counts = found.histogram.edges, found.histogram.counts
    total = max(sum(counts) + found.histogram.zeros, 1)
    middle, most = found.percentiles[50], found.percentiles[100]
    words = f"Median {middle:,}, mean {found.mean:,.1f}, longest {most:,} {unit}."
    if found.histogram.zeros:
        words += f" {found.histogram.zeros:,} documents have none and are not drawn."
    drawn = drawing.histogram(
        Words(f"{name}-chart", title, f"Bars over {unit} on a logarithmic scale. {words}"),
        edges,
        [count / total for count in counts],
        Axis(f"{unit} a document (log scale)", log=True),
        Axis("share of documents", share=True),
    )
    rows: list[Row] = [(0, 0, found.histogram.zeros, Share(found.histogram.zeros / total))]
    rows += [
        (low, high - 1, count, Share(count / total)) for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]
    ranks = [(NAMES.get(rank, f"{rank}%"), value) for rank, value in found.percentiles.items()]
    tables = table(("of the documents", unit), ranks, f"{name}-percentiles", "percentiles")
    tables += table(("from", "to", "documents", "share"), rows, name, title)
    return figure(f"{name}-figure", title, drawn, f"{words} {looked}", tables)


def tokens_section(measured: Measured) -> Section:
    """Frequency by rank, unknown and unused share, the most frequent tokens."""
    found, vocabulary, size = measured.tokens, measured.vocabulary, measured.vocabulary_size
    order = found.by_rank
    looked = max(found.seen.looked - found.outside, 1)
    where = f"Looked at {found.seen.words('tokens')}"
    where += "." if found.seen.whole else f": {found.runs:,} runs of neighbouring tokens, drawn evenly over the files."
    pairs: list[tuple[str, object]] = [("tokens looked at", found.seen.looked), ("distinct ids", len(order))]
    if size is not None:
        unused = size - len(order)
        pairs.append(("ids of the vocabulary", size))
        pairs.append(("unused ids" if found.seen.whole else "ids not seen in what was looked at", unused))
        pairs.append(("unused share" if found.seen.whole else "share of ids not seen", Share(unused / max(size, 1))))
    if vocabulary is not None and vocabulary.unknown is not None:
        unknown = int(found.counts[vocabulary.unknown])
        pairs.append((f"unknown ({vocabulary.pieces[vocabulary.unknown]})", unknown))
        pairs.append(("unknown share", Share(unknown / looked)))
    pairs += _unknown_by_sidecars(measured)
    if found.outside:
        pairs.append(("ids outside of the vocabulary", found.outside))
    parts = [facts(pairs), note(where)]
    if len(order):
        parts.append(f'<div class="figures">{_ranks(measured, where)}{_frequent(measured)}</div>')
    return Section("tokens", "Tokens", "\n".join(parts))


def _unknown_by_sidecars(measured: Measured) -> list[tuple[str, object]]:
    """What the tokenizing runs have counted, of all tokens."""
    counts = [each.sidecar.statistics.get("unknown_tokens") if each.sidecar else None for each in measured.datasets]
    known = [int(count) for count in counts if count is not None]
    if len(known) < len(counts):
        return []
    total = max(sum(each.tokens for each in measured.datasets), 1)
    return [("unknown among all tokens, by the sidecar", sum(known)), ("their share", Share(sum(known) / total))]


def _ranks(measured: Measured, where: str) -> str:
    found = measured.tokens
    counts = found.counts[found.by_rank]
    total = int(counts.sum())
    ranks = ranks_to_show(len(counts))
    shares = [int(counts[rank - 1]) / total for rank in ranks]
    half = int((counts.cumsum() * 2 < total).sum()) + 1
    words = f"The {half:,} most frequent ids make up half of the tokens."
    drawn = drawing.lines(
        Words("ranks-chart", "Frequency of tokens by rank", f"A line on two logarithmic scales. {words}"),
        ranks if len(ranks) > 1 else [*ranks, ranks[0] + 1],
        [Series("share", shares if len(ranks) > 1 else [*shares, None])],
        Axis("rank of the id (log scale)", log=True),
        Axis("share of tokens (log scale)", log=True),
    )
    rows = [
        (rank, int(counts[rank - 1]), Share(share), Share(int(counts[:rank].sum()) / total))
        for rank, share in zip(ranks, shares, strict=True)
    ]
    numbers = table(("rank", "count", "share", "share up to here"), rows, "ranks", "frequency by rank")
    return figure("ranks-figure", "Frequency of tokens by rank", drawn, f"{words} {where}", numbers)


def _frequent(measured: Measured) -> str:
    found, vocabulary = measured.tokens, measured.vocabulary
    total = max(int(found.counts.sum()), 1)
    rows: list[Row] = []
    for rank, id_ in enumerate(found.by_rank[:MOST_FREQUENT].tolist(), 1):
        piece = "" if vocabulary is None else vocabulary.pieces[id_]
        rows.append((rank, str(id_), piece, int(found.counts[id_]), Share(int(found.counts[id_]) / total)))
    title = f"The {len(rows)} most frequent tokens"
    shown = table(("rank", "id", "piece", "count", "share"), rows, "frequent", title)
    words = "" if vocabulary else "Pieces are shown with --tokenizer."
    return (
        f'<figure id="frequent-figure"><figcaption>{title}</figcaption>{shown}{note(words) if words else ""}</figure>'
    )
