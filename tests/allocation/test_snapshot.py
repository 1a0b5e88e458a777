import json

from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.pair import BillTo
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.snapshot import Snapshot

days = st.none() | st.dates()
rules = st.builds(Rule, effective_from=days, effective_to=days)
snapshots = st.builds(
    Snapshot,
    rules=st.lists(rules, max_size=3).map(tuple),
    directory=st.builds(Directory, version=st.integers(0, 9)),
    labels=st.lists(st.text(), max_size=3).map(tuple),
)


@given(snapshots)
def test_a_snapshot_comes_back_from_json_as_it_was(snapshot: Snapshot) -> None:
    text = json.dumps(snapshot.to_document())
    assert Snapshot.from_document(json.loads(text)) == snapshot


def test_a_stored_snapshot_can_be_read_for_ever() -> None:
    """What the first release wrote. Fields may be added here, never changed or removed."""
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
    snapshot = Snapshot.from_document(stored)
    assert snapshot.bill_to is BillTo.USER
    assert snapshot.rules[0].cited == "rent@2"
    assert json.loads(json.dumps(snapshot.to_document())) == stored


def test_what_an_older_release_did_not_know_has_its_old_meaning() -> None:
    assert Snapshot.from_document({"timezone": "UTC"}) == Snapshot()
