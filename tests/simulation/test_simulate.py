"""Simulation: the same bytes for the same seed, and a truth that the worker's reader confirms."""

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargeback_worker.money import nano_from_text
from chargeback_worker.period import Period, from_us, to_us
from chargeback_worker.simulation import (
    EXAMPLE,
    Anomalies,
    Expected,
    Simulated,
    UnknownAnomaly,
    simulate,
)
from chargeback_worker.simulation.anomalies import POISONS
from chargeback_worker.usage.event import Grain, RawEvent, Reader, RefusedEvent, UsageEvent

MONTH = Period(2026, 10)
NOW_US = to_us(datetime(2026, 11, 22, tzinfo=UTC))
MANY = Anomalies(duplicate=0.1, late=0.1, conflict=0.1, poison=0.1)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"]
anomalies = st.builds(
    Anomalies,
    duplicate=st.floats(0, 0.25),
    late=st.floats(0, 0.25),
    conflict=st.floats(0, 0.25),
    poison=st.floats(0, 0.25),
)


def simulated(count: int = 2000, seed: int = 7, of: Anomalies = MANY) -> list[Simulated]:
    return list(simulate(MONTH, count, seed=seed, anomalies=of))


def read(event: Simulated, zone: str = "UTC") -> UsageEvent | RefusedEvent:
    reader = Reader(Grain(zone, ("model",)))
    return reader.read(RawEvent(event.value, event.headers, event.key), NOW_US)


def test_the_bytes_of_a_seed_are_the_same_for_ever() -> None:
    digest = hashlib.sha256()
    for event in simulated():
        digest.update(repr((event.value, event.key, event.headers, event.line)).encode())
    assert digest.hexdigest() == "27249d46bf7079ff96bf11fd7c6de842f4a772904c016c95901f367b9aa0805b"


@given(seed=st.integers(0, 2**64), count=st.integers(0, 50), rates=anomalies)
def test_the_same_arguments_give_the_same_events(seed: int, count: int, rates: Anomalies) -> None:
    once, again = (
        list(simulate(MONTH, count, seed=seed, anomalies=rates, zone=UTC)) for _ in range(2)
    )
    assert once == again
    assert len(once) == count


