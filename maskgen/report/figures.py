"""What sections are made of: figures with their numbers below, notes."""

from dataclasses import dataclass

from maskgen.report.markup import details, text


@dataclass(frozen=True)
class Section:
    """A part of the page: an anchor, a heading, HTML."""

    name: str
    title: str
    html: str


def figure(name: str, title: str, drawn: str, words: str, numbers: str, *, folded: bool = True) -> str:
    """A drawing, what it says in words, and its numbers, folded away or not."""
    return (
        f'<figure id="{text(name)}">\n<figcaption>{text(title)}</figcaption>\n{drawn}\n'
        f'<p class="note">{text(words)}</p>\n{details("Numbers", numbers) if folded else numbers}\n</figure>\n'
    )


def note(words: str) -> str:
    """A line of small text."""
    return f'<p class="note">{text(words)}</p>'
