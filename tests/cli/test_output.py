"""Tables for people, JSON and CSV for machines, nothing harmful for terminals and spreadsheets."""

import csv
import io
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chargeback_worker.cli.output import (
    Column,
    escaped,
    exact_usd,
    grouped,
    show_csv,
    show_json,
    show_table,
    usd,
)
from chargeback_worker.invoicing.document import Amount
from chargeback_worker.money import fixed
from tests.support.command import Command


@given(st.text())
@example("\x1b[2J\x9b31m\u202egnp.exe\r\n\ud800")
def test_nothing_that_is_shown_moves_the_cursor(text: str) -> None:
    shown = escaped(text)
    assert shown.isprintable()
    assert text.isprintable() or shown != text


def test_a_table_escapes_what_a_column_makes_of_a_value(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    columns = (Column("of", "Of which", lambda found: ", ".join(found)), Column("rule", "Rule"))
    show_table([{"of": {"\x1b[2J": 1}, "rule": {"match": "\u202egnp"}}], columns)
    shown = capsysbinary.readouterr().out.decode()
    assert "\\x1b[2J" in shown
    assert "\\u202egnp" in shown
    assert shown.replace("\n", "").isprintable()


@given(st.integers(-(10**30), 10**30))
def test_amounts_for_people_keep_every_digit(nano: int) -> None:
    for shown in (usd(Amount(nano)), exact_usd(Amount(nano))):
        digits = shown.replace(",", "")
        assert fixed(nano).startswith(digits)
        assert not fixed(nano).removeprefix(digits).strip("0")


def test_thousands_are_grouped() -> None:
    assert [grouped(text) for text in ("-1234567.5", "999", "-0.25", "1000")] == [
        "-1,234,567.5",
        "999",
        "-0.25",
        "1,000",
    ]


def test_csv_has_plain_amounts_and_no_formulas(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    columns = (Column("team"), Column("cost"), Column("more.why", wide=True))
    rows = [
        {"team": "=1+1", "cost": Amount(-1_500_000_000), "more": {"why": None}},
        {"team": 'a "b", c\nd', "cost": Amount(10**25), "more": None},
    ]
    show_csv(rows, columns)
    read = list(csv.reader(io.StringIO(capsysbinary.readouterr().out.decode())))
    assert read == [
        ["team", "cost", "more.why"],
        ["'=1+1", "-1.5", ""],
        ['a "b", c\nd', "10000000000000000", ""],
    ]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\n\r"])
def test_csv_keeps_a_cell_with_an_end_of_line_in_its_row(
    capsysbinary: pytest.CaptureFixture[bytes], end: str
) -> None:
    cell = f"a{end}=1+1"
    show_csv([{"team": cell, "cost": Amount(1)}], (Column("team"), Column("cost")))
    out = capsysbinary.readouterr().out.decode()
    assert out == f'team,cost\n"{cell}",0.000000001\n'
    assert list(csv.reader(io.StringIO(out, newline="")))[1:] == [[cell, "0.000000001"]]


def test_csv_quotes_no_more_than_it_must(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    show_csv([{"a": "x y", "b": 'q"'}, {"a": "", "b": "ü;"}], (Column("a"), Column("b")))
    assert capsysbinary.readouterr().out.decode() == 'a,b\nx y,"q"""\n,ü;\n'
    show_csv([{"a": None}], (Column("a"),))
    assert capsysbinary.readouterr().out == b'a\n""\n'


def test_times_are_written_as_json_has_them(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    at = datetime(2026, 11, 3, 8, 30, 0, 250_000, tzinfo=UTC)
    show_csv([{"at": at}], (Column("at"),))
    show_json({"at": at})
    assert capsysbinary.readouterr().out == (
        b'at\n2026-11-03T08:30:00.250000Z\n{"at":"2026-11-03T08:30:00.250000Z"}\n'
    )


def test_csv_of_nothing_still_has_its_heading(sqlite_chargeback: Command) -> None:
    assert sqlite_chargeback.ok("audit", "-o", "csv").out == (
        "audit_id,at,actor,action,subject,before,after,reason\n"
    )


def test_json_goes_out_in_one_line_with_its_digits(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    show_json({"a": Amount(1), "b": "ü"})
    assert capsysbinary.readouterr().out.decode() == '{"a":0.000000001,"b":"ü"}\n'


def test_a_table_in_a_pipe_is_neither_coloured_nor_wrapped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_table([{"a": "x" * 500, "b": "[red]no[/red]"}], (Column("a", "A"), Column("b", "B")))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "x" * 500 + "   [red]no[/red]\n" in out


def test_a_narrow_terminal_gets_the_columns_that_matter(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    columns = (
        Column("number", "Number"),
        Column("kind", "Kind", spare=1),
        Column("at", "At", spare=2),
        Column("cost", "Cost", exact_usd, right=True),
    )
    rows = [{"number": "n" * 20, "kind": "k" * 10, "at": "t" * 20, "cost": Amount(1)}]
    for width, headings, left_out in (
        (72, ["Number", "Kind", "At", "Cost"], ""),
        (71, ["Number", "Kind", "Cost"], "At"),
        (40, ["Number", "Cost"], "At, Kind"),
        (20, ["Number", "Cost"], "At, Kind"),
    ):
        monkeypatch.setenv("COLUMNS", str(width))
        show_table(rows, columns)
        out, err = capsys.readouterr()
        out = re.sub(r"\x1b\[[0-9;]*m", "", out)
        assert out.splitlines()[0].split() == headings
        assert (f"for want of room: {left_out}." in err) == bool(left_out)
        assert max(map(len, out.splitlines())) <= max(width, 36)


def test_the_program_runs_as_a_module_and_ends_quietly_where_nobody_reads() -> None:
    command = [sys.executable, "-m", "chargeback_worker"]
    shown = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("chargeback 0.")
    make = [*command, "simulate", "--events", "20000", "--to", "-"]
    with subprocess.Popen(make, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 1
