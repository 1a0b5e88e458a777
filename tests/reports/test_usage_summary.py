"""What was used, in the shape that HTTP and the command line share; exact on real usage."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from chargeback_worker.invoicing.document import encode
from chargeback_worker.money import NANO
from chargeback_worker.period import BillingRange, Period, to_us
from chargeback_worker.reports.usage_summary import usage_by, usage_summary
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store
from chargeback_worker.usage.event import Grain
from tests.support.feed import Feed, set_state, usage

_DATA = Path(__file__).parents[1] / "data"
_OCTOBER = BillingRange.parse("2026-10")


def _read(
    store: Store,
    days: BillingRange = _OCTOBER,
    *,
    team: str | None = None,
    user: str | None = None,
) -> dict[str, Any]:
    answer = encode(usage_summary(store, days, team=team, user=user))
    document: dict[str, Any] = json.loads(answer, parse_float=Decimal)
    assert list(document) == ["summary"]
    summary: dict[str, Any] = document["summary"]
    return summary


def test_it_has_the_shape_that_programs_rely_on(store: Store) -> None:
    feed = Feed(store)
    feed.send(
        usage("a", "0.000000001", quantity="2.5", agent_id="g"),
        usage("b", "5.5", quantity="100", resource_type="compute"),
        usage("of another month", day="2026-11-01"),
    )
    assert encode(usage_summary(store, _OCTOBER, team="T")) == (
        b'{"summary":{"team_id":"T","user_id":null,"period_start":"2026-10-01",'
        b'"period_end":"2026-11-01","total_cost_usd":5.500000001,"total_quantity":102.5,'
        b'"mixed_units":true,"record_count":2,"by_resource_type":{"compute":{"cost":5.5,'
        b'"quantity":100},"query":{"cost":0.000000001,"quantity":2.5}},"by_agent":'
        b'{"":{"cost":5.5,"quantity":100},"g":{"cost":0.000000001,"quantity":2.5}}}}'
    )


def test_of_nothing_it_is_zero(store: Store) -> None:
    summary = _read(store)
    assert (summary["total_cost_usd"], summary["total_quantity"], summary["record_count"]) == (
        0,
        0,
        0,
    )
    assert summary["mixed_units"] is False
    assert (summary["by_resource_type"], summary["by_agent"]) == ({}, {})


def test_usage_counts_on_its_own_day_late_or_not(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("punctual"))
    set_state(store, Period(2026, 10), "closed")
    feed.send(usage("late"))
    assert _read(store)["record_count"] == 2
    assert _read(store, BillingRange.parse("2026-11"))["record_count"] == 0


def test_a_range_of_days_takes_whole_days(store: Store) -> None:
    Feed(store).send(*[usage(f"a{day}", day=f"2026-10-{day:02d}") for day in range(1, 11)])
    days = BillingRange.between("2026-10-03", "2026-10-05T23:59:59Z")
    summary = _read(store, days)
    assert summary["record_count"] == 3
    assert (summary["period_start"], summary["period_end"]) == ("2026-10-03", "2026-10-06")


def test_filters_are_exact_and_an_empty_one_asks_for_none(store: Store) -> None:
    feed = Feed(store)
    feed.send(
        usage("a", team="T", user_id="u"),
        usage("b", team="T", user_id=None),
        usage("c", team="t", user_id="u"),
        usage("d", team=None, user_id=None),
    )
    wanted = [("T", None), (None, "u"), ("T", "u"), ("", None), ("", ""), ("none of ours", None)]
    counts = [_read(store, team=team, user=user)["record_count"] for team, user in wanted]
    assert counts == [2, 2, 1, 1, 1, 0]


def test_one_column_alone_shows_what_has_none_first(store: Store) -> None:
    Feed(store).send(usage("a", team="B"), usage("b", "2", team="A"), usage("c", team=None))
    rows = usage_by(store, _OCTOBER, "team_id")
    assert [(row.key, row.cost, row.records) for row in rows] == [
        ((None,), NANO, 1),
        (("A",), 2 * NANO, 1),
        (("B",), NANO, 1),
    ]


def test_sums_beyond_64_bits_are_exact(store: Store) -> None:
    Feed(store).send(
        *[
            usage(f"a{n}", "1000000000", quantity="1000000000000000000", team=f"T{n}")
            for n in range(12)
        ]
    )
    summary = _read(store)
    assert summary["total_cost_usd"] == 12 * 10**9
    assert summary["total_quantity"] == 12 * 10**18


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    text = (_DATA / "agents-code-2023-11.answers.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def _lines() -> Iterator[bytes]:
    with gzip.open(_DATA / "agents-code-2023-11.jsonl.gz") as lines:
        yield from lines


def test_real_usage_is_exact_to_the_nano_dollar(store: Store, answers: dict[str, Any]) -> None:
    feed = Feed(store, grain=Grain("UTC", ("model",)), now_us=to_us(datetime.now(UTC)))
    events = list(_lines())
    for start in range(0, len(events), 2_000):
        feed.send(*events[start : start + 2_000])
    assert set(feed.send(*events)) == {"duplicate"}
    november = BillingRange.parse("2023-11")
    summary = _read(store, november)
    assert summary["record_count"] == answers["records"]
    assert summary["total_cost_usd"] == Decimal(answers["total_cost_usd"])
    assert summary["total_quantity"] == answers["total_tokens"]
    assert _plain(summary["by_agent"]) == _expected(answers["by_agent"])
    assert _plain(summary["by_label"]["model"]) == _expected(answers["by_model"])
    for key, expected in answers["by_team"].items():
        assert _sums(_read(store, november, team=_name(key))) == _sums_of(expected)
    for key, expected in answers["by_user"].items():
        assert _sums(_read(store, november, user=_name(key))) == _sums_of(expected)
    assert verify(store).mismatches == ()


def _name(key: str) -> str:
    return "" if key == "(none)" else key


def _sums(summary: dict[str, Any]) -> tuple[Decimal, int, int]:
    return (
        Decimal(summary["total_cost_usd"]),
        summary["total_quantity"],
        summary["record_count"],
    )


def _sums_of(expected: dict[str, Any]) -> tuple[Decimal, int, int]:
    return Decimal(expected["cost_usd"]), expected["tokens"], expected["records"]


def _plain(rows: dict[str, Any]) -> dict[str, tuple[Decimal, int]]:
    return {key: (Decimal(row["cost"]), row["quantity"]) for key, row in rows.items()}


def _expected(rows: dict[str, Any]) -> dict[str, tuple[Decimal, int]]:
    return {_name(key): (Decimal(row["cost_usd"]), row["tokens"]) for key, row in rows.items()}
