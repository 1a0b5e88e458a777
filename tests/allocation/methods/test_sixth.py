"""A method that the house does not know needs one line, and nothing else changes."""

from collections.abc import Iterator

import pytest

from chargeback_worker.allocation.match import Match
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.rule import Rule
from tests.support import sixth_method
from tests.support.borne import borne
from tests.support.pure_ledger import usage

BY_AGENT = Rule("agents", 1, "by_agent")


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    with sixth_method.installed():
        yield


def test_what_an_agent_cost_follows_those_who_used_it() -> None:
    used = [
        usage(1, team="A", user="x", agent="a1", records=3),
        usage(1, team="A", user="y", agent="a1"),
        usage(0, user="z", agent="a2"),
    ]
    shared = [usage(38, agent="a1"), usage(5, agent="a2"), usage(7, agent="a3"), usage(9)]
    assert borne([*used, *shared], BY_AGENT) == [
        ("team:A/user:x", 30),
        ("team:A/user:y", 10),
        ("user:z", 5),
        ("unallocated", 7),
        ("unallocated", 9),
    ]


def test_it_takes_its_place_among_the_others() -> None:
    rent = Rule("rent", 1, "equal_split", user_ids=("z",), priority=1, match=Match(agents=("a1",)))
    assert borne([usage(4, agent="a1"), usage(2, user="x", agent="a2")], rent, BY_AGENT) == [
        ("user:x", 2),
        ("user:z", 4),
    ]


def test_it_may_object() -> None:
    rule = Rule("agents", 1, "by_agent", match=Match(agents=(None,)))
    (fault,) = METHODS["by_agent"].check(rule)
    assert fault.kind == "no_agent"
    assert list(METHODS["by_agent"].check(BY_AGENT)) == []
