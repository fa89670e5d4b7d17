"""What the tests of reports share: pages as a parser sees them, small datasets with a tokenizer."""

from html.parser import HTMLParser

from sample_files import toy_dataset, toy_tokenizer

from maskgen import cli

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Elements, tables by id, attributes; an error where tags do not match."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.tables, self.ids = [], [], [], {}, []
        self.texts, self.facts = [], {}
        self._table, self._row, self._cell, self._name = None, None, None, ""
        self.feed(text)
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attributes]
        attributes = dict(attributes)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self._table = self.tables.setdefault(attributes.get("id", len(self.tables)), [])
        elif tag == "tr":
            self._row = []
            self._table.append(self._row)
        elif tag in ("td", "th", "dt", "dd"):
            self._cell = ""

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag
        if tag in ("td", "th"):
            self._row.append(self._cell)
        elif tag == "dt":
            self._name = self._cell
        elif tag == "dd":
            self.facts.setdefault(self._name, []).append(self._cell)
        if tag in ("td", "th", "dt", "dd"):
            self._cell = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    def rows(self, name):
        """The rows of a table as dicts; numbers are numbers, percentages shares."""
        header, *rows = self.tables[name]
        return [dict(zip(header, map(value, row), strict=True)) for row in rows]

    def fact(self, name):
        """The one value of a fact."""
        (found,) = self.facts[name]
        return value(found)

    @property
    def words(self):
        return " ".join("".join(self.texts).split())


def value(text):
    """A cell as the number that it shows, or as text."""
    plain = text.replace(",", "")
    try:
        if plain.endswith("%"):
            return float(plain[:-1]) / 100
        return int(plain) if plain.isdecimal() else float(plain)
    except ValueError:
        return text


def toy_files(folder):
    """A dataset of sentences and its tokenizer: (dataset, prefix, path)."""
    dataset, _ = toy_dataset(folder / "toy", documents=40)
    return dataset, str(folder / "toy"), toy_tokenizer(folder / "tokenizer.json")


def report(folder, *arguments):
    """The page that the command writes."""
    path = folder / "report.html"
    assert cli.main(["report", *map(str, arguments), "--output", str(path)]) == 0
    return path.read_text(encoding="utf-8")
