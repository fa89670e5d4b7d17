"""The page: sections, their contents, style and script in one file that asks nobody for anything.

Measured --sections--> HTML; a Content-Security-Policy lets a browser run this page's own script and nothing else.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from maskgen.fingerprint.file import versions
from maskgen.report.data_sections import datasets_section, documents_section, tokens_section
from maskgen.report.figures import Section, note
from maskgen.report.history_section import history_section
from maskgen.report.markup import Row, details, facts, shown, table, text
from maskgen.report.measure import Measured, measure
from maskgen.report.request import ReportError, Request
from maskgen.report.sample_sections import (
    blend_section,
    fill_section,
    masks_section,
    ngrams_section,
    shown_section,
)

__all__ = ["ReportError", "make_report"]


def make_report(request: Request) -> bytes:
    """The page as the bytes of a file."""
    if not request.datasets:
        raise ReportError("a report of no datasets; expected at least one; name one")
    measured = measure(request)
    return render(measured).encode("utf-8", "backslashreplace")


def render(measured: Measured) -> str:
    """The page."""
    sections = list(_sections(measured))
    title = measured.request.title or ", ".join(each.prefix for each in measured.datasets)
    style, script = _resource("page.css"), _resource("page.js")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'"
    contents = "".join(f'<a href="#about-{text(each.name)}">{text(each.title)}</a>' for each in sections)
    body = "\n".join(
        f'<section id="about-{text(each.name)}">\n<h2>{text(each.title)}</h2>\n{each.html}\n</section>'
        for each in sections
    )
    date = f" · {text(measured.request.date)}" if measured.request.date else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text(title)} · maskgen report</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{text(title)}</h1>
<p class="note">maskgen report{date}</p>
<button id="theme" type="button" hidden>dark</button>
{_overview(measured)}
<nav aria-label="Contents">{contents}</nav>
</header>
<main>
{body}
</main>
<output id="says" hidden></output>
<script>{script}</script>
</body>
</html>
"""


def _sections(measured: Measured) -> list[Section]:
    found = [datasets_section(measured), documents_section(measured), tokens_section(measured)]
    samples = measured.samples
    if samples is not None:
        found += [fill_section(samples), masks_section(samples)]
        if samples.ngrams is not None or samples.masks.runs:
            found.append(ngrams_section(samples))
        if len(measured.datasets) > 1:
            found.append(blend_section(measured, samples))
        if samples.shown and measured.request.tokenizer is not None:
            from preprocess import load_tokenizer

            decode = load_tokenizer(measured.request.tokenizer, engine="reference", sample_one_in=0).decode
            found.append(shown_section(measured, samples, decode))
    if measured.history is not None:
        found.append(history_section(measured.history))
    return [*found, _fingerprint_section(measured), _settings_section(measured)]


def _overview(measured: Measured) -> str:
    pairs: list[tuple[str, object]] = [
        ("documents", sum(each.documents for each in measured.datasets)),
        ("tokens", sum(each.tokens for each in measured.datasets)),
    ]
    if measured.samples is not None:
        pairs.append(("samples", sum(measured.samples.mixture.blend.lengths)))
        pairs.append(("scheme", measured.samples.scheme))
    cards = "".join(f"<div><b>{text(shown(value))}</b> {text(name)}</div>" for name, value in pairs)
    return f'<div class="cards">{cards}</div>'


def _fingerprint_section(measured: Measured) -> Section:
    if measured.samples is None:
        words = "Of samples, with --tokenizer, --max-seq-length and --seed. "
        known = [(each.prefix, each.sidecar.digest) for each in measured.datasets if each.sidecar is not None]
        digests = table(("dataset", "digest of its files, by its sidecar"), known, "digests") if known else ""
        return Section("fingerprint", "Fingerprint", note(words) + digests)
    parts = []
    for each, found in zip(measured.datasets, measured.samples.fingerprints, strict=True):
        rows: list[Row] = [(name, _digest_of(stage)) for name, stage in found["stages"].items()]
        parts.append(facts([("dataset", each.prefix), ("digest", found["digest"])]))
        parts.append(details("Stages", table(("stage", "content"), rows, caption="stages of the fingerprint")))
    words = "The digest that maskgen fingerprint gives for these samples: equal where every token, setting and mask is."
    return Section("fingerprint", "Fingerprint", note(words) + "\n".join(parts))


def _digest_of(stage: Mapping[str, Any]) -> str:
    return json.dumps(stage, sort_keys=True)


def _settings_section(measured: Measured) -> Section:
    request, look = measured.request, measured.request.look
    rows: list[Row] = [("dataset", each.prefix) for each in request.datasets]
    rows += [(f"weight of {each.prefix}", each.weight) for each in request.datasets if each.weight is not None]
    rows.append(("tokenizer", request.tokenizer or "none"))
    rows += [(f"role {role}", token) for role, token in request.roles.items()]
    if measured.samples is not None:
        stages = measured.samples.fingerprints[0]["stages"]
        settings = dict(stages["settings"])
        options = settings.pop("options")
        rows += [(name.replace("_", " "), _plain(value)) for name, value in settings.items()]
        rows += [(f"option {name}", _plain(value)) for name, value in options.items()]
        rows += [(f"rows: {name}", _plain(value)) for name, value in stages["rows"].items()]
    if request.history is not None:
        rows.append(("history", request.history))
    rows += [
        ("most documents looked at", "all" if look.full else f"{look.documents:,}"),
        ("tokens looked at, about", "all" if look.full else f"{look.tokens:,}"),
        ("most samples looked at", f"{look.samples:,}"),
        ("most samples for n-grams", f"{look.ngrams:,}"),
        ("seed of the choice", str(look.seed)),
    ]
    rows += [(f"version of {name}", version) for name, version in versions().items()]
    words = "What is looked at is cut into parts of the same size, and one place is drawn in each with the seed below."
    return Section(
        "settings", "Settings", note(words) + table(("setting", "value"), rows, "settings-table", "settings")
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _resource(name: str) -> str:
    return files("maskgen.report").joinpath(name).read_text(encoding="utf-8")
