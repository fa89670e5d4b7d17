"""Charts as SVG inside of a page: axes with ticks, titles and units; bars and lines in the colours of the page.

series of numbers --Frame: scales, ticks--> shapes --> <svg> with a title and a description for those who do not see it

Drawings are small (WIDTH), so that their text is readable when a phone shows them at its own width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from maskgen.report.markup import text
from maskgen.report.scales import Scale, percent, short

WIDTH, HEIGHT = 400, 236
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 26, 42
DASHES = ("", "5 3", "2 2", "8 3 2 3")


@dataclass(frozen=True)
class Axis:
    """The title of an axis, with its unit, and what is special about it."""

    title: str
    log: bool = False
    share: bool = False

    def label(self, value: float) -> str:
        """What stands at a tick."""
        return percent(value) if self.share else short(value)


@dataclass(frozen=True)
class Series:
    """What is drawn in one colour: a value for each place; None where there is none."""

    name: str
    values: Sequence[float | None]
    colour: int = 1  # of the page's palette, 1 to 5


@dataclass(frozen=True)
class Words:
    """A drawing in words."""

    name: str  # an id that no other drawing of the page has
    title: str
    description: str


def histogram(words: Words, edges: Sequence[float], counts: Sequence[float], x: Axis, y: Axis) -> str:
    """Bars from edge to edge, side by side."""
    across = Scale(edges[0], edges[-1], LEFT, WIDTH - RIGHT, x.log)
    up = _up([counts], y)
    bars = []
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        if count:
            label = f"{_exact(low)} to {_exact(high)}: {y.label(count)}" if y.share else f"{_exact(low)}: {count:,}"
            bars.append(_bar(across(low), across(high), up(count), up(up.low), 1, label))
    return svg(words, _axes(across, up, x, y) + bars, [])


def lines(words: Words, places: Sequence[float], series: Sequence[Series], x: Axis, y: Axis) -> str:
    """A line a series."""
    across = Scale(min(places), max(places), LEFT, WIDTH - RIGHT, x.log)
    up = _up([each.values for each in series], y)
    shapes = []
    for number, each in enumerate(series):
        known = [(place, value) for place, value in zip(places, each.values, strict=True) if value is not None]
        if up.log:
            known = [(place, value) for place, value in known if value > 0]
        points = " ".join(f"{across(place):.1f},{up(value):.1f}" for place, value in known)
        dash = f' stroke-dasharray="{DASHES[number % len(DASHES)]}"' if number % len(DASHES) else ""
        shapes.append(f'<polyline class="line c{each.colour}"{dash} points="{points}"/>')
        if len(known) == 1:
            place, value = known[0]
            shapes.append(f'<circle class="bar c{each.colour}" cx="{across(place):.1f}" cy="{up(value):.1f}" r="3"/>')
    return svg(words, _axes(across, up, x, y) + shapes, _legend(series, dashed=True))


def groups(words: Words, names: Sequence[str], series: Sequence[Series], x: Axis, y: Axis) -> str:
    """A group of bars for each name, one of each series."""
    up = _up([each.values for each in series], y)
    room = (WIDTH - RIGHT - LEFT) / max(len(names), 1)
    wide = min(room * 0.84 / len(series), 26.0)
    shapes = _axes(None, up, x, y)
    every = max(1, math.ceil(len(names) * max(map(len, names), default=1) * 6.5 / (WIDTH - LEFT)))
    for place, name in enumerate(names):
        middle = LEFT + room * (place + 0.5)
        if place % every == 0:
            shapes.append(f'<text class="tick" x="{middle:.1f}" y="{HEIGHT - BOTTOM + 14}">{text(name)}</text>')
        begin = middle - wide * len(series) / 2
        for number, each in enumerate(series):
            value = each.values[place]
            if value is not None:
                left = begin + number * wide
                label = f"{name}, {each.name}: {y.label(value)}"
                shapes.append(_bar(left, left + wide, up(value), up(up.low), each.colour, label))
    return svg(words, shapes, _legend(series))


def levels(words: Words, rows: Sequence[tuple[str, float]]) -> str:
    """A lying bar a row, its name and count above it: for names of any length."""
    most = max((value for _, value in rows), default=0) or 1
    step, shapes = 34, []
    for place, (name, value) in enumerate(rows):
        y = 8 + place * step
        cut = name if len(name) <= 40 else f"{name[:39]}…"
        shapes.append(f'<text class="name" x="4" y="{y + 8}">{text(cut)}</text>')
        shapes.append(f'<text class="value" x="{WIDTH - 4}" y="{y + 8}">{text(f"{value:,}")}</text>')
        shapes.append(f'<rect class="rail" x="4" y="{y + 13}" width="{WIDTH - 8}" height="9"/>')
        end = 4 + (WIDTH - 8) * value / most
        shapes.append(_bar(4, max(end, 5), y + 13, y + 22, 1, f"{name}: {value:,}"))
    return svg(words, shapes, [], height=8 + step * len(rows))


def _up(values: Sequence[Sequence[float | None]], y: Axis) -> Scale:
    known = [value for each in values for value in each if value is not None and (value > 0 or not y.log)]
    most = max(known, default=1) or 1
    if y.log:
        return Scale(min(known, default=1), max(most, min(known, default=1) * 10), HEIGHT - BOTTOM, TOP, True)
    return Scale(0, most * 1.05, HEIGHT - BOTTOM, TOP)


def _axes(across: Scale | None, up: Scale, x: Axis, y: Axis) -> list[str]:
    floor, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    shapes = []
    for tick in up.ticks(5):
        place = f"{up(tick):.1f}"
        shapes.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{place}" y2="{place}"/>')
        shapes.append(f'<text class="tick side" x="{LEFT - 5}" y="{up(tick) + 3.5:.1f}">{text(y.label(tick))}</text>')
    if across is not None:
        for tick in across.ticks(7):
            place = f"{across(tick):.1f}"
            shapes.append(f'<line class="axis" x1="{place}" x2="{place}" y1="{floor}" y2="{floor + 4}"/>')
            shapes.append(f'<text class="tick" x="{place}" y="{floor + 14}">{text(x.label(tick))}</text>')
    shapes.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{floor}" y2="{floor}"/>')
    shapes.append(f'<text class="title" x="{(LEFT + right) / 2}" y="{HEIGHT - 10}">{text(x.title)}</text>')
    shapes.append(f'<text class="title y" x="4" y="12">{text(y.title)}</text>')
    return shapes


def _bar(left: float, right: float, top: float, bottom: float, colour: int, label: str) -> str:
    gap = 0.5 if right - left > 3 else 0
    size = f'width="{max(right - left - gap, 0.5):.1f}" height="{max(bottom - top, 0):.1f}"'
    return f'<rect class="bar c{colour}" x="{left:.1f}" y="{top:.1f}" {size}><title>{text(label)}</title></rect>'


def _legend(series: Sequence[Series], *, dashed: bool = False) -> list[str]:
    """Names of series, as text of the page: it wraps where a drawing cannot."""
    found: list[str] = []
    for number, each in enumerate(series if len(series) > 1 else []):
        dash = DASHES[number % len(DASHES)] if dashed else ""
        mark = (
            f'<svg class="key" viewBox="0 0 22 10" aria-hidden="true"><line class="line c{each.colour}" x1="0" x2="22" '
            f'y1="5" y2="5" stroke-dasharray="{dash}"/></svg>'
            if dashed
            else f'<span class="key box c{each.colour}" aria-hidden="true"></span>'
        )
        found.append(f"<span>{mark}{text(each.name)}</span>")
    return found


def svg(words: Words, shapes: Sequence[str], legend: Sequence[str], height: float = HEIGHT) -> str:
    """Shapes with what they say in words."""
    inside = "\n".join(shapes)
    name = text(words.name)
    drawn = (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{name}-t {name}-d">\n'
        f'<title id="{name}-t">{text(words.title)}</title><desc id="{name}-d">{text(words.description)}</desc>\n'
        f"{inside}\n</svg>"
    )
    return drawn + (f'\n<p class="legend">{" ".join(legend)}</p>' if legend else "")


def _exact(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"
