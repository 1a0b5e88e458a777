"""Who changed what, when and why, newest first."""

from datetime import UTC, date, datetime

from chargeback_worker.invoicing.document import encode
from chargeback_worker.period import to_us
from chargeback_worker.reports.audit import audited
from chargeback_worker.store import Store, audit
from chargeback_worker.store.audit import Act
from chargeback_worker.usage.event import Grain
from tests.support.feed import Feed


def _append(store: Store, *instants: datetime) -> None:
    with store.begin() as transaction:
        for instant in instants:
            act = Act("ada", to_us(instant), "because")
            audit.append(transaction, act, "close", f"period:{instant:%Y-%m}", after={"n": 1})


def _days(*days: int) -> list[datetime]:
    return [datetime(2026, 10, day, 12, tzinfo=UTC) for day in days]


def test_a_row_says_it_all(store: Store) -> None:
    _append(store, *_days(3))
    assert audited(store) == {
        "audit": [
            {
                "audit_id": 1,
                "at": "2026-10-03T12:00:00Z",
                "actor": "ada",
                "action": "close",
                "subject": "period:2026-10",
                "before": None,
                "after": {"n": 1},
                "reason": "because",
            }
        ],
        "next_cursor": None,
    }
    assert encode(audited(store))


def test_it_is_paged_newest_first(store: Store) -> None:
    _append(store, *_days(1, 2, 3, 4, 5))
    page = audited(store, limit=2)
    assert [row["audit_id"] for row in page["audit"]] == [5, 4]
    page = audited(store, limit=3, cursor=int(page["next_cursor"]))
    assert [row["audit_id"] for row in page["audit"]] == [3, 2, 1]
    assert page["next_cursor"] is None


def test_a_date_begins_in_the_billing_time_zone(store: Store) -> None:
    Feed(store, grain=Grain("America/New_York"))
    _append(
        store,
        datetime(2026, 10, 3, 3, 59, 59, tzinfo=UTC),
        datetime(2026, 10, 3, 4, tzinfo=UTC),
    )
    rows = audited(store, since=date(2026, 10, 3))["audit"]
    assert [row["at"] for row in rows] == ["2026-10-03T04:00:00Z"]


def test_an_instant_can_be_asked_for(store: Store) -> None:
    _append(store, *_days(1, 2))
    rows = audited(store, since=datetime(2026, 10, 2, tzinfo=UTC))["audit"]
    assert [row["audit_id"] for row in rows] == [2]
