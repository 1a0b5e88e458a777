"""A database of the first release, with two billed months in it, goes on as it was."""

import gzip
import json
import lzma
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from chargeback_worker.period import Period, to_us
from chargeback_worker.pipeline.close import CloseResult, close
from chargeback_worker.pipeline.closing.settlement import terms_of
from chargeback_worker.pipeline.reopen import reopen
from chargeback_worker.reports.verify import verify
from chargeback_worker.settings import Settings
from chargeback_worker.store import Store, schema
from chargeback_worker.store.audit import Act
from tests.support.command import Command
from tests.support.feed import usage
from tests.support.postgres import PostgresServer

DATA = Path(__file__).parent / "data/upgrade"
ANSWERS = json.loads((DATA / "answers.json").read_text())
MONTHS = ("2026-09", "2026-10", "2026-11")
# The open month is over, and due.
THEN_US = to_us(datetime(2026, 12, 5, tzinfo=UTC))


def _restored(url: str) -> None:
    """Fill an empty database with what the first release left."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        assert address.database is not None
        Path(address.database).write_bytes(lzma.decompress((DATA / "first.sqlite.xz").read_bytes()))
        return
    dump = lzma.decompress((DATA / "first.postgresql.sql.xz").read_bytes())
    plain = address.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(dump)


def _upgraded(url: str) -> None:
    _restored(url)
    store = Store(url)
    schema.upgrade(store)
    store.close()


@pytest.fixture(scope="module")
def sqlite_upgraded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upgraded") / "books.db"
    _upgraded(f"sqlite:///{path}")
    return path


@pytest.fixture
def url(store_kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of upgraded books on each kind of store in turn: a copy of ones upgraded once."""
    if store_kind == "sqlite":
        found: str = request.getfixturevalue("sqlite_url")
        shutil.copy(request.getfixturevalue("sqlite_upgraded"), found.removeprefix("sqlite:///"))
        yield found
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    with server.database(_upgraded) as found:
        yield found


@pytest.fixture
def upgraded(url: str) -> Command:
    return Command(["--database", url])


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    yield store
    store.close()


@pytest.fixture
def answers(store_kind: str) -> dict[str, Any]:
    found: dict[str, Any] = ANSWERS[store_kind]
    return found


def test_nothing_works_on_it_before_the_upgrade_which_is_named(database_url: str) -> None:
    _restored(database_url)
    chargeback = Command(["--database", database_url])
    refused = chargeback("verify")
    assert refused.code == 3
    assert "has schema 0001" in refused.err
    assert "chargeback db upgrade" in refused.err
    done = chargeback.ok("db", "upgrade", "-o", "json").json["database"]
    assert done["before"] == "0001"
    assert done["schema"] == done["wanted"]
    again = chargeback.ok("db", "upgrade", "-o", "json").json["database"]
    assert again["before"] == done["schema"]


def test_all_of_it_is_recomputed_and_agrees(store: Store) -> None:
    result = verify(store)
    assert result.mismatches == ()
    rows = {check.name: check.rows for check in result.checks}
    for name in ("records", "conflicts", "quarantine", "bookings", "settlement", "messages"):
        assert rows[name] > 0, name


def test_months_invoices_and_usage_are_what_the_first_release_said(
    upgraded: Command, answers: dict[str, Any]
) -> None:
    told = {row["period"]: row for row in upgraded.ok("periods", "-o", "json").json["periods"]}
    for month, said in answers["periods"].items():
        assert {name: told[month][name] for name in said} == said
    listed = upgraded.ok("invoices", "list", "-o", "json").json["invoices"]
    invoices = {row["invoice_number"]: row for row in listed}
    assert invoices.keys() == answers["invoices"].keys()
    for number, said in answers["invoices"].items():
        lines = len(invoices[number]["line_items"])
        assert {**{k: invoices[number].get(k) for k in said}, "lines": lines} == said
    for month, said in answers["summaries"].items():
        found = upgraded.ok("usage", "summary", "--period", month, "-o", "json").json["summary"]
        assert {name: found[name] for name in said} == said


