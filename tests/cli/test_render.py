"""`chargeback invoices render`: documents into files and pipes, and what is refused."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from chargeback_worker.documents.formats import FORMATS
from tests.support.command import Command
from tests.support.feed import usage
from tests.support.reading_documents import csv_rows, html_text, pdf_pages

NUMBER = "INV-202310-0001"
_PDF = ("invoices", "render", NUMBER, "--format", "pdf")


def test_each_format_is_in_the_help() -> None:
    assert "|".join(FORMATS) in Command().ok("invoices", "render", "--help").out


@pytest.fixture
def billed(sqlite_chargeback: Command, tmp_path: Path) -> Command:
    """A database with one invoice."""
    file = tmp_path / "usage.jsonl"
    file.write_bytes(usage("a", "12.345", team="A", day="2023-10-05"))
    sqlite_chargeback.ok("ingest", str(file))
    sqlite_chargeback.ok("close", "2023-10")
    return sqlite_chargeback


def test_html_goes_to_standard_output_unless_a_file_is_named(
    billed: Command, tmp_path: Path
) -> None:
    shown = billed.ok("invoices", "render", NUMBER).out
    assert "12.34" in html_text(shown.encode())
    out = tmp_path / "invoice.html"
    ended = billed.ok("invoices", "render", NUMBER, "--out", str(out))
    assert out.read_text("utf-8") == shown
    assert (ended.out, ended.err) == ("", f"Written: {out}\n")
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_every_format_is_written(billed: Command, tmp_path: Path) -> None:
    made = {}
    for form in ("html", "pdf", "csv", "json"):
        out = tmp_path / f"invoice.{form}"
        billed.ok("invoices", "render", NUMBER, "--format", form, "--out", str(out))
        made[form] = out.read_bytes()
    assert "12.34" in pdf_pages(made["pdf"])[0]
    assert csv_rows(made["csv"])[0]["exact"] == "12.345000000"
    show = billed.ok("invoices", "show", NUMBER, "-o", "json").out
    assert show.strip() == '{"invoice":' + made["json"].decode() + "}"


def test_the_settings_say_how_it_looks(billed: Command, tmp_path: Path) -> None:
    dressed = billed.having(
        "--set", "documents.issuer=Platform & Söhne",
        "--set", "documents.issuer_address=Kastanienallee 7, Hof\nBerlin",
        "--set", "documents.locale=de-DE",
    )  # fmt: skip
    text = html_text(dressed.ok("invoices", "render", NUMBER).out.encode())
    for said in ("Platform & Söhne", "Kastanienallee 7, Hof", "Berlin", "Oktober 2023", "12,34"):
        assert said in text


def test_exact_amounts_are_shown_on_demand(billed: Command) -> None:
    assert ' id="exact" autocomplete="off" checked>' in (
        billed.ok("invoices", "render", NUMBER, "--exact").out
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("INV-1",), 5, "There is no invoice 'INV-1'."),
        ((NUMBER, "--format", "pfd"), 2, "'pfd' is no format of documents, did you mean pdf?"),
        ((NUMBER, "--out", "/nowhere/x.html"), 2, "there is no such folder"),
        ((NUMBER, "--out", "/"), 2, "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said(
    billed: Command, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ended = billed("invoices", "render", *arguments)
    assert ended.code == code
    assert said in ended.err


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("documents.locale=de_XX", "such as en, en_GB or de_CH, did you mean one of de, de_AT"),
        ("documents.paper=a5", "documents.paper"),
        ("documents.logo=/nowhere.png", "documents.logo: '/nowhere.png' cannot be read"),
    ],
)
def test_a_wrong_setting_is_a_fault_of_the_configuration(
    billed: Command, setting: str, said: str
) -> None:
    ended = billed.having("--set", setting)("invoices", "render", NUMBER)
    assert ended.code == 3
    assert said in ended.err


def test_a_pdf_is_not_thrown_onto_a_terminal(billed: Command) -> None:
    program = "from chargeback_worker.cli import main; main()"
    outer, inner = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, *billed.options, *_PDF],
            stdout=inner,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        os.close(inner)
        os.close(outer)
    assert done.returncode == 2
    assert f"{NUMBER}.pdf is no text" in done.stderr
    assert f"--out {NUMBER}.pdf" in done.stderr
