"""Reads a picture back: what stands in which row, where, and in what style."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = ("br", "col")


@dataclass
class Element:
    tag: str
    attributes: dict
    inside: list = field(default_factory=list)  # of elements and texts

    @property
    def style(self):
        parts = self.attributes.get("style", "").split(";")
        return dict(part.split(":", 1) for part in parts if part)

    @property
    def title(self):
        return self.attributes.get("title", "")

    @property
    def text(self):
        return "".join(
            each if isinstance(each, str) else each.text
            for each in self.inside
        )

    def all(self, *tags):
        """Every element within it, or those of some tags."""
        for each in self.inside:
            if isinstance(each, Element):
                if each.tag in tags or not tags:
                    yield each
                yield from each.all(*tags)

    def percent(self, what):
        return float(self.style[what].removesuffix("%"))


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag, attributes):
        element = Element(tag, dict(attributes))
        assert len(element.attributes) == len(attributes)
        self.open[-1].inside.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert tag == self.open.pop().tag

    def handle_data(self, data):
        self.open[-1].inside.append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")

    handle_decl = handle_pi = unknown_decl = handle_comment


def read(html):
    """The table of a picture, in which every tag is closed in its turn."""
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == [reader.root]
    (table,) = reader.root.inside
    assert table.tag == "table"
    return table


def rows(table):
    """Of each lane its name, its summary, and what its cell shows."""
    found = []
    for row in table.all("tr"):
        head, *cells = row.all("th", "td")
        if head.tag == "th":
            (cell,) = cells
            summary, *shown = cell.all()
            found.append((head.text, summary.text, shown))
    return found
