#!/usr/bin/env python3
"""Draw the examples of docs/schemes.md in the colours of a terminal: docs/schemes.svg.

    python tools/draw_schemes.py

The page's examples --marks--> coloured lines --> SVG. A test holds the drawing equal to the page, and the page to what
the command prints.
"""

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
WIDTH, LINE = 1010, 18  # of the drawing, and of a line of it
MARK = re.compile(
    r"(?P<masked>\[MASK(?:→[^]]+)?\])|(?P<kept>\[=[^]]+\])|(?P<sentinel>\[<[^]]+\]|<extra_id_\d+>)"
    r"|(?P<replaced>\[[^]→ ]+→[^]]+\])|(?P<special>\[[A-Z0-9]+\]|</?s>)"
)
COLOURS = {
    "masked": "#e5c07b",
    "kept": "#98c379",
    "sentinel": "#56b6c2",
    "replaced": "#e06c75",
    "special": "#7f848e",
    "plain": "#d7dae0",
    "name": "#61afef",
}


def main() -> None:
    """Write the drawing."""
    (DOCS / "schemes.svg").write_text(drawn((DOCS / "schemes.md").read_text(encoding="utf-8")), encoding="utf-8")


def drawn(page: str) -> str:
    """The drawing of a page's examples."""
    lines = list(coloured_lines(page))
    height = LINE * (len(lines) + 1)
    rows = [
        f'<text x="12" y="{LINE * number}" xml:space="preserve">{line}</text>' for number, line in enumerate(lines, 1)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="monospace" '
            f'font-size="13" fill="{COLOURS["plain"]}">',
            f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#21252b"/>',
            *rows,
            "</svg>\n",
        ]
    )


def coloured_lines(page: str) -> Iterator[str]:
    """The name of each scheme, and the samples of its example."""
    for call in re.findall(r"\$ maskgen sample (.*?)(?=\$ maskgen|```)", page, re.DOTALL):
        scheme = re.search(r"--scheme (\S+)", call)
        yield f'<tspan fill="{COLOURS["name"]}">{escape(scheme[1] if scheme else "bert")}</tspan>'
        _, _, sample = call.partition("\n\n")
        for line in sample.rstrip().splitlines():
            yield coloured(line)
        yield ""


def coloured(line: str) -> str:
    """A line with its marks in colours."""
    parts, done = [], 0
    for mark in MARK.finditer(line):
        colour = COLOURS[mark.lastgroup or "plain"]
        parts += [escape(line[done : mark.start()]), f'<tspan fill="{colour}">{escape(mark[0])}</tspan>']
        done = mark.end()
    return "".join([*parts, escape(line[done:])])


if __name__ == "__main__":
    main()
