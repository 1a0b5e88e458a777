"""The worked cases that are about single events, and a month of real usage, read event by event."""

import gzip
import json
from collections import Counter, defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from chargeback_worker.money import NANO, fixed
from chargeback_worker.period import to_us
from chargeback_worker.usage.event import Grain, RawEvent, Reader, RefusedEvent, UsageEvent

TESTS = Path(__file__).parents[1]
NOW_US = to_us(datetime(2026, 1, 2, tzinfo=UTC))
CASES = [
    path.stem
    for path in sorted((TESTS / "cases").glob("*.json"))
    if path.name[:2] in {"14", "15", "16", "21", "22", "23", "24", "47"}
]


class Digits(str):
    """The text of a number that is no integer."""


def read_case(name: str) -> tuple[dict[str, Any], list[list[bytes]]]:
    """A case, and the lines of each of its ingest steps with their numbers digit by digit."""
    text = (TESTS / "cases" / f"{name}.json").read_text()
    case = json.loads(text, parse_float=Digits)
    batches = [case["events"][step["ingest"]] for step in case["steps"] if "ingest" in step]
    return case, [[written(event) for event in batch] for batch in batches]


def written(value: object) -> bytes:
    """JSON of a value; a Digits is a number."""
    if isinstance(value, Digits):
        return value.encode()
    if isinstance(value, dict):
        return b"{" + b",".join(written(k) + b":" + written(v) for k, v in value.items()) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(written, value)) + b"]"
    return json.dumps(value).encode()


@pytest.mark.parametrize("name", CASES)
def test_events_of_a_case_count_as_it_says(name: str) -> None:
    case, batches = read_case(name)
    settings = case["settings"]
    grain = Grain(
        settings.get("billing", {}).get("timezone", "UTC"),
        tuple(settings.get("grain", {}).get("labels", ())),
    )
    reader = Reader(grain)
    seen: dict[bytes, UsageEvent] = {}
    reasons: list[str] = []
    for expected, batch in zip(case["expect"]["ingest"], batches, strict=True):
        outcomes: Counter[str] = Counter()
        for line in batch:
            event = reader.read(RawEvent(line), NOW_US)
            if isinstance(event, RefusedEvent):
                outcomes["quarantined"] += 1
                reasons.append(event.reason)
            elif event.identity not in seen:
                outcomes["accepted"] += 1
                seen[event.identity] = event
            else:
                same = seen[event.identity].content == event.content
                outcomes["duplicate" if same else "conflict"] += 1
        assert outcomes == {k: n for k, n in expected.items() if k != "events" and n}
    assert reasons == case["expect"].get("quarantined", [])
    for period, usage in case["expect"]["usage"].items():
        month = [
            event for event in seen.values() if event.day // 100 == int(period.replace("-", ""))
        ]
        assert sum(event.cost for event in month) == Decimal(usage["total_cost_usd"]) * NANO
        assert sum(event.quantity for event in month) == Decimal(usage["total_quantity"]) * NANO
        assert len(month) == usage["record_count"]


def test_real_usage_sums_to_its_answers_to_the_nano_dollar() -> None:
    answers = json.loads((TESTS / "data/agents-code-2023-11.answers.json").read_text())
    reader = Reader(Grain("UTC", labels=("model",)))
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    with gzip.open(TESTS / "data/agents-code-2023-11.jsonl.gz") as lines:
        for line in lines:
            event = reader.read(RawEvent(line), NOW_US)
            assert isinstance(event, UsageEvent), event
            keys = [("team", event.team), ("user", event.user), ("agent", event.agent)]
            for by, key in [*keys, ("model", event.labels[0])]:
                sums[f"by_{by}"][key or "(none)"] += event.cost
            sums["all"]["cost"] += event.cost
            sums["all"]["tokens"] += event.quantity
    assert fixed(sums["all"]["cost"]) == answers["total_cost_usd"]
    assert sums["all"]["tokens"] == answers["total_tokens"] * NANO
    for by in ("by_team", "by_user", "by_agent", "by_model"):
        assert {key: fixed(cost) for key, cost in sums[by].items()} == {
            key: answer["cost_usd"] for key, answer in answers[by].items()
        }
