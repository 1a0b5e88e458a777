"""Every format: the same bytes everywhere, every amount in it, and no text ever more than text."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargeback_worker.documents.facts import Facts
from chargeback_worker.documents.formats import FORMATS, render
from chargeback_worker.documents.viewing import view_of
from chargeback_worker.invoicing.document import encode, invoice_document
from chargeback_worker.invoicing.tax import tax_by_rate
from chargeback_worker.money import fixed
from tests.support import documents
from tests.support.reading_documents import amounts, csv_rows, html_tags, html_text, pdf_pages

ROOT = Path(__file__).parents[2]
EXAMPLES: dict[str, Callable[[], Facts]] = {
    "regular": documents.regular,
    "long": documents.long,
    "correction": documents.correction,
    "credit": documents.credit,
    "draft": documents.draft,
    "cancelled": documents.cancelled,
    "immense": documents.immense,
    "hostile": lambda: documents.hostile(" ".join(documents.HOSTILE)[:500]),
}
TEXT_OF: dict[str, Callable[[bytes], str]] = {
    "html": html_text,
    "pdf": lambda content: "\n".join(pdf_pages(content)),
}


def digests() -> dict[str, str]:
    """What every example comes to in every format."""
    return {
        f"{name}.{form}": hashlib.sha256(render(facts(), form)).hexdigest()
        for name, facts in EXAMPLES.items()
        for form in FORMATS
    }


def test_the_same_invoice_is_the_same_bytes_in_another_process_place_and_language() -> None:
    here = digests()
    assert here == digests()
    elsewhere = {
        "PATH": os.environ["PATH"],
        "HOME": "/nowhere",
        "TZ": "Asia/Kathmandu",
        "LANG": "ar_EG.UTF-8",
        "LC_ALL": "ar_EG.UTF-8",
        "PYTHONHASHSEED": "7",
        "PYTHONUTF8": "1",
        # No font of the machine is found with it.
        "FONTCONFIG_FILE": "/dev/null",
        "TYPST_FONT_PATHS": "/nowhere",
        "SOURCE_DATE_EPOCH": "1",
    }
    program = "from tests.documents.test_formats import *; print(json.dumps(digests()))"
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=elsewhere,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(told.stdout) == here


@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_invoice_is_a_document(form: str) -> None:
    assert render(documents.facts(documents.invoice([])), form)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "hostile"])
@pytest.mark.parametrize("form", TEXT_OF)
def test_every_line_every_sum_and_every_part_of_the_equation_is_shown(name: str, form: str) -> None:
    facts = EXAMPLES[name]()
    invoice, view = facts.invoice, view_of(facts)
    wanted = Counter(fixed(line.total_price, 2) for line in invoice.lines)
    wanted += Counter(fixed(group.nano, 2) for group in view.groups)
    wanted += Counter(fixed(taxed.tax, 2) for taxed in tax_by_rate(invoice.lines))
    wanted += Counter([fixed(invoice.subtotal, 2), fixed(invoice.total, 2)])
    if facts.closed is not None:
        parts = (facts.closed.invoiced - invoice.subtotal, facts.closed.unallocated)
        wanted += Counter(fixed(part, 2) for part in (invoice.subtotal, *parts))
    assert wanted - amounts(TEXT_OF[form](render(facts, form))) == Counter()


@pytest.mark.parametrize("name", EXAMPLES)
def test_csv_adds_up_from_its_own_digits(name: str) -> None:
    facts = EXAMPLES[name]()
    rows = csv_rows(render(facts, "csv"))
    cents: dict[str, list[int]] = {}
    for row in rows:
        cents.setdefault(row["row"], []).append(int(row["amount"].replace(".", "")))

    assert len(cents["line"]) == len(facts.invoice.lines)
    assert sum(cents["line"]) == sum(cents["group"]) == cents["subtotal"][0]
    assert sum(cents.get("tax", [])) == cents["tax_total"][0]
    assert cents["subtotal"][0] + cents["tax_total"][0] == cents["total"][0]
    if facts.closed is not None:
        parts = ("period_this_invoice", "period_other_invoices", "period_unallocated")
        assert sum(cents[part][0] for part in parts) == cents["period_booked"][0]
    exact = [int(row["exact"].replace(".", "")) for row in rows if row["row"] == "line"]
    assert exact == [
        line.exact
        for group in view_of(facts).groups
        for line in facts.invoice.lines
        if str(line.line) in {row.number for row in group.rows}
    ]


@pytest.mark.parametrize("name", EXAMPLES)
def test_json_is_the_wire_form(name: str) -> None:
    facts = EXAMPLES[name]()
    assert render(facts, "json") == encode(invoice_document(facts.invoice))


@pytest.mark.parametrize("name", documents.HOSTILE, ids=range(len(documents.HOSTILE)))
@pytest.mark.parametrize("form", FORMATS)
def test_a_hostile_name_breaks_no_format(name: str, form: str) -> None:
    content = render(documents.hostile(name), form)
    if form == "html":
        assert html_tags(content) == html_tags(render(documents.hostile("plain"), form))
    if form == "csv":
        _check_cells(csv_rows(content))
    if form == "json":
        assert json.loads(content)["line_items"][0]["metadata"]["user_id"] == name
    if form == "pdf":
        assert "1.23" in "".join(pdf_pages(content))


@settings(max_examples=150)
@given(st.text(min_size=1, max_size=80))
def test_no_text_is_ever_markup_or_a_formula(name: str) -> None:
    facts = documents.hostile(name)
    assert html_tags(render(facts, "html")) == html_tags(render(documents.hostile("p"), "html"))
    _check_cells(csv_rows(render(facts, "csv")))


@settings(max_examples=25)
@given(st.text(min_size=1, max_size=80))
def test_no_text_keeps_a_pdf_from_being_made(name: str) -> None:
    facts = documents.hostile(name)
    pages = pdf_pages(render(facts, "pdf"))
    assert amounts("\n".join(pages))["115.70"] == 1


def _check_cells(rows: list[dict[str, str]]) -> None:
    assert [row["row"] for row in rows[:2]] == ["line", "group"]
    numbers = ("amount", "exact", "quantity", "unit_price")
    for row in rows:
        assert None not in row
        for column, cell in row.items():
            if column not in numbers:
                assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")), (column, cell)
