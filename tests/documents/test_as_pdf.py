"""The PDF as a reader sees it: whole pages, nothing cut off, nothing left alone."""

import re
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pypdfium2
import pytest

from chargeback_worker.documents.as_pdf import NotTypeset
from chargeback_worker.documents.facts import Facts, Logo, Look
from chargeback_worker.documents.formats import render
from chargeback_worker.documents.picture import PNG, SVG
from tests.support import documents
from tests.support.reading_documents import pdf_pages

_AMOUNT = re.compile(r"−?[\d,]+\.\d\d")
_EDGE_PT = 40
DOT = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SQUARE = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M0 0h9v9z"/></svg>'


@contextmanager
def opened(facts: Facts) -> Iterator[Any]:
    document = pypdfium2.PdfDocument(render(facts, "pdf"))
    try:
        yield document
    finally:
        document.close()


@pytest.fixture(scope="module")
def long_pages() -> list[list[str]]:
    return [page.splitlines() for page in pdf_pages(render(documents.long(), "pdf"))]


def test_every_page_has_its_number_and_the_heads_of_the_columns(
    long_pages: list[list[str]],
) -> None:
    count = len(long_pages)
    assert count > 3
    for number, lines in enumerate(long_pages, 1):
        assert f"INV-202610-0007 · page {number} of {count}" in lines
        assert "# For Quantity Unit price USD" in lines


def test_no_heading_is_left_alone_and_every_page_says_what_its_lines_are(
    long_pages: list[list[str]],
) -> None:
    for lines in long_pages:
        body = lines[lines.index("# For Quantity Unit price USD") + 1 :]
        assert re.match(r"Usage: |Shared cost: ", body[0])
        for heading, following in pairwise(body):
            if re.match(r"Usage: |Shared cost: ", heading):
                assert re.match(r"\d+ User", following), heading


def test_a_heading_falls_on_no_end_of_a_page() -> None:
    for page in pdf_pages(render(documents.grouped(), "pdf")):
        body = page.split("# For Quantity Unit price USD\n")[-1].splitlines()
        assert re.match(r"Usage: ", body[0])
        for heading, following in pairwise(body):
            if heading.startswith("Usage: "):
                # A number that stands beside two rows is read after them.
                assert re.match(r"(\d+ )?User", following), (heading, following)


def test_no_sum_stands_on_another_page_than_the_last_of_its_lines() -> None:
    for count in range(40, 80):
        for page in pdf_pages(render(documents.long(count), "pdf")):
            body = page.split("# For Quantity Unit price USD\n")[-1].splitlines()
            assert not any(line.startswith("Sum of") for line in body[:2]), count


def test_amounts_end_at_one_edge_on_all_pages() -> None:
    edges = set()
    with opened(documents.long()) as document:
        for page in document:
            text = page.get_textpage()
            for place in range(text.count_rects()):
                rect = text.get_rect(place)
                if _AMOUNT.fullmatch(text.get_text_bounded(*rect).strip()) and rect[0] > 480:
                    edges.add(rect[2])
    # A figure ends a little before its edge, each by its shape; half of one is 2.5 points.
    assert max(edges) - min(edges) < 2.5


@pytest.mark.parametrize("name", documents.HOSTILE, ids=range(len(documents.HOSTILE)))
def test_nothing_reaches_the_edge_of_the_paper(name: str) -> None:
    assert _inked_edges(documents.hostile(name)) == []


@pytest.mark.parametrize("facts", [documents.immense(), documents.long(60)], ids=["huge", "long"])
def test_numbers_stay_on_the_paper(facts: Facts) -> None:
    assert _inked_edges(facts) == []


def _inked_edges(facts: Facts) -> list[tuple[int, str]]:
    """Pages with something in the margin, and where."""
    found = []
    with opened(facts) as document:
        for number, page in enumerate(document):
            picture = page.render(scale=1, grayscale=True)
            wide, high = picture.width, picture.height
            pixels, stride = bytes(picture.buffer), picture.stride
            rows = [pixels[row * stride : row * stride + wide] for row in range(high)]
            edges = {
                "top": b"".join(rows[:_EDGE_PT]),
                # The foot of a page begins lower than its head.
                "bottom": b"".join(rows[-_EDGE_PT // 2 :]),
                "left": b"".join(row[:_EDGE_PT] for row in rows),
                "right": b"".join(row[-_EDGE_PT:] for row in rows),
            }
            found += [(number, edge) for edge, seen in edges.items() if min(seen) < 255]
    return found


def test_letter_is_another_paper() -> None:
    sizes = []
    for paper in ("a4", "letter"):
        with opened(replace(documents.regular(), look=Look(paper=paper))) as document:
            sizes.append(tuple(map(round, document[0].get_size())))
    assert sizes == [(595, 842), (612, 792)]


def test_the_file_says_its_title_and_the_time_of_the_invoice() -> None:
    with opened(documents.regular()) as document:
        told = document.get_metadata_dict()
    assert told["Title"] == "Invoice INV-202610-0007"
    assert told["Author"] == "Platform Engineering GmbH"
    assert told["CreationDate"] == "D:20261103020405Z"


def test_exact_amounts_are_shown_on_demand() -> None:
    (plain,) = pdf_pages(render(documents.regular(), "pdf"))
    (exact,) = pdf_pages(render(replace(documents.regular(), exact=True), "pdf"))
    for said in ("Exact USD", "41.304567891", "Rounding to cents"):
        assert said not in plain
        assert said in exact


def test_a_character_that_no_font_has_is_its_code_point() -> None:
    (page,) = pdf_pages(render(documents.hostile("smile 😀"), "pdf"))
    assert "smile [U+1F600]" in page


@pytest.mark.parametrize(
    "logo",
    [
        Logo(DOT, PNG),
        Logo(SQUARE, SVG),
    ],
    ids=["png", "svg"],
)
def test_a_logo_is_in_the_file(logo: Logo) -> None:
    with_logo = replace(documents.regular(), look=replace(documents.LOOK, logo=logo))
    assert len(render(with_logo, "pdf")) > len(render(documents.regular(), "pdf"))


def test_a_logo_that_is_no_picture_is_named() -> None:
    look = replace(documents.LOOK, logo=Logo(b"<svg", SVG))
    with pytest.raises(NotTypeset, match="could not be made") as caught:
        render(replace(documents.regular(), look=look), "pdf")
    assert "documents.logo" in caught.value.hint
