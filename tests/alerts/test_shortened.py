"""The rules of the fault table are the real ones, their times apart."""

import re
from pathlib import Path

from tests.alerts.faults import FAULTS
from tests.alerts.hasty import hasten
from tests.alerts.shortened import RULES, shortened
from tests.support.prometheus import Prometheus, alert_rules


def test_every_time_is_divided_and_nothing_else_changed(tmp_path: Path) -> None:
    path = shortened(60, tmp_path / "rules.yml")
    for real, quick in zip(alert_rules(RULES), alert_rules(path), strict=True):
        assert _without_times(quick["expr"]) == _without_times(real["expr"])
        assert quick["labels"] == real["labels"]
        assert quick["annotations"] == real["annotations"]
        assert ("for" in quick) == ("for" in real)
    rules = {rule["alert"]: rule for rule in alert_rules(path)}
    assert rules["ChargebackQuarantineWaits"]["for"] == "360000ms"
    assert "> 2\n" in rules["ChargebackRoleSilent"]["expr"]
    assert "[2000ms]" in alert_rules(shortened(300, path))[5]["expr"]
    assert "> 60" in rules["ChargebackPeriodOverdue"]["expr"]


def test_shortened_rules_are_rules(prometheus: Prometheus, tmp_path: Path) -> None:
    done = prometheus.checked("check", "rules", shortened(60, tmp_path / "rules.yml"))
    assert done.returncode == 0, done.stderr


def test_there_is_a_fault_for_each_alert_and_for_none_that_there_is_not() -> None:
    assert sorted(FAULTS) == sorted(rule["alert"] for rule in alert_rules(RULES))


def test_what_is_hastened_is_there() -> None:
    hasten(1)


def _without_times(expr: str) -> str:
    return re.sub(r"\[\w+\]|> [\d.]+", "", expr)
