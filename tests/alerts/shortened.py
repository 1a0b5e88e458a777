"""The alerts of deploy/prometheus, on a clock that goes faster: all their times by one factor."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from tests.support.prometheus import alert_rules

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "alerts.yml"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours"}
_WINDOW = re.compile(r"\[(\d+[smh])\]")
# What is compared with a number of three digits and more is in seconds: the file says so.
_SECONDS = re.compile(r"> (\d{3,})\b")


def shortened(factor: float, path: Path) -> Path:
    """The rules with every time divided by that factor, in a file."""
    rules = [_shortened(rule, factor) for rule in alert_rules(RULES)]
    path.write_text(yaml.safe_dump({"groups": [{"name": "chargeback", "rules": rules}]}))
    return path


def _shortened(rule: dict[str, Any], factor: float) -> dict[str, Any]:
    expr = _WINDOW.sub(lambda found: f"[{_divided(found[1], factor)}]", rule["expr"])
    expr = _SECONDS.sub(lambda found: f"> {int(found[1]) / factor:g}", expr)
    waits = {"for": _divided(rule["for"], factor)} if "for" in rule else {}
    return {**rule, **waits, "expr": expr}


def _divided(duration: str, factor: float) -> str:
    whole = timedelta(**{_UNITS[duration[-1]]: int(duration[:-1])})
    return f"{round(1_000 * whole.total_seconds() / factor)}ms"
