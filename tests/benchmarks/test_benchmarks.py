"""The benches themselves, on months too small to measure anything."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.benchmarks import allocation, api, child, invoices, meanwhile, quarantine, receivers
from tests.benchmarks.databases import PostgresDatabases, SQLiteFiles
from tests.benchmarks.figures import Figure, LeftOut, write
from tests.benchmarks.month import TOTALS_OF_PAIR_MAX, Month, rules
from tests.benchmarks.trying import here, written
from tests.support.brokers import BrokerServer
from tests.support.postgres import PostgresServer


def test_the_allocation_bench_gives_each_figure_with_its_shape(tmp_path: Path) -> None:
    figures = list(allocation.measure(SQLiteFiles(tmp_path), runs=1, quick=True, run=here))
    found = written(tmp_path, figures)
    assert {"allocate_1m_sqlite", "close_10m_events_sqlite"} <= found.keys()


def test_the_invoices_bench_reads_back_what_it_has_published(
    tmp_path: Path, any_broker: BrokerServer
) -> None:
    servers = any_broker.bootstrap_servers
    figures = invoices.measure(
        SQLiteFiles(tmp_path), runs=1, quick=True, run=here, kafka=lambda: nullcontext(servers)
    )
    found = written(tmp_path, list(figures))
    assert found["invoices_publish_10k_sqlite"]["of"] == "invoices_produce_10k_sqlite"


def test_without_kafka_the_invoices_bench_only_closes(tmp_path: Path) -> None:
    figures = invoices.measure(
        SQLiteFiles(tmp_path), runs=1, quick=True, run=here, kafka=nullcontext
    )
    names = {figure.name for figure in figures}
    assert "invoices_write_10k_sqlite" in names
    assert not [name for name in names if "publish" in name]


def test_the_quarantine_bench_counts_every_event_that_was_held(tmp_path: Path) -> None:
    figures = list(quarantine.measure(SQLiteFiles(tmp_path), runs=1, quick=True, run=here))
    found = written(tmp_path, figures)
    assert found["replay_100k_sqlite"]["of"] == "replay_ingested_sqlite"


def test_the_bench_of_what_ingest_notices_of_a_close_sees_batches_before_and_meanwhile(
    tmp_path: Path,
) -> None:
    figures = list(meanwhile.measure(SQLiteFiles(tmp_path), runs=1, quick=True, run=here))
    found = written(tmp_path, figures)
    assert found["meanwhile_longest_sqlite"]["of"] == "meanwhile_quiet_longest_sqlite"


def test_the_bench_of_the_api_asks_with_more_records_behind_and_sends_by_every_way(
    tmp_path: Path, postgresql: PostgresServer
) -> None:
    databases = PostgresDatabases(postgresql)
    figures = list(api.measure(databases, runs=1, quick=True, run=here, kafka=nullcontext))
    found = written(tmp_path, figures)
    assert found["api_summary_p99_10m"]["of"] == "api_summary_p99_1m"
    assert found["api_report_team_p50_1m"]["of"] == "api_report_team_p50_bare"
    assert {"api_post_1", "api_post_8", "api_post_64", "api_batch"} <= found.keys()
    assert LeftOut("api_topic", "no Kafka was found") in figures


def test_figures_of_other_benches_stay_in_the_file(tmp_path: Path) -> None:
    results = tmp_path / "bench.json"
    one = Figure("one", "s", (1.0, 4.0, 2.0))
    write(results, [one, Figure("other", "s", (3.0,)).beside(one)])
    write(results, [Figure("one", "s", (0.51239,))])
    found = json.loads(results.read_text())
    assert found["other"]["ratio"] == 1.5
    assert found["one"]["value"] == 0.512


def test_a_child_tells_its_own_peak_of_memory(tmp_path: Path) -> None:
    found = child.run("fill", f"sqlite:///{tmp_path / 'filled.db'}", 2, 3, 1)
    assert 10 < found["peak_mb"] < 1000


def test_the_months_of_receivers_have_as_many_messages_as_they_say() -> None:
    made = list(receivers.usage(25))
    assert len({total.key for total in made}) == len(made)
    billed = {(total.period, total.team) for total in made}
    assert receivers.messages(25) == len(billed) + len(receivers.MONTHS)


@pytest.mark.parametrize("of_pair", [1, 7, TOTALS_OF_PAIR_MAX])
def test_a_month_has_as_many_different_totals_as_it_says(of_pair: int) -> None:
    month = Month(40, of_pair)
    totals = list(month.totals())
    assert len({total.key for total in totals}) == len(totals) == month.size
    assert totals == sorted(totals, key=lambda total: total.day)


def test_the_month_has_fifty_rules_of_five_types() -> None:
    made = rules()
    assert len({rule.rule_id for rule in made}) == len(made) == 50
    assert len({rule.rule_type for rule in made}) == 5
    assert any(rule.effective_from is not None for rule in made)
