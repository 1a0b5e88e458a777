"""Alerts: each fires when it should and not otherwise, and says where to read what to do."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from chargeback_worker.cli.program import program
from chargeback_worker.metrics import CATALOGUE
from tests.support.prometheus import Prometheus, alert_rules, names_in

Rule = dict[str, Any]
ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
CASES = Path(__file__).with_name("alerts.test.yml")
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
ALERTS: dict[str, Rule] = {rule["alert"]: rule for rule in alert_rules(RULES)}
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))


def cases() -> dict[str, list[bool]]:
    """For each alert, whether it fires in each of its cases."""
    found: dict[str, list[bool]] = {}
    for test in yaml.safe_load(CASES.read_text())["tests"]:
        for asked in test["alert_rule_test"]:
            found.setdefault(asked["alertname"], []).append(bool(asked["exp_alerts"]))
    return found


def failed(prometheus: Prometheus, folder: Path, change: Callable[[Rule], Rule]) -> set[str]:
    """The alerts whose cases do not hold where each rule is changed."""
    rules = yaml.safe_load(RULES.read_text())
    for rule in rules["groups"][0]["rules"]:
        rule |= change(rule)
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    cases = yaml.safe_load(CASES.read_text()) | {"rule_files": ["rules.yml"]}
    (folder / "cases.yml").write_text(yaml.safe_dump(cases))
    done = prometheus.checked("test", "rules", folder / "cases.yml")
    return set(re.findall(r"alertname: (\w+),", done.stdout + done.stderr))


def test_promtool_finds_no_fault_in_the_rules(prometheus: Prometheus) -> None:
    done = prometheus.checked("check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_each_alert_fires_and_does_not_fire_as_its_cases_say(prometheus: Prometheus) -> None:
    done = prometheus.checked("test", "rules", CASES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_case_of_both_kinds(alert: str) -> None:
    assert set(cases().get(alert, [])) == {True, False}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda rule: {"expr": f"({rule['expr']}) and on () vector(1) == 0"}, id="never"
        ),
        pytest.param(lambda rule: {"expr": f"({rule['expr']}) or vector(1)"}, id="always"),
        pytest.param(lambda rule: {"for": "9h"}, id="too late"),
    ],
)
def test_the_cases_of_each_alert_find_it_out_when_it_is_wrong(
    change: Callable[[Rule], Rule], prometheus: Prometheus, tmp_path: Path
) -> None:
    assert failed(prometheus, tmp_path, change) == set(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_says_how_urgent_it_is_and_where_to_read_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{alert.lower()}"
    section = SECTIONS.get(alert, "")
    assert section.startswith(f"\n{rule['labels']['severity'].capitalize()}")
    for part in ("Who is hurt", "Look", "Mend"):
        assert f"\n* **{part}**: " in section, (alert, part)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_looks_at_metrics_that_there_are(alert: str) -> None:
    named = {name for measure in CATALOGUE for name in measure.series}
    assert names_in(ALERTS[alert]["expr"]) <= named


def test_the_runbook_tells_of_no_alert_that_there_is_not() -> None:
    assert list(SECTIONS) == list(ALERTS)


def test_the_runbook_names_commands_metrics_and_settings_that_there_are() -> None:
    told = re.sub(r"\s+", " ", RUNBOOK)
    commands: Any = get_command(program)
    for line in re.findall(r"`chargeback ([^`]+)`", told):
        group = commands
        for word in line.split():
            if not hasattr(group, "commands"):
                break
            assert word in group.commands, line
            group = group.commands[word]
        options = {flag for parameter in group.params for flag in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", line)) <= options, line
    assert names_in(told) <= {measure.name for measure in CATALOGUE}
    settings = (ROOT / "config" / "chargeback.toml").read_text()
    for section, key in re.findall(r"`(ingest|billing|kafka|metrics)\.([a-z_]+)`", told):
        within = settings.split(f"\n[{section}]\n")[1].split("\n\n\n[")[0]
        assert re.search(rf"^(#{key} = |#?\[{section}\.{key}\])", within, re.MULTILINE), key
