"""The HTML document in a real browser: nothing runs, nothing is wider than the screen or paper."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chargeback_worker.documents.facts import Facts, Logo
from chargeback_worker.documents.formats import render
from chargeback_worker.documents.picture import SVG
from tests.support import documents
from tests.support.browser import Browser
from tests.support.reading_documents import pdf_pages

PHONE, TABLET, DESKTOP = 360, 700, 1280
KINDS: dict[str, Callable[[], Facts]] = {
    "regular": documents.regular,
    "long": documents.long,
    "correction": documents.correction,
    "credit": documents.credit,
    "draft": documents.draft,
    "cancelled": documents.cancelled,
    "immense": documents.immense,
}
SCRIPTED = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="900" height="9">'
    b"<script>parent.ran = true; parent.document.title = 'ran'</script><path d='M0 0h9v9z'/></svg>"
)


def html(facts: Facts, *, exact: bool = False) -> bytes:
    return render(replace(facts, exact=exact), "html")


def test_no_document_is_wider_than_a_screen_and_no_script_of_a_name_runs(
    browser: Browser, tmp_path: Path
) -> None:
    named = [documents.hostile(name) for name in documents.HOSTILE]
    made = [facts() for facts in KINDS.values()] + named
    contents = [html(facts, exact=exact) for facts in made for exact in (False, True)]
    for place, seen in enumerate(browser.seen(contents, [PHONE, TABLET, DESKTOP], tmp_path)):
        assert not seen.ran, (place, seen)
        assert seen.wide == [], (place, seen)
        assert seen.needed <= seen.width, (place, seen)


def test_a_script_that_had_got_in_would_not_run(browser: Browser, tmp_path: Path) -> None:
    """The policy of the document itself, should an escape ever be missing."""
    content = html(documents.regular())
    inside = b"<script>window.ran = true; document.title = 'ran'</script>"
    inside += b"<img src='nothing:' onerror=\"document.title='ran'\">"
    broken = content.replace(b"</main>", inside + b"</main>")
    unguarded = broken.replace(b"Content-Security-Policy", b"Nothing")
    seen = browser.seen([broken, unguarded], [DESKTOP], tmp_path)
    assert [one.ran for one in seen] == [False, True]


def test_a_script_in_the_logo_does_not_run(browser: Browser, tmp_path: Path) -> None:
    look = replace(documents.LOOK, logo=Logo(SCRIPTED, SVG))
    content = html(replace(documents.regular(), look=look))
    for seen in browser.seen([content], [PHONE, DESKTOP], tmp_path):
        assert not seen.ran
        assert seen.wide == []


def test_exact_amounts_are_hidden_until_they_are_asked_for(
    browser: Browser, tmp_path: Path
) -> None:
    contents = [html(documents.regular()), html(documents.regular(), exact=True)]
    hidden, shown = browser.seen(contents, [DESKTOP], tmp_path)
    assert hidden.exact == 0
    # A head, three lines, two sums of groups, and the two below the subtotal.
    assert shown.exact == 8


def test_the_title_is_the_number(browser: Browser, tmp_path: Path) -> None:
    (seen,) = browser.seen([html(documents.draft())], [PHONE], tmp_path)
    assert seen.title == "Draft invoice DRAFT-202610-3f2b9c1a-4d5e"


@pytest.mark.parametrize("exact", [False, True])
def test_on_paper_every_page_has_heads_and_no_heading_is_alone(
    browser: Browser, tmp_path: Path, exact: bool
) -> None:
    pages = pdf_pages(browser.printed(html(documents.long(), exact=exact), tmp_path))
    assert 3 < len(pages) < 15
    for page in pages:
        lines = [line for text in page.splitlines() if (line := "".join(text.split()))]
        assert any("ForQuantityUnitprice" in line for line in lines), lines[:5]
        assert not lines[-1].startswith(("Usage:", "Sharedcost:")), lines[-1]
        assert "Show the exact amounts" not in page
    assert ("ExactUSD" in "".join(pages[1].split())) == exact
    assert "4,050.40" in pages[-1]


def test_on_paper_no_heading_is_left_alone_and_no_sum(browser: Browser, tmp_path: Path) -> None:
    pages = pdf_pages(browser.printed(html(documents.grouped()), tmp_path))
    assert len(pages) > 5
    for page in pages:
        lines = [line for text in page.splitlines() if (line := "".join(text.split()))]
        # The last page may hold what stands below the lines and no more.
        heads = [place + 1 for place, line in enumerate(lines) if "ForQuantityUnitprice" in line]
        first = lines[max(heads, default=0)]
        assert not first.startswith(("Sumof", "Subtotal")), first
        assert not lines[-1].startswith("Usage:"), lines[-1]
