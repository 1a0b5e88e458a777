import json
from datetime import date

import pytest
from hypothesis import given

from chargeback_worker.allocation.directory import Directory, Member, Team
from chargeback_worker.allocation.match import Match
from chargeback_worker.allocation.pair import BillTo, Pair
from chargeback_worker.allocation.rule import Driver, Receiver, Rule, Share
from chargeback_worker.allocation.snapshot import Approval, Requested, Snapshot
from chargeback_worker.money import NANO
from chargeback_worker.period import BillingRange
from tests.support import made_rules
from tests.support.laws import law


@law(100)
@given(made_rules.snapshots())
def test_a_snapshot_comes_back_from_json_as_it_was(snapshot: Snapshot) -> None:
    text = json.dumps(snapshot.to_document())
    assert Snapshot.from_document(json.loads(text)) == snapshot


def test_what_the_first_release_stored_can_be_read_for_ever() -> None:
    """Never change what is stored here, nor what it means."""
    stored = {
        "rules": [
            {
                "rule_id": "rent",
                "version": 2,
                "rule_type": "by_usage",
                "enabled": True,
                "priority": 10,
                "effective_from": "2025-10-01",
                "effective_to": None,
            }
        ],
        "directory": {"version": 0},
        "timezone": "Europe/Berlin",
        "labels": ["model"],
        "bill_to": "user",
        "tax_rate_nano": 190_000_000,
        "due_days": 30,
    }
    assert Snapshot.from_document(stored) == Snapshot(
        rules=(Rule("rent", 2, "by_usage", priority=10, effective_from=date(2025, 10, 1)),),
        timezone="Europe/Berlin",
        labels=("model",),
        bill_to=BillTo.USER,
        tax_rate_nano=190_000_000,
        due_days=30,
    )


# Fields may be added to what is written today, never changed or removed.
WRITTEN = {
    "rules": [
        {
            "rule_id": "split",
            "version": 3,
            "rule_type": "fixed_split",
            "enabled": False,
            "priority": 1000,
            "effective_from": None,
            "effective_to": "2025-11-15",
            "closed": [{"start": "2025-09-01", "end": "2025-10-01"}],
            "ended": True,
            "priority_given": False,
            "name": "Rent",
            "description": "As agreed",
            "team_id": "A",
            "user_ids": ["x"],
            "split": [
                {
                    "receiver": {"written": "A", "pair": {"team": "A", "user": None}},
                    "percent_nano": 100 * NANO,
                }
            ],
            "match": {
                "teams": ["A", None],
                "users": None,
                "agents": ["a1"],
                "resource_types": ["query"],
                "labels": [["project", ["p", None]]],
            },
            "receivers": [{"written": "x", "pair": {"team": None, "user": "x"}}],
            "entity_type": "team",
            "driver": "quantity",
            "driver_resource_types": ["query"],
        }
    ],
    "directory": {
        "version": 4,
        "teams": [
            {
                "team_id": "A",
                "members": [
                    {
                        "user_id": "x",
                        "first": "2025-10-02",
                        "until": None,
                        "primary": True,
                    }
                ],
                "tax_rate_nano": 70_000_000,
            }
        ],
    },
    "timezone": "Asia/Tokyo",
    "labels": ["project"],
    "bill_to": "team",
    "tax_rate_nano": 190_000_000,
    "due_days": 14,
    "approval": "manual",
    "requested": [
        {"receiver": {"team": "A", "user": "x"}, "tax_rate_nano": None, "due_days": 3},
        {"receiver": {"team": "B", "user": None}, "tax_rate_nano": 50_000_000, "due_days": None},
    ],
}
MEANT = Snapshot(
    rules=(
        Rule(
            "split",
            3,
            "fixed_split",
            enabled=False,
            priority=1000,
            effective_to=date(2025, 11, 15),
            closed=(BillingRange(date(2025, 9, 1), date(2025, 10, 1)),),
            ended=True,
            priority_given=False,
            name="Rent",
            description="As agreed",
            team_id="A",
            user_ids=("x",),
            split=(Share(Receiver("A", Pair("A")), 100 * NANO),),
            match=Match(
                teams=("A", None),
                agents=("a1",),
                resource_types=("query",),
                labels=(("project", ("p", None)),),
            ),
            receivers=(Receiver("x", Pair(None, "x")),),
            entity_type="team",
            driver=Driver.QUANTITY,
            driver_resource_types=("query",),
        ),
    ),
    directory=Directory(4, (Team("A", (Member("x", date(2025, 10, 2), None, True),), 70_000_000),)),
    timezone="Asia/Tokyo",
    labels=("project",),
    due_days=14,
    tax_rate_nano=190_000_000,
    approval=Approval.MANUAL,
    requested=(
        Requested(Pair("A", "x"), due_days=3),
        Requested(Pair("B"), tax_rate_nano=50_000_000),
    ),
)


