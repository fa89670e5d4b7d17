"""Text as HTML: every character that means something to a browser or changes the direction of text is escaped.

Any string of a user (prefix, piece, file name, option) goes through `text`; nothing else may put one on a page.
"""

from collections.abc import Sequence
from html import escape

Row = Sequence[object]
LONG = ' class="long"'  # a line of its own
SHORT = 16  # characters that stay on one line


def text(value: object) -> str:
    """`value` as text between tags, or between the double quotes of an attribute."""
    safe = (char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in str(value))
    return escape("".join(safe), quote=True)


def table(header: Row, rows: Sequence[Row], name: str = "", caption: str = "") -> str:
    """A table that scrolls by itself where it is too wide; numbers are set to the right."""
    head = "".join(f'<th scope="col">{text(each)}</th>' for each in header)
    body = "\n".join("<tr>" + "".join(_cell(each) for each in row) + "</tr>" for row in rows)
    identity = f' id="{text(name)}"' if name else ""
    title = f"<caption>{text(caption)}</caption>" if caption else ""
    return (
        f'<div class="wide" tabindex="0" role="group" aria-label="{text(caption or "table")}"><table{identity}>{title}'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _cell(value: object) -> str:
    found = shown(value)
    kind = ' class="n"' if found is not value else ' class="i"' if len(str(value)) <= SHORT else ""
    return f"<td{kind}>{text(found)}</td>"


class Share(float):
    """A number that is shown as a percentage."""

    __slots__ = ()


def number(value: float) -> str:
    """A number for people: 12,345 or 0.0123 or 12.3%."""
    if isinstance(value, Share):
        percent = 100 * float(value)
        return f"{percent:.2f}%" if percent >= 0.1 or percent == 0 else f"{percent:.2g}%"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"


def details(summary: str, inside: str, *, is_open: bool = False) -> str:
    """Something that unfolds."""
    return f"<details{' open' if is_open else ''}><summary>{text(summary)}</summary>\n{inside}\n</details>"


def facts(pairs: Sequence[tuple[str, object]]) -> str:
    """Names and values, one below the other."""
    rows = "".join(
        f"<div{LONG if len(str(value)) > 32 else ''}><dt>{text(name)}</dt><dd>{text(shown(value))}</dd></div>"
        for name, value in pairs
    )
    return f'<dl class="facts">{rows}</dl>'


def shown(value: object) -> object:
    """A number as it is shown; anything else as it is."""
    return number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
