"""How a model filled masks: for each place and step how likely its likeliest token was, and where which was written.

History --a row--> a cell a mask and step: bluer where the model was surer, framed where it wrote
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maskgen.history import History, HistoryRow
from maskgen.report.drawing import WIDTH, Words, svg
from maskgen.report.figures import Section, figure, note
from maskgen.report.markup import Row, Share, number, table, text
from maskgen.report.scales import linear_ticks

MOST_ROWS, MOST_PLACES, MOST_COLUMNS = 8, 64, 96  # what is drawn of a history; its file has all
LEFT, RIGHT, TOP, HIGH, WIDEST = 40, 92, 24, 15, 36
FAINTEST = 0.05  # so that a mask of which nothing is known is seen to be one


@dataclass(frozen=True)
class Cell:
    """A mask at a step: its likeliest tokens, and the one that was written, if one was."""

    step: int
    offers: Sequence[tuple[str, float]]
    written: str | None
    share: float  # of what was written

    @property
    def surest(self) -> float:
        """The probability of the likeliest token."""
        return self.offers[0][1]

    def says(self, place: int) -> str:
        """All of it in a line."""
        offers = ", ".join(f"{token} {number(Share(share))}" for token, share in self.offers)
        own = "" if self.written is None else f"; written: {self.written} {number(Share(self.share))}"
        return f"place {place}, step {self.step}: {offers}{own}"


def history_section(history: History) -> Section:
    """The rows of a history."""
    parts = [_row(history, number) for number in range(min(len(history.rows), MOST_ROWS))]
    words = "Bluer where the likeliest token is likelier, framed where one was written. Point at a cell, or tap it."
    words += f" Shown are {len(parts)} of {len(history.rows)} rows." if len(parts) < len(history.rows) else ""
    return Section("history", "Masks filled step by step", note(words) + "\n".join(parts))


def cells_of(history: History, row: HistoryRow) -> dict[int, list[Cell]]:
    """Of each place that was a mask, a cell for each step until it was filled."""
    found: dict[int, list[Cell]] = {}
    for step, each in enumerate(row.steps, 1):
        for place, ids, shares in zip(each.places, each.ids, each.probabilities, strict=True):
            offers = [(history.name(id_), share) for id_, share in zip(ids, shares, strict=True)]
            written = history.name(each.written[place]) if place in each.written else None
            found.setdefault(place, []).append(Cell(step, offers, written, each.shares.get(place, 0.0)))
    return dict(sorted(found.items()))


def _row(history: History, index: int) -> str:
    row = history.rows[index]
    cells, title = cells_of(history, row), f"Row {index + 1}"
    if not cells:
        return note(f"{title} had no masks.")
    shown = dict(list(cells.items())[:MOST_PLACES])
    words = f"Masks: {len(cells)}, filled in steps: {len(row.steps)}."
    words += f" Drawn are the first {len(shown)}." if len(shown) < len(cells) else ""
    name = f"history-{index + 1}"
    drawn = _drawn(Words(f"{name}-chart", title, f"A cell for each mask and step. {words}"), shown, len(row.steps))
    rows: list[Row] = []
    for place, steps in cells.items():
        last = steps[-1]
        rows.append((place, last.written or "", last.step, Share(last.share), last.offers[0][0]))
    header = ("place", "written", "step", "its probability", "likeliest then")
    return _text(history, row, cells) + figure(f"{name}-figure", title, drawn, words, table(header, rows, name, title))


def _text(history: History, row: HistoryRow, cells: Mapping[int, Sequence[Cell]]) -> str:
    """The tokens of the row; those that were masks stand out and say how they were filled."""
    words = []
    for place, id_ in enumerate(row.final):
        says = cells[place][-1].says(place) if place in cells else f"place {place}: given"
        kind = "tok m" if place in cells else "tok"
        words.append(f'<span class="{kind}" title="{text(says)}">{text(history.name(id_))}</span>')
    return f'<p class="tokens">{" ".join(words)}</p>\n'


def _drawn(words: Words, cells: Mapping[int, Sequence[Cell]], steps: int) -> str:
    a_column = -(-steps // MOST_COLUMNS)  # steps; of those that share one the last is drawn
    columns = -(-steps // a_column)
    wide = min((WIDTH - LEFT - RIGHT) / columns, WIDEST)
    floor = TOP + HIGH * len(cells)
    shapes = ['<text class="title y" x="4" y="14">place</text>']
    shapes.append(f'<text class="token" x="{WIDTH - RIGHT + 6}" y="14">written</text>')
    for line, (place, of_place) in enumerate(cells.items()):
        top = TOP + HIGH * line
        shapes.append(f'<text class="tick side" x="{LEFT - 6}" y="{top + 11.5}">{place}</text>')
        for column, cell in {(each.step - 1) // a_column: each for each in of_place}.items():
            shapes.append(_cell(cell, place, LEFT + wide * column, top, wide))
        token = of_place[-1].written or ""
        cut = token if len(token) <= 12 else f"{token[:11]}…"
        shapes.append(f'<text class="token" x="{WIDTH - RIGHT + 6}" y="{top + 11.5}">{text(cut)}</text>')
    for step in linear_ticks(1, steps, 7):
        if step >= 1 and float(step).is_integer():
            middle = LEFT + wide * ((int(step) - 1) // a_column + 0.5)
            shapes.append(f'<text class="tick" x="{middle:.1f}" y="{floor + 14}">{int(step)}</text>')
    shapes.append(f'<text class="title" x="{LEFT + wide * columns / 2:.1f}" y="{floor + 30}">step</text>')
    return svg(words, shapes, [], height=floor + 36)


def _cell(cell: Cell, place: int, left: float, top: float, wide: float) -> str:
    gap = 1.5 if wide > 6 else 0
    kind, says = "cell written" if cell.written is not None else "cell", text(cell.says(place))
    size = f'x="{left + gap / 2:.1f}" y="{top + 1}" width="{max(wide - gap, 0.5):.1f}" height="{HIGH - 2}"'
    shade = FAINTEST + (1 - FAINTEST) * min(max(cell.surest, 0.0), 1.0)
    return f'<rect class="{kind}" data-says="{says}" {size} fill-opacity="{shade:.2f}"><title>{says}</title></rect>'
