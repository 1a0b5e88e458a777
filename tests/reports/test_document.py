"""Documents out of the books: of issued invoices they never change, whatever changes later."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from chargeback_worker.documents.facts import Look
from chargeback_worker.documents.formats import FORMATS
from chargeback_worker.documents.picture import NoPicture
from chargeback_worker.invoicing.document import encode, invoice_document
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.pipeline.save_rules import save_rules
from chargeback_worker.reports.document import UnknownFormat, facts_of, invoice_document_of
from chargeback_worker.reports.look import LogoUnreadable, look_of
from chargeback_worker.settings.model import Documents
from chargeback_worker.store import Store
from chargeback_worker.store.invoices import InvoiceUnknown
from tests.support.feed import Feed, usage
from tests.support.ledger import AFTER_NOVEMBER_US, NOVEMBER, act, closed, issued
from tests.support.reading_documents import amounts, csv_rows, html_text, pdf_pages

LOOK = Look(issuer="Platform")
FIRST, SECOND = "INV-202610-0001", "INV-202610-0002"


def _directory(name: str) -> dict[str, object]:
    members = [{"user_id": "u", "name": f"Ada of {name}"}]
    team = {"team_id": "A", "name": name, "cost_centre": "4711", "members": members}
    return {"teams": [{**team, "billing_address": "1 Way\n\nLondon"}, {"team_id": "B"}]}


@pytest.fixture
def books(store: Store) -> Store:
    """October closed: two teams, and shared cost between them by what they used."""
    apply_directory(store, _directory("Atlas"), act())
    save_rules(store, [{"rule_id": "rent", "rule_type": "by_usage"}], act())
    Feed(store).send(
        usage("a", "20.333333333", team="A", quantity="3"),
        usage("b", "10", team="B"),
        usage("c", "9.004", team=None, user_id=None, resource_type="compute"),
    )
    closed(store)
    return store


def html(store: Store, name: str = FIRST) -> str:
    return html_text(invoice_document_of(store, name, "html", look=LOOK).content)


def test_a_document_says_who_where_and_what_share(books: Store) -> None:
    facts = facts_of(books, FIRST, look=LOOK)
    assert facts.people.teams == {"A": "Atlas"}
    assert facts.people.users == {"u": "Ada of Atlas"}
    assert facts.people.cost_centre == "4711"
    assert facts.people.billing_address == ("1 Way", "London")
    assert facts.issued_on is not None
    shown = html(books)
    for said in ("Atlas", "User u (Ada of Atlas)", "by rule rent@1", "share ≈ 67.033", "1 Way"):
        assert said in shown


def test_the_equation_is_that_of_the_close(books: Store) -> None:
    facts = facts_of(books, FIRST, look=LOOK)
    first, second = issued(books)
    assert facts.closed is not None
    assert facts.closed.invoiced == first.subtotal + second.subtotal
    shown = html(books)
    assert "Booked 39.337333333 → 39.34 = this invoice" in shown
    assert amounts(shown)["39.34"] == 2


@pytest.mark.parametrize("form", FORMATS)
def test_the_equation_can_be_left_out_and_nothing_else_with_it(books: Store, form: str) -> None:
    whole = invoice_document_of(books, FIRST, form, look=LOOK).content
    made = invoice_document_of(books, FIRST, form, look=LOOK, sums=False).content
    if form == "json":
        assert made == whole
    elif form == "csv":
        kept = [line for line in whole.splitlines() if not line.startswith(b"period_")]
        assert (made.splitlines(), len(whole.splitlines())) == (kept, len(kept) + 4)
    else:
        read = html_text if form == "html" else _pdf_text
        before, after = read(whole), read(made)
        for told in ("adds up", "other invoices", "unallocated", "39.34"):
            assert (told in before, told in after) == (True, False), told
        own = invoice_document_of(books, FIRST, "csv", look=LOOK, sums=False).content
        shown = Counter(row["amount"] for row in csv_rows(own) if row["row"] != "tax_total")
        assert shown - amounts(after) == Counter()


def _pdf_text(content: bytes) -> str:
    return "\n".join(pdf_pages(content))


@pytest.mark.parametrize("form", FORMATS)
def test_a_later_directory_changes_no_document(books: Store, form: str) -> None:
    before = invoice_document_of(books, FIRST, form, look=LOOK)
    apply_directory(books, _directory("Babel"), act())
    save_rules(books, [{"rule_id": "rent", "rule_type": "equal_split", "team_id": "B"}], act())
    Feed(books, partition=1).send(usage("late", "7", team="A", day="2026-10-20"))
    closed(books, NOVEMBER, now_us=AFTER_NOVEMBER_US)
    assert invoice_document_of(books, FIRST, form, look=LOOK) == before


def test_late_usage_is_an_adjustment_that_names_the_original(books: Store) -> None:
    late = usage("late", "7", team="A", day="2026-10-20")
    Feed(books, partition=1).send(late, usage("own", "1", team="A", day="2026-11-02"))
    closed(books, NOVEMBER, now_us=AFTER_NOVEMBER_US)
    shown = html(books, "INV-202611-0001")
    for said in ("Adjustments for October 2026", f"They change {FIRST}.", "after the month was"):
        assert said in shown


def test_json_is_what_every_door_gives(books: Store) -> None:
    made = invoice_document_of(books, FIRST, "json", look=LOOK)
    assert made.content == encode(invoice_document(issued(books)[0]))
    assert made.media_type == "application/json"
    assert made.file_name == f"{FIRST}.json"


@pytest.mark.parametrize("form", FORMATS)
def test_an_invoice_is_found_by_its_id_too(books: Store, form: str) -> None:
    by_id = invoice_document_of(books, issued(books)[1].invoice_id, form, look=LOOK)
    assert by_id == invoice_document_of(books, SECOND, form, look=LOOK)
    assert by_id.text == (form != "pdf")


def test_exact_amounts_change_what_is_shown_and_not_what_is_told(books: Store) -> None:
    for form in FORMATS:
        plain = invoice_document_of(books, FIRST, form, look=LOOK)
        exact = invoice_document_of(books, FIRST, form, look=LOOK, exact=True)
        assert (plain == exact) == (form in ("csv", "json"))


def test_what_is_not_there_is_named(books: Store) -> None:
    with pytest.raises(InvoiceUnknown, match="INV-1"):
        invoice_document_of(books, "INV-1", "html", look=LOOK)
    with pytest.raises(UnknownFormat, match=r"'htm'.*did you mean html"):
        invoice_document_of(books, FIRST, "htm", look=LOOK)


def test_the_look_is_that_of_the_settings(tmp_path: Path) -> None:
    logo = tmp_path / "logo.svg"
    logo.write_text('\ufeff<svg xmlns="http://www.w3.org/2000/svg"/>', "utf-8")
    look = look_of(Documents(issuer="I", footer=("f",), logo=str(logo), paper="letter"))
    assert look.logo is not None
    assert look.logo.content.startswith(b"<svg")
    assert replace(look, logo=None) == Look(issuer="I", footer=("f",), paper="letter")


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "no such file"), (b"x" * (512 * 1024 + 1), "larger than 512 KiB")],
)
def test_a_logo_that_cannot_be_read_names_its_setting(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "logo.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LogoUnreadable, match=f"documents.logo.*{why}"):
        look_of(Documents(logo=str(path)))
    with pytest.raises(LogoUnreadable, match=r"documents\.logo"):
        look_of(Documents(logo=str(tmp_path)))


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + bytes(40), b"\xff\xfe"]
)
def test_a_logo_that_is_no_picture_names_its_setting(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "logo"
    path.write_bytes(content)
    with pytest.raises(NoPicture, match=r"documents\.logo.*neither a PNG nor an SVG"):
        look_of(Documents(logo=str(path)))
