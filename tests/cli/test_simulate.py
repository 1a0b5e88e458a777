"""What `simulate` tells of its events is what becomes of them."""

import gzip
import stat
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from chargeback_worker import app
from chargeback_worker.broker import TopicPartition
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.cli import simulate
from tests.support.brokers import BrokerServer
from tests.support.command import Command

MAKE = ("simulate", "--events", "800", "--month", "2026-09", "--anomalies", "all")


def test_what_it_tells_is_what_ingest_finds(chargeback: Command, tmp_path: Path) -> None:
    file = str(tmp_path / "usage.jsonl.gz")
    told = chargeback.ok(*MAKE, "--to", file, "-o", "json").json["simulated"]
    assert told["events"] == "800"
    (found,) = chargeback.ok("ingest", file, "-o", "json").json["files"]
    outcomes = ("accepted", "duplicate", "conflict", "quarantined")
    assert {name: found[name] for name in outcomes} == {name: told[name] for name in outcomes}
    summary = chargeback.ok("usage", "summary", "--period", "2026-08-01/2026-10-01", "-o", "json")
    assert summary.json["summary"]["total_cost_usd"] == told["cost_usd"]
    for team, cost in told["by_team"].items():
        of_team = chargeback.ok(
            "usage", "summary", "--period", "2026-08-01/2026-10-01", "--team", team, "-o", "json"
        )
        assert Decimal(of_team.json["summary"]["total_cost_usd"]) == Decimal(cost)


def test_the_same_seed_makes_the_same_file(tmp_path: Path) -> None:
    chargeback = Command()
    for name, seed in (("a.gz", "4"), ("b.gz", "4"), ("c.gz", "5"), ("d", "4")):
        chargeback.ok(*MAKE, "--seed", seed, "--to", str(tmp_path / name))
    made = {name: (tmp_path / name).read_bytes() for name in ("a.gz", "b.gz", "c.gz", "d")}
    assert made["a.gz"] == made["b.gz"] != made["c.gz"]
    assert gzip.decompress(made["a.gz"]) == made["d"]
    assert chargeback.ok(*MAKE, "--seed", "4", "--to", "-").out.encode() == made["d"]
    readable_by_all = stat.S_IMODE((tmp_path / "d").stat().st_mode) & 0o044
    (tmp_path / "touched").touch()
    assert readable_by_all == stat.S_IMODE((tmp_path / "touched").stat().st_mode) & 0o044


def test_the_last_whole_month_is_made_in_the_billing_time_zone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "now", lambda: datetime(2026, 10, 31, 23, 30, tzinfo=UTC))
    for zone, month in (("UTC", "2026-09"), ("Europe/Berlin", "2026-10")):
        made = Command(["--set", f"billing.timezone={zone}"]).ok(
            "simulate", "--events", "5", "--to", str(tmp_path / "x"), "-o", "json"
        )
        assert made.json["simulated"]["month"] == month


def test_a_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken_off(*args: object, **more: object) -> object:
        raise KeyboardInterrupt
        yield

    file = tmp_path / "usage.jsonl"
    file.write_text("of yesterday")
    monkeypatch.setattr(simulate, "simulate", broken_off)
    assert Command()(*MAKE, "--to", str(file)).code == 130
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text() == "of yesterday"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    ended = Command()(*MAKE, "--to", str(tmp_path / "none" / "usage"))
    assert ended.code == 2
    assert "there is no such folder" in ended.err


def test_all_of_it_is_acknowledged_by_the_topic(
    memory_broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulate, "IN_FLIGHT_MAX", 50)
    memory_broker.create_topic("usage-events", 3)
    told = Command().ok(*MAKE, "--to-topic", "-o", "json").json["simulated"]
    assert told["to"] == "usage-events"
    places = [TopicPartition("usage-events", number) for number in range(3)]
    assert sum(memory_broker.reader().end_offsets(places).values()) == 800


def test_topics_are_made_once_and_filled(any_broker: BrokerServer) -> None:
    at_broker = Command(
        [
            "--broker",
            any_broker.bootstrap_servers,
            "--set",
            "kafka.usage_topic=cli-usage",
            "--set",
            "kafka.invoices_topic=cli-invoices",
        ]
    )
    first = at_broker.ok("topics", "create", "--partitions", "2", "-o", "json").json["topics"]
    assert [(row["topic"], row["partitions"], row["created"]) for row in first] == [
        ("cli-usage", "2", True),
        ("cli-invoices", "2", True),
    ]
    again = at_broker.ok("topics", "create", "--partitions", "9", "-o", "json").json["topics"]
    assert [(row["partitions"], row["created"]) for row in again] == [("2", False), ("2", False)]
    told = at_broker.ok(*MAKE, "--to-topic", "-o", "json").json["simulated"]
    assert told["events"] == "800"


def test_a_month_that_is_not_over_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "usage.jsonl")
    for month, told in (("2098-01", True), ("2026-09", False)):
        ended = Command().ok("simulate", "--events", "5", "--month", month, "--to", path)
        assert ("is not over" in ended.err) == told