def test_every_old_invoice_is_explained_down_to_the_events(
    upgraded: Command, answers: dict[str, Any]
) -> None:
    adjusted = 0
    for number in answers["invoices"]:
        told = upgraded.ok("explain", number, "-o", "json").json["explanation"]
        assert told["lines"], number
        adjusted += sum(line["kind"] == "adjustment" for line in told["lines"])
        last = upgraded.ok("explain", number, "--line", told["lines"][-1]["line"])
        assert "1 record" in last.out or "records" in last.out
    assert adjusted > 0
    assert "No rule claimed it" in upgraded.ok("explain", "unallocated", "--period", MONTHS[0]).out


def test_old_invoices_are_rendered(upgraded: Command, tmp_path: Path) -> None:
    for kind in ("html", "csv", "json"):
        file = tmp_path / f"invoice.{kind}"
        number = "INV-202610-0007"
        upgraded.ok("invoices", "render", number, "--format", kind, "--out", str(file))
        assert number in file.read_text()


def test_what_was_counted_is_not_counted_again(upgraded: Command, tmp_path: Path) -> None:
    events = gzip.decompress((DATA / "usage-2026-11.jsonl.gz").read_bytes())
    # Another file to the cursor, the same events to the keys.
    file = tmp_path / "again.jsonl"
    file.write_bytes(b"\n".join([usage("new", day="2026-11-02"), events]))
    [row] = upgraded.ok("ingest", str(file), "-o", "json").json["files"]
    assert (row["accepted"], row["duplicate"]) == ("1", str(events.count(b"\n")))


def test_the_next_month_closes_over_late_usage_of_the_old_ones(
    upgraded: Command, store: Store, tmp_path: Path, answers: dict[str, Any]
) -> None:
    file = tmp_path / "late.jsonl"
    days = ("2026-09-05", "2026-10-06", "2026-11-07")
    events = [usage(day, "0.123456789", day=day, team="search") for day in days]
    file.write_bytes(b"\n".join(events) + b"\n")
    upgraded.ok("ingest", str(file))
    assert closed(store, "2026-11").close.invoices > 0
    assert verify(store).mismatches == ()
    origins = {row["metadata"].get("origin_period") for row in lines_of(upgraded, "2026-11")}
    assert origins >= {"2026-09", "2026-10"}
    listed = upgraded.ok("invoices", "list", "--period", "2026-10", "-o", "json").json["invoices"]
    for row in listed:
        assert row["total_usd"] == answers["invoices"][row["invoice_number"]]["total_usd"]


def lines_of(chargeback: Command, period: str) -> list[dict[str, Any]]:
    listed = chargeback.ok("invoices", "list", "--period", period, "-o", "json").json["invoices"]
    return [line for invoice in listed for line in invoice["line_items"]]


def closed(store: Store, month: str) -> CloseResult:
    act = Act("test", THEN_US)
    return close(store, Period.parse(month), terms_of(Settings()), act, owner="test")


def test_an_old_month_is_reopened_and_closed_again_over_no_difference(store: Store) -> None:
    reopen(store, Period.parse("2026-10"), Act("test", THEN_US, "to see"))
    assert closed(store, "2026-10").close.booked == 0
    assert verify(store).mismatches == ()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE usage_total SET records = records + 1 WHERE period = 202609",
        "UPDATE booking SET cost_whole = cost_whole + 1 WHERE billing_period = 202610",
        "UPDATE invoice SET number = 'INV-202609-9999' WHERE number = 'INV-202609-0001'",
        "DELETE FROM audit",
    ],
)
def test_the_guards_stand_on_what_was_there(store: Store, statement: str) -> None:
    with pytest.raises(sa.exc.DatabaseError), store.engine.begin() as connection:
        connection.exec_driver_sql(statement)
