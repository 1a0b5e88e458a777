from chargeback_worker.allocation.engine import allocate
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.snapshot import Snapshot
from tests.support.pure_ledger import usage


def test_owned_usage_goes_to_its_own_pair_with_its_quantity() -> None:
    parts = allocate(
        [usage(10, team="T1", user="u1", quantity=3), usage(20, team="T1", user="u1", quantity=4)],
        Snapshot(),
    )
    (part,) = parts
    assert part.key.cited == "default@1"
    assert part.key.pair == Pair("T1", "u1")
    assert (part.cost, part.quantity, part.records) == (30, 7, 2)
    assert not part.shared
    assert part.share == 1


def test_ownerless_usage_stays_unallocated() -> None:
    (part,) = allocate([usage(10)], Snapshot())
    assert part.key.pair == UNALLOCATED
    assert not part.shared


def test_a_pair_keeps_its_resource_types_apart() -> None:
    parts = allocate([usage(1, team="T"), usage(2, team="T", resource_type="compute")], Snapshot())
    assert [(part.key.resource_type, part.cost) for part in parts] == [("compute", 2), ("query", 1)]