def test_another_seed_has_no_id_in_common() -> None:
    one, other = ({event.truth.usage_id for event in simulated(seed=seed)} for seed in (1, 2))
    assert not one & other


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32),
    rates=anomalies,
    zone=st.sampled_from(ZONES),
    month=st.builds(Period, st.integers(2001, 2025), st.integers(1, 12)),
)
def test_what_a_reader_finds_is_the_truth(
    seed: int, rates: Anomalies, zone: str, month: Period
) -> None:
    reader = Reader(Grain(zone, ("model",)))
    first: dict[bytes, UsageEvent] = {}
    keys: dict[bytes, bytes] = {}
    expected = Expected()
    events = simulate(month, 300, seed=seed, anomalies=rates, zone=ZoneInfo(zone))
    for value, key, headers, truth, line in events:
        expected.add(truth)
        found = reader.read(RawEvent(value, headers, key), NOW_US)
        if isinstance(found, RefusedEvent):
            assert truth.outcome == "quarantined", found
            continue
        same = first.setdefault(found.identity, found)
        outcome = "duplicate" if same.content == found.content else "conflict"
        assert truth.outcome == ("accepted" if same is found else outcome)
        assert keys.setdefault(found.identity, key) == key
        assert (found.source, found.usage_id) == (truth.source, truth.usage_id)
        assert (found.team, found.user, found.agent) == (truth.team, truth.user, truth.agent)
        assert found.resource_type == truth.resource_type
        assert (found.cost, found.quantity) == (truth.cost, truth.quantity)
        if found is same:
            assert (Period.from_number(found.day // 100) < month) == truth.late
        from_line = reader.read(RawEvent(line), NOW_US)
        assert isinstance(from_line, UsageEvent)
        assert (from_line.identity, from_line.content) == (found.identity, found.content)
    assert expected.events == 300
    assert expected.outcomes["accepted"] == len(first)
    assert expected.cost == sum(event.cost for event in first.values())
    assert expected.cost == sum(expected.by_team.values())


@pytest.mark.parametrize("zone", ZONES)
def test_events_come_in_order_of_time_within_the_month(zone: str) -> None:
    start, end = MONTH.bounds(ZoneInfo(zone))
    events = simulate(MONTH, 3000, seed=1, anomalies=Anomalies.none(), zone=ZoneInfo(zone))
    times = [found.time_us for event in events if isinstance(found := read(event), UsageEvent)]
    assert len(times) == 3000
    assert times == sorted(times)
    assert to_us(start) <= times[0] < to_us(start + timedelta(days=1))
    assert to_us(end - timedelta(days=1)) < times[-1] < to_us(end)


def test_every_poison_is_quarantined_on_one_line() -> None:
    poisoned = [e for e in simulated(3000) if e.truth.outcome == "quarantined"]
    assert len(poisoned) > 2 * len(POISONS)
    assert all(isinstance(read(event), RefusedEvent) for event in poisoned)
    assert all(b"\n" not in event.line and event.line.strip() for event in simulated())
    reasons = {found.reason for e in poisoned if isinstance(found := read(e), RefusedEvent)}
    assert len(reasons) >= 10


def test_costs_have_the_noise_of_floats_and_the_truth_has_not() -> None:
    noisy = 0
    for event in simulated(of=Anomalies.none()):
        document = json.loads(event.line, parse_float=str)
        text = str(document.get("data", document)["cost_usd"])
        assert nano_from_text(text, limit=10**18) == event.truth.cost
        noisy += len(text.partition(".")[2]) > 12
    assert noisy > 200


def test_all_formats_envelopes_and_kinds_of_use_occur() -> None:
    seen: Counter[str] = Counter()
    for event in simulated(of=Anomalies.none()):
        document = json.loads(event.value)
        data = document.get("data", document)
        seen["structured" if "data" in document else "binary" if event.headers else "bare"] += 1
        seen["cost record" if "operation_type" in data else "usage record"] += 1
        seen["id of the envelope"] += bool(event.truth.source)
        seen[event.truth.resource_type] += 1
        seen["shared"] += event.truth.team is event.truth.user is None
        seen["user without team"] += event.truth.team is None and event.truth.user is not None
        seen["machine of a team"] += event.truth.team is not None and event.truth.user is None
        seen["refund"] += event.truth.cost < 0
    assert len(seen) == 14
    assert all(seen.values()), seen


def test_a_refund_takes_back_what_was_used_before() -> None:
    used: dict[str, Simulated] = {}
    refunds = 0
    for event in simulated(10_000, of=Anomalies.none()):
        if event.truth.cost < 0:
            refunds += 1
            original = used[json.loads(event.value)["metadata"]["corrects"]].truth
            assert event.truth.cost == -original.cost
            assert event.truth.quantity == -original.quantity
            assert (event.truth.team, event.truth.user) == (original.team, original.user)
        used[event.truth.usage_id] = event
    assert 10 < refunds < 100


def test_what_is_repeated_was_among_the_last_thousand() -> None:
    accepted: dict[str, int] = {}
    for event in simulated(20_000, of=Anomalies()):
        if event.truth.outcome == "accepted":
            accepted[event.truth.usage_id] = len(accepted)
        elif event.truth.outcome in ("duplicate", "conflict"):
            assert len(accepted) - accepted[event.truth.usage_id] <= 1024


def test_it_looks_like_an_organisation() -> None:
    teams: Counter[str | None] = Counter()
    users: Counter[str] = Counter()
    working = free = 0
    for event in simulated(10_000, of=Anomalies.none()):
        found = read(event)
        assert isinstance(found, UsageEvent)
        teams[found.team] += 1
        if found.team == "support":
            users[found.user or "machine"] += 1
            at = from_us(found.time_us) + timedelta(hours=1)
            is_working = at.weekday() < 5 and 8 <= at.hour < 18
            working, free = working + is_working, free + (not is_working)
    assert set(teams) == {team.team_id for team in EXAMPLE}
    assert teams["platform"] > 10 * teams["legal"] > 0
    assert users["support-01"] > 8 * users["support-22"] > 0
    assert working > 4 * free


def test_rates_are_kept() -> None:
    expected = Expected()
    for event in simulated(20_000, of=Anomalies(0.05, 0.02, 0.01, 0.03)):
        expected.add(event.truth)
    assert 900 < expected.outcomes["duplicate"] < 1100
    assert 160 < expected.outcomes["conflict"] < 240
    assert 540 < expected.outcomes["quarantined"] < 660
    assert 340 < expected.late < 460
    assert expected.late_cost > 0


def test_the_first_events_are_there_before_the_last_are_made() -> None:
    endless = simulate(MONTH, 10**9, seed=1, anomalies=MANY)
    assert len(list(islice(endless, 10))) == 10


def test_anomalies_are_read_from_text() -> None:
    usual = Anomalies()
    assert Anomalies.parse("duplicate,late,conflict,poison") == usual
    assert Anomalies.parse("") == Anomalies.none()
    assert Anomalies.parse("late=0.5, poison") == Anomalies(0, 0.5, 0, usual.poison)


@pytest.mark.parametrize("text", ["duplicates", "late=x", "late=2", "late=nan", "late=-1", "=1"])
def test_an_unknown_anomaly_is_refused(text: str) -> None:
    with pytest.raises(UnknownAnomaly):
        Anomalies.parse(text)
    with pytest.raises(UnknownAnomaly, match="did you mean duplicate"):
        Anomalies.parse("duplicates")
