#!/usr/bin/env python3
"""Write the signatures of docs/api.md and docs/api-training.md as they are.

    python tools/write_signatures.py

Headings "## `module`" and "### `name`" of a page --inspect--> the block below each name, and the signatures in
items "- `.name(...)`" below a class. All else of these pages is written by hand. Types are left out: they are in the
sources, where editors find them. A test holds the pages equal to what this writes.
"""

import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = (DOCS / "api.md", DOCS / "api-training.md")
SECTION = re.compile(r"^## `(?P<module>[\w.]+)`\n(?P<body>.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
ENTRY = re.compile(
    r"^### `(?P<name>\w+)`\n\n```text\n(?P<signature>.*?)```\n(?P<body>.*?)(?=^##|\Z)", re.DOTALL | re.MULTILINE
)
METHOD = re.compile(r"^- `\.(?P<name>\w+)\([^`]*\)`", re.MULTILINE)
WIDTH = 116


def main() -> None:
    """Write the pages."""
    for path in PAGES:
        path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")


def page(text: str) -> str:
    """A page with the signatures that there are now."""
    return SECTION.sub(
        lambda section: ENTRY.sub(lambda entry: _entry(section["module"], entry), section[0]),
        text,
    )


def documented(text: str) -> Iterator[tuple[str, str]]:
    """Modules and the names that a page has a heading for."""
    for section in SECTION.finditer(text):
        for entry in ENTRY.finditer(section["body"]):
            yield section["module"], entry["name"]


def signature_of(function: Any, *, name: str, method: bool = False) -> str:
    """How `function` is called, without types."""
    try:
        found = inspect.signature(function)
    except ValueError:  # a native function says it in the first line of its documentation
        return (inspect.getdoc(function) or "").partition(" ->")[0]
    parameters = [parameter.replace(annotation=parameter.empty) for parameter in found.parameters.values()]
    if method and not inspect.ismethod(function):  # of a class's own methods, which are bound already, not
        parameters = parameters[1:]
    return name + str(found.replace(parameters=parameters, return_annotation=found.empty))


def _entry(module: str, entry: re.Match[str]) -> str:
    thing = getattr(import_module(module), entry["name"])
    lines = textwrap.wrap(
        signature_of(thing, name=entry["name"]), WIDTH, subsequent_indent="    ", break_long_words=False
    )
    methods = METHOD.sub(
        lambda item: f"- `{signature_of(getattr(thing, item['name']), name='.' + item['name'], method=True)}`",
        entry["body"],
    )
    return f"### `{entry['name']}`\n\n```text\n" + "\n".join(lines) + f"\n```\n{methods}"


if __name__ == "__main__":
    main()
