"""Dashboards: files that Grafana can read, whose queries ask for what a worker really serves.

Grafana itself is not run here.
"""

import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from chargeback_worker.metrics import CATALOGUE
from tests.alerts.shortened import RULES, shortened
from tests.faults.flow import Pace
from tests.faults.scene import Ground, Scene, scene, until
from tests.faults.worker import Worker
from tests.support.brokers import BrokerServer
from tests.support.postgres import PostgresServer
from tests.support.prometheus import Prometheus, Running, alert_rules, names_in

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))
BOARDS = {path.stem: json.loads(path.read_text()) for path in FILES}
PANELS = [
    (name, panel)
    for name, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]
QUERIES = [(name, target["expr"]) for name, panel in PANELS for target in panel["targets"]]
FACTOR = 60
EVENTS = 2_000
ALERTS = [rule["alert"] for rule in alert_rules(RULES)]
DUE = {"ChargebackConflicts", "ChargebackQuarantineBurst"}
USUAL = "duplicate=0.05,conflict=0.02,poison=0.1"
SETTINGS = {
    "CHARGEBACK_TEST_FACTOR": str(FACTOR),
    "CHARGEBACK_BILLING__FIRST_PERIOD": "2026-05",
    "CHARGEBACK_INGEST__MAX_REFUSED__SHARE": "1.0",
}


def asked(expr: str) -> str:
    """A query as Grafana sends it."""
    return expr.replace("$__rate_interval", "4s")


def test_queries_ask_for_names_that_are_exported() -> None:
    named = {name for measure in CATALOGUE for name in measure.series}
    for board, expr in QUERIES:
        assert names_in(expr), (board, expr)
        assert names_in(expr) <= named, (board, expr)


def test_every_metric_is_on_a_dashboard() -> None:
    shown = set().union(*(names_in(expr) for _, expr in QUERIES))
    assert [one.name for one in CATALOGUE if not shown & set(one.series)] == []


def test_queries_have_no_variable_but_those_that_are_always_there() -> None:
    for board, expr in QUERIES:
        assert "$" not in asked(expr), (board, expr)
    for board in BOARDS.values():
        assert [one["name"] for one in board["templating"]["list"]] == ["datasource"]


@pytest.mark.parametrize("name", BOARDS)
def test_panels_say_what_they_show_and_do_not_lie_on_each_other(name: str) -> None:
    panels: list[dict[str, Any]] = BOARDS[name]["panels"]
    assert max(Counter(panel["id"] for panel in panels).values()) == 1
    for panel in panels:
        assert panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        if panel["type"] != "row":
            assert panel["description"]
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert {one["datasource"]["uid"] for one in panel["targets"]} == {"${datasource}"}
    for one, other in combinations(panels, 2):
        assert not _overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    across = one["x"] < other["x"] + other["w"] and other["x"] < one["x"] + one["w"]
    return across and one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"]


def test_the_boards_and_their_source_are_provisioned() -> None:
    sources = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())
    (source,) = sources["datasources"]
    for board in BOARDS.values():
        (variable,) = board["templating"]["list"]
        assert (variable["query"], variable["current"]["value"]) == (source["type"], source["uid"])
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS) == 2
    providers = yaml.safe_load((GRAFANA / "provisioning/dashboards/chargeback.yaml").read_text())
    assert [one["options"]["path"] for one in providers["providers"]] == ["/etc/grafana/dashboards"]


@pytest.mark.timeout(300)
def test_every_panel_shows_something_of_a_worker_under_usage_and_its_faults_fire_alerts(
    kafka: BrokerServer, postgresql: PostgresServer, prometheus: Prometheus, tmp_path: Path
) -> None:
    ground = Ground(kafka, postgresql, tmp_path)
    with scene(ground, Pace(EVENTS, 9, 400, 0), anomalies=USUAL, settings=SETTINGS) as given:
        worker = given.worker("worker", arguments=("tests.alerts.hasty", "run"))
        assert worker.wait_for("started"), worker.last_words
        (started,) = worker.lines("started")
        rules = [shortened(FACTOR, tmp_path / "alerts.yml")]
        target = f"127.0.0.1:{started['metrics_port']}"
        with prometheus.scraping([target], tmp_path / "prometheus", rules=rules) as server:
            # A counter that was never seen at 0 has not risen.
            until(server.scraped, "the worker is scraped")
            fired = _watched(given, worker, server)
            wrong = [expr for _, expr in QUERIES if not server.ask(asked(expr))]
            assert wrong == [], "no series"
            for outcome, count in given.flow.expected.outcomes.items():
                (found,) = server.ask(f'chargeback_events_total{{outcome="{outcome}"}}')
                assert found.value == count
            assert server.loaded() == list(ALERTS)
        # Of faults that there are not, none.
        assert not fired & {"ChargebackStoreDown", "ChargebackBooksDisagree", "ChargebackBooksHeld"}


def _watched(given: Scene, worker: Worker, server: Running) -> set[str]:
    """Every alert that fired until all usage was stored and shown, and those due had fired."""
    fired: set[str] = set()

    def all_seen() -> bool:
        assert worker.running, worker.last_words
        fired.update(server.firing())
        stored = sum(series.value for series in server.ask("chargeback_events_total"))
        return stored == given.flow.expected.events and fired >= DUE

    given.flow.enough.set()
    given.flow.start()
    until(all_seen, "all events are scraped, and alerts fire", 120)
    return fired
