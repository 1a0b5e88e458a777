"""An allocation run: the whole usage of an open period, kept until the next one."""

import threading

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.invoicing.invoice import allocation_id
from chargeback_worker.money import NANO
from chargeback_worker.pipeline.allocate import allocate
from chargeback_worker.store import Store, allocations, bookings
from chargeback_worker.store.allocations import Run
from chargeback_worker.store.tables import allocation, allocation_run, audit, billing_period
from tests.support.feed import Feed, set_state, usage
from tests.support.ledger import NOVEMBER, NOW_US, OCTOBER, TERMS, act, closed, count
from tests.support.made_months import shared, write


def _stored(store: Store) -> Run | None:
    with store.read() as transaction:
        return allocations.find(transaction, OCTOBER)


def _costs(run: Run | None) -> dict[str, int]:
    assert run is not None
    return {
        f"{found.part.key.cited} {found.part.key.pair.key}": found.part.cost for found in run.parts
    }


def test_a_run_stores_what_the_rules_of_now_give(store: Store) -> None:
    Feed(store).send(usage("a", "3", team="A"), usage("b", "7", day="2026-11-02"))
    write(store, shared("even", Pair("B"), Pair("C"), team_id="A"))
    run = allocate(store, OCTOBER, TERMS, act())
    assert run == _stored(store)
    assert _costs(run) == {"even@1 team:B": 1_500_000_000, "even@1 team:C": 1_500_000_000}
    assert run is not None
    assert (run.created_us, run.actor) == (NOW_US, "tester")


def test_a_run_takes_the_place_of_the_last_and_leaves_other_months_alone(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a", "3", team="A"), usage("n", "9", day="2026-11-02"))
    allocate(store, NOVEMBER, TERMS, act())
    allocate(store, OCTOBER, TERMS, act())
    feed.send(usage("b", "4", team="B"))
    write(store, shared("all", Pair("C")))
    allocate(store, OCTOBER, TERMS, act(NOW_US + 5))

    assert _costs(_stored(store)) == {"all@1 team:C": 7 * NANO}
    assert count(store, allocation_run) == 2
    assert count(store, allocation) == 2


def test_the_ids_are_those_that_the_close_books(store: Store) -> None:
    Feed(store).send(usage("a", "3", team="A"), usage("b", "4", team="B", user_id=None))
    run = allocate(store, OCTOBER, TERMS, act())
    assert run is not None
    closed(store)
    with store.read() as transaction:
        booked = bookings.of_close(transaction, OCTOBER)
    assert [row.allocation_id for row in booked] == [found.allocation_id for found in run.parts]


def test_of_a_reopened_month_they_are_those_of_its_next_close(store: Store) -> None:
    Feed(store).send(usage("a", "3", team="A"))
    closed(store)
    set_state(store, OCTOBER, "reopened")
    with store.begin() as transaction:
        transaction.execute(billing_period.update().values(revision=2))
    run = allocate(store, OCTOBER, TERMS, act())
    assert run is not None
    (found,) = run.parts
    assert found.allocation_id == allocation_id(OCTOBER, OCTOBER, 2, found.part.key)


def test_a_period_that_takes_no_usage_is_not_run(store: Store) -> None:
    Feed(store).send(usage("a", "3", team="A"))
    for state in ("closing", "closed"):
        set_state(store, OCTOBER, state)
        assert allocate(store, OCTOBER, TERMS, act()) is None
    assert count(store, allocation_run) == 0


def test_a_month_without_usage_has_an_empty_run(store: Store) -> None:
    run = allocate(store, OCTOBER, TERMS, act())
    assert run == _stored(store) == Run(OCTOBER, NOW_US, "tester", ())


def test_runs_at_the_same_time_leave_one_of_them(store: Store) -> None:
    Feed(store).send(*(usage(f"a{n}", "3", team=f"T{n}") for n in range(20)))
    failures: list[BaseException] = []

    def run() -> None:
        try:
            allocate(store, OCTOBER, TERMS, act())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (count(store, allocation_run), count(store, allocation)) == (1, 20)


def test_a_run_is_no_change_that_is_audited(store: Store) -> None:
    allocate(store, OCTOBER, TERMS, act())
    assert count(store, audit) == 0
