"""The bench of ingest itself, with so few events that it measures nothing."""

import json
from collections import Counter
from contextlib import nullcontext
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from chargeback_worker.store import Store
from chargeback_worker.usage.event import UsageEvent
from tests.benchmarks import database_step, ingest, ingest_kafka, preload
from tests.benchmarks.databases import PostgresDatabases, SQLiteFiles
from tests.benchmarks.figures import Figure, LeftOut, table, write
from tests.benchmarks.trying import here, written
from tests.benchmarks.usage_stream import TOTALS_A_DAY, batches, usage
from tests.support.brokers import BrokerServer
from tests.support.feed import held
from tests.support.postgres import PostgresServer


def test_the_ingest_bench_gives_each_figure_of_sqlite(tmp_path: Path) -> None:
    figures = ingest.measure(SQLiteFiles(tmp_path), runs=1, quick=True, run=here)
    found = written(tmp_path, list(figures))
    assert found["sqlite_vs_executemany"]["of"] == "sqlite_executemany"


AIMS = {
    "ingest_vs_copy",
    "ingest_vs_consume",
    "growth_2m",
    "wal_bytes_2m",
    "two_workers",
    "rss_mb",
    "restart_s",
    "visible_p99_s",
}


def test_the_ingest_bench_gives_each_figure_of_workers_on_kafka(
    tmp_path: Path, postgresql: PostgresServer, kafka: BrokerServer
) -> None:
    servers = kafka.bootstrap_servers
    figures = list(
        ingest.measure(
            PostgresDatabases(postgresql),
            runs=1,
            quick=True,
            run=here,
            kafka=lambda: nullcontext(servers),
        )
    )
    found = written(tmp_path, figures)
    assert found.keys() >= AIMS
    assert found["ingest_vs_copy"]["of"] == "ingest_copy"
    assert found["growth_2m"]["of"] == "ingest_vs_copy"
    assert "ingest_vs_quix" in {figure.name for figure in figures}


def test_without_kafka_the_figures_of_workers_are_left_out(postgresql: PostgresServer) -> None:
    findings = ingest_kafka.on_kafka(
        PostgresDatabases(postgresql), None, full={}, runs=1, load=ingest_kafka.QUICK, run=here
    )
    left_out = {finding.name for finding in findings if isinstance(finding, LeftOut)}
    assert {"ingest_vs_quix", "ingest_vs_consume", "restart_s"} <= left_out


def test_what_was_left_out_is_shown_and_takes_an_older_figure_away(tmp_path: Path) -> None:
    results = tmp_path / "bench.json"
    write(results, [Figure("one", "s", (1.0,)), Figure("other", "s", (2.0,))])
    left_out = LeftOut("one", "there is none")
    write(results, [left_out])
    assert json.loads(results.read_text()).keys() == {"other"}
    console = Console(width=100, record=True, file=StringIO())
    console.print(table([left_out]))
    assert "left out: there is none" in console.export_text()


def test_the_bare_write_leaves_the_keys_and_records_of_our_step(
    tmp_path: Path, store_kind: str, request: pytest.FixtureRequest
) -> None:
    left = []
    for job in (database_step.step, database_step.write):
        url = f"sqlite:///{tmp_path / job.__name__}.db"
        if store_kind == "postgresql":
            url = request.getfixturevalue("postgresql").create_database()
        database_step.prepare(url)
        found = job(url, 2_000, 700, 1)
        store = Store(url)
        left.append(held(store))
        store.close()
        assert found["accepted"] == len(left[-1].keys)
    ours, bare = left
    assert ours.keys == bare.keys
    assert ours.records == bare.records
    assert ours.totals
    assert not bare.totals


def test_the_stream_repeats_some_events_and_contradicts_a_few() -> None:
    said = [
        event.said
        for batch in batches(60_000, 20_000, 1)
        for events in batch.values()
        for event in events
    ]
    events = [event for event in said if isinstance(event, UsageEvent)]
    assert len(events) == len(said) == 60_000
    contents: dict[bytes, Counter[bytes]] = {}
    for event in events:
        contents.setdefault(event.identity, Counter())[event.content] += 1
    conflicts = sum(len(of_one) - 1 for of_one in contents.values())
    assert 2 <= conflicts <= 20
    assert 550 <= len(events) - len(contents) - conflicts <= 800
    totals = {(e.team, e.user, e.agent) for e in events}
    assert TOTALS_A_DAY * 0.99 < len(totals) <= TOTALS_A_DAY


def test_each_seed_has_events_of_its_own_and_the_same_ones_again() -> None:
    first, again, other = (list(usage(500, seed)) for seed in (1, 1, 2))
    assert first == again
    assert not set(first) & set(other)


def test_what_is_stored_beforehand_has_the_indexes_that_it_had(
    postgresql: PostgresServer,
) -> None:
    indexes = []
    with postgresql.database() as empty, postgresql.database() as full:
        database_step.prepare(empty)
        preload.preload(full, 1_000)
        for url in (empty, full):
            store = Store(url)
            with store.read() as transaction:
                rows = transaction.connection.exec_driver_sql(
                    "SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'usage_%%' ORDER BY 1"
                ).all()
                keys = transaction.connection.exec_driver_sql("SELECT count(*) FROM usage_key")
                assert keys.scalar_one() == (0 if url == empty else 1_000)
            store.close()
            indexes.append([row.indexdef for row in rows])
    assert indexes[0] == indexes[1]


def test_more_events_than_the_disk_can_take_are_refused(postgresql: PostgresServer) -> None:
    with (
        postgresql.database() as url,
        pytest.raises(preload.TooLittleRoom, match="events take some"),
    ):
        preload.check_room(url, 10**12)