def test_what_is_stored_with_rules_and_a_directory_can_be_read_for_ever() -> None:
    assert Snapshot.from_document(WRITTEN) == MEANT
    assert json.loads(json.dumps(MEANT.to_document())) == WRITTEN


def test_what_an_older_release_did_not_know_has_its_old_meaning() -> None:
    assert Snapshot.from_document({"timezone": "UTC"}) == Snapshot(
        rules=(),
        directory=Directory(0, ()),
        timezone="UTC",
        labels=(),
        bill_to=BillTo.TEAM,
        tax_rate_nano=0,
        due_days=30,
        approval=Approval.AUTO,
        requested=(),
    )


@pytest.mark.parametrize(
    ("receiver", "rate"),
    [
        (Pair("own"), 70_000_000),
        (Pair("none"), 0),
        (Pair("of the settings"), 190_000_000),
        (Pair("unknown"), 190_000_000),
        (Pair("own", "x"), 70_000_000),
        (Pair(None, "own"), 190_000_000),
        (Pair(), 190_000_000),
    ],
)
def test_the_tax_rate_is_that_of_the_team_or_else_of_the_settings(
    receiver: Pair, rate: int
) -> None:
    teams = (Team("own", (), 70_000_000), Team("none", (), 0), Team("of the settings"))
    snapshot = Snapshot(directory=Directory(1, teams), tax_rate_nano=190_000_000)
    assert snapshot.tax_rate(receiver) == rate


def test_what_was_asked_for_an_invoice_comes_before_the_directory_and_the_settings() -> None:
    teams = (Team("own", (), 70_000_000),)
    asked = (
        Requested(Pair("own"), 50_000_000, 0),
        Requested(Pair(None, "x"), due_days=7),
        Requested(Pair("A", "y"), tax_rate_nano=0),
    )
    snapshot = Snapshot(
        directory=Directory(1, teams), tax_rate_nano=190_000_000, due_days=14, requested=asked
    )

    def terms(receiver: Pair) -> tuple[int, int]:
        return snapshot.tax_rate(receiver), snapshot.days_to_pay(receiver)

    assert terms(Pair("own")) == (50_000_000, 0)
    assert terms(Pair(None, "x")) == (190_000_000, 7)
    assert terms(Pair("A", "y")) == (0, 14)
    assert terms(Pair("B")) == (190_000_000, 14)


def test_the_most_specific_request_decides_who_is_billed() -> None:
    asked = (Requested(Pair(None, "x")), Requested(Pair("A", "x")), Requested(Pair("B")))
    snapshot = Snapshot(requested=asked)
    assert snapshot.receiver(Pair("A", "x")) == Pair("A", "x")
    assert snapshot.receiver(Pair("B", "x")) == Pair(None, "x")
    assert snapshot.receiver(Pair("B", "y")) == Pair("B")
    assert snapshot.receiver(Pair("A")) == Pair("A")
    assert snapshot.receiver(Pair()) == Pair()


def test_a_snapshot_knows_who_is_billed() -> None:
    assert Snapshot().receiver(Pair("A", "x")) == Pair("A")
    assert Snapshot(bill_to=BillTo.USER).receiver(Pair("A", "x")) == Pair(None, "x")
