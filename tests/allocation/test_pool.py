import pytest

from chargeback_worker.allocation.drivers import Attributed
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.pool import Method, Pool
from chargeback_worker.allocation.rule import Rule
from tests.support.pure_ledger import usage

A, B = Pair("A"), Pair("B")


def test_weights_of_zero_take_no_part() -> None:
    assert Pool(("a",), {A: 0, B: 3}, ()).effective_weights() == {B: 3}


def test_zero_weights_alone_divide_evenly_and_no_weights_leave_it_unallocated() -> None:
    assert Pool(("a",), {A: 0, B: 0}, ()).effective_weights() == {A: 1, B: 1}
    assert Pool(("a",), {}, ()).effective_weights() == {UNALLOCATED: 1}


def test_each_owner_has_a_pool_of_its_own() -> None:
    used = [Attributed(owner, usage(1)) for owner in (A, B, A, UNALLOCATED)]
    pools = Pool.owned_each(used)
    assert [(pool.key, pool.weights, pool.own) for pool in pools] == [
        (("own", "A", None), {A: 1}, True),
        (("own", "B", None), {B: 1}, True),
        (("own", None, None), {UNALLOCATED: 1}, True),
    ]
    assert [len(pool.usage) for pool in pools] == [2, 1, 1]
    assert not Pool(("a",), {A: 1}, ()).own


def test_a_weight_below_zero_is_a_mistake_of_the_method() -> None:
    with pytest.raises(AssertionError):
        Pool(("a",), {A: -1, B: 1}, ())


def test_own_usage_of_two_pairs_is_a_mistake_of_the_method() -> None:
    for weights in ({}, {A: 1, B: 1}):
        with pytest.raises(AssertionError):
            Pool(("a",), weights, (), own=True)


def test_a_method_objects_to_nothing_and_looks_at_nothing_unless_it_says_so() -> None:
    default = METHODS["default"]
    method = Method(default.claims, default.pools, default.says)
    assert list(method.check(Rule("r", 1, "t"))) == []
    assert method.uses == method.looks_at == frozenset()
