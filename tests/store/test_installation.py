import threading

import pytest

from chargeback_worker.period import Period
from chargeback_worker.store import Store, installation
from chargeback_worker.store.installation import GrainChanged
from chargeback_worker.usage.event import Grain

MARCH, MAY, JUNE = Period(2026, 3), Period(2026, 5), Period(2026, 6)


def _first(store: Store, given: Period | None, this: Period) -> Period:
    with store.begin() as transaction:
        installation.settle_first_period(transaction, given, this)
        return installation.first_period(transaction)


def test_the_first_period_is_the_month_of_the_first_start_and_stays(store: Store) -> None:
    assert _first(store, None, MAY) == MAY
    assert _first(store, None, JUNE) == MAY


def test_a_first_period_that_is_set_later_holds_from_then_on(store: Store) -> None:
    assert _first(store, None, MAY) == MAY
    assert _first(store, MARCH, JUNE) == MARCH
    assert _first(store, None, JUNE) == MARCH


@pytest.mark.parametrize(
    ("changed", "setting"),
    [
        (Grain("Europe/Berlin", ("model",), "gateway"), "billing.timezone"),
        (Grain("UTC", (), "gateway"), "grain.labels"),
        (Grain("UTC", ("model",), ""), "ingest.source"),
    ],
)
def test_a_grain_that_changes_is_refused_by_the_name_of_its_setting(
    store: Store, changed: Grain, setting: str
) -> None:
    with store.begin() as transaction:
        installation.settle_grain(transaction, Grain("UTC", ("model",), "gateway"))
    with store.begin() as transaction, pytest.raises(GrainChanged, match=setting):
        installation.settle_grain(transaction, changed)
    with store.read() as transaction:
        assert installation.read_grain(transaction) == Grain("UTC", ("model",), "gateway")


def test_workers_that_start_at_once_on_a_new_database_all_start(
    ready_url: str,
) -> None:
    ready = threading.Barrier(4)
    started: list[Period] = []

    def start() -> None:
        store = Store(ready_url)
        ready.wait(30)
        with store.begin() as transaction:
            installation.settle_grain(transaction, Grain("UTC", ("model",)))
            installation.settle_first_period(transaction, None, MAY)
            started.append(installation.first_period(transaction))
        store.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert started == [MAY] * 4
