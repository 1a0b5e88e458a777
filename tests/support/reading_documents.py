"""Documents read back: what a person finds in HTML, PDF, CSV and JSON, as plain digits."""

import csv
import io
import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pypdfium2

_VOID = {"meta", "input", "img", "br", "wbr", "link"}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.cells: list[tuple[str, str]] = []
        self._open: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(sorted(name for name, _ in attributes))))
        if tag not in _VOID:
            self._open.append((tag, dict(attributes).get("class") or ""))
            if tag in ("td", "th", "p", "h1", "h2", "dt", "dd", "title"):
                self.cells.append((self._open[-1][1] or tag, ""))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, text: str) -> None:
        shown = all(name not in ("note narrow", "style") for _, name in self._open)
        if self.cells and shown and self._open and self._open[-1][0] != "style":
            name, before = self.cells[-1]
            self.cells[-1] = (name, before + text)


def html_tags(content: bytes) -> list[tuple[str, tuple[str, ...]]]:
    """Every tag with the names of its attributes: what a text must never change."""
    page = _Page()
    page.feed(content.decode())
    return page.tags


def html_text(content: bytes) -> str:
    """All that is shown, a cell a line."""
    page = _Page()
    page.feed(content.decode())
    return "\n".join(text.strip() for _, text in page.cells)


def csv_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def pdf_pages(content: bytes) -> list[str]:
    """The text of each page, without the places where a line may end."""
    document = pypdfium2.PdfDocument(content)
    try:
        texts: list[Any] = [page.get_textpage().get_text_bounded() for page in document]
    finally:
        document.close()
    return [text.replace("\u200b", "").replace("\r\n", "\n") for text in texts]


def amounts(text: str) -> Counter[str]:
    """How often each amount in cents stands in a text in the locale en, as plain digits."""
    found = re.findall(r"(?<![\d.,−])−?\d{1,3}(?:,\d{3})*\.\d\d(?![\d%])", text)
    return Counter(of.replace(",", "").replace("−", "-") for of in found)
