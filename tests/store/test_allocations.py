"""Allocation runs as they are stored: every digit, and nothing but the last."""

from fractions import Fraction

from chargeback_worker.allocation.engine import Part, PartKey
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.store import Store, allocations
from chargeback_worker.store.allocations import Run, RunPart
from tests.support.ledger import NOVEMBER, OCTOBER


def _part(rule_id: str, pair: Pair, cost: int, share: Fraction | None = Fraction(1)) -> Part:
    key = PartKey(rule_id, 1, pair, "query")
    return Part(key, cost, 10**30 + 1, 3, share != 1, share)


def _run(*parts: Part) -> Run:
    return Run(OCTOBER, 7, "tester", tuple(RunPart(part.key.rule_id, part) for part in parts))


def test_a_run_is_read_as_it_was_written(store: Store) -> None:
    run = _run(
        _part("a", Pair("A", "u"), 10**25 + 1),
        _part("b", Pair("B"), -1, Fraction(10**40, 3 * 10**40 + 1)),
        _part("c", Pair(), 5, None),
    )
    with store.begin() as transaction:
        allocations.replace(transaction, run)
    with store.read() as transaction:
        assert allocations.find(transaction, OCTOBER) == run
        assert allocations.find(transaction, NOVEMBER) is None


def test_what_is_forgotten_is_gone(store: Store) -> None:
    with store.begin() as transaction:
        allocations.replace(transaction, _run(_part("a", Pair("A"), 1)))
        allocations.forget(transaction, NOVEMBER)
        assert allocations.find(transaction, OCTOBER) is not None
        allocations.forget(transaction, OCTOBER)
        assert allocations.find(transaction, OCTOBER) is None
        allocations.replace(transaction, _run(_part("a", Pair("A"), 1)))
