"""Ratios as lying bars on a log axis, in SVG: from 1 to the right what is faster than its yardstick, else to the left.

titled groups of (name, ratio) --Scale--> bars, ticks, names --> one SVG that follows the reader's dark or light colours
"""

import math
from collections.abc import Mapping, Sequence

from results import shown

from maskgen.report.markup import text
from maskgen.report.scales import Scale, short

WIDTH, NAMES, RIGHT, TOP, LINE = 960, 430, 70, 56, 19  # the whole, the room for names, for figures; a line's height
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f } .head { font-weight: bold } .title { font-size: 14px }
.back { fill: #ffffff } .grid { stroke: #d0d7de } .one { stroke: #57606a; stroke-width: 1.5 }
.more { fill: #2a7f9e } .less { fill: #bf6a1f } .end { text-anchor: end } .middle { text-anchor: middle }
@media (prefers-color-scheme: dark) {
  text { fill: #d7dae0 } .back { fill: #1c2128 } .grid { stroke: #3a424c } .one { stroke: #9da7b3 }
  .more { fill: #56b6c2 } .less { fill: #e5a05b }
}"""
TITLE = "How many times as fast as its yardstick (log axis; left of the line: slower)"


def drawn(groups: Mapping[str, Sequence[tuple[str, float]]]) -> str:
    """The drawing."""
    ratios = [ratio for rows in groups.values() for _, ratio in rows] or [1.0]
    low, high = min(0.5, *ratios), max(2.0, *ratios)
    across = Scale(low * 0.9, high * 1.1, NAMES, WIDTH - RIGHT, log=True)
    height = TOP + LINE * (sum(map(len, groups.values())) + len(groups)) + 30
    shapes = [f'<text class="head title" x="12" y="22">{text(TITLE)}</text>']
    for tick in ticks(low, high):
        place, kind = f"{across(tick):.1f}", "one" if tick == 1 else "grid"
        shapes.append(f'<line class="{kind}" x1="{place}" x2="{place}" y1="{TOP - 8}" y2="{height - 24}"/>')
        shapes += [f'<text class="middle" x="{place}" y="{y}">{short(tick)}</text>' for y in (TOP - 14, height - 8)]
    y = TOP
    for title, rows in groups.items():
        shapes.append(f'<text class="head" x="12" y="{y + 13}">{text(title)}</text>')
        y += LINE
        for name, ratio in rows:
            shapes += bar(across, name, ratio, y)
            y += LINE
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
            f'height="{height}" role="img" aria-label="{text(TITLE)}">',
            f"<style>{STYLE}\n</style>",
            f'<rect class="back" width="{WIDTH}" height="{height}" rx="8"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def bar(across: Scale, name: str, ratio: float, y: int) -> list[str]:
    """One row: its name, its bar, its figure."""
    cut = name if len(name) <= 62 else f"{name[:61]}…"
    begin, end = sorted((across(1), across(ratio)))
    kind = "more" if ratio >= 1 else "less"
    return [
        f'<text class="end" x="{NAMES - 8}" y="{y + 13}">{text(cut)}</text>',
        f'<rect class="{kind}" x="{begin:.1f}" y="{y + 3}" width="{max(end - begin, 1):.1f}" height="{LINE - 6}">'
        f"<title>{text(name)}: {ratio:.3g}</title></rect>",
        f'<text x="{max(end, across(1)) + 5:.1f}" y="{y + 13}">{text(shown(ratio, "").strip())}</text>',
    ]


def ticks(low: float, high: float) -> list[float]:
    """Powers of ten, with 2 and 5 where there are few of them."""
    steps = (1, 2, 5) if high / low < 300 else (1,)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [step * 10.0**exponent for exponent in exponents for step in steps]
    return [tick for tick in found if low * 0.9 <= tick <= high * 1.1]
