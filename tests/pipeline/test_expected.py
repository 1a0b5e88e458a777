"""A change that is for what was read: anything else since refuses it, and nothing is done."""

import pytest

from chargeback_worker.allocation.writing.faults import RulesRefused
from chargeback_worker.pipeline.close import close
from chargeback_worker.pipeline.expected import NotAsExpected
from chargeback_worker.pipeline.reopen import reopen
from chargeback_worker.pipeline.save_rules import (
    RuleExists,
    create_rule,
    delete_rule,
    merge_rule,
)
from chargeback_worker.store import Store, rules
from chargeback_worker.store.periods import PeriodState
from chargeback_worker.store.rules import RuleUnknown
from tests.support.feed import Feed, usage
from tests.support.ledger import OCTOBER, TERMS, act, period_row

RENT = {"rule_id": "rent", "rule_type": "equal_split", "team_id": "A", "name": "Rent"}


def _versions(store: Store) -> list[str]:
    with store.read() as transaction:
        return [rule.cited for rule in rules.versions(transaction)]


def test_a_rule_is_made_once(store: Store) -> None:
    assert create_rule(store, RENT, act()).rule.cited == "rent@1"
    with pytest.raises(RuleExists):
        create_rule(store, RENT, act())
    delete_rule(store, "rent", act())
    assert create_rule(store, RENT, act()).rule.cited == "rent@3"
    assert _versions(store) == ["rent@1", "rent@2", "rent@3"]


def test_only_the_fields_given_are_changed(store: Store) -> None:
    create_rule(store, {**RENT, "priority": 7}, act())
    changed = merge_rule(store, "rent", {"enabled": False}, act()).rule
    assert (changed.name, changed.priority, changed.enabled) == ("Rent", 7, False)
    back = merge_rule(store, "rent", {"priority": None, "name": None}, act()).rule
    assert (back.name, back.priority, back.enabled) == ("", 100, False)
    assert not merge_rule(store, "rent", {"enabled": False}, act()).changed
    with pytest.raises(RulesRefused):
        merge_rule(store, "rent", {"team_id": None}, act())
    with pytest.raises(RuleUnknown):
        merge_rule(store, "power", {}, act())


def test_a_rule_is_changed_only_as_it_was_read(store: Store) -> None:
    create_rule(store, RENT, act())
    merge_rule(store, "rent", {"enabled": False}, act(), expected="1")
    for change in (
        lambda: merge_rule(store, "rent", {"enabled": True}, act(), expected="1"),
        lambda: delete_rule(store, "rent", act(), expected="1"),
    ):
        with pytest.raises(NotAsExpected, match="at 2 now, and the request was for 1"):
            change()
    assert _versions(store) == ["rent@1", "rent@2"]
    delete_rule(store, "rent", act(), expected="2")


def test_a_period_is_closed_and_reopened_only_as_it_was_read(store: Store) -> None:
    Feed(store).send(usage("a"))
    with pytest.raises(NotAsExpected):
        close(store, OCTOBER, TERMS, act(), owner="a", expected="reopened-2")
    assert period_row(store).version == "open-1"
    close(store, OCTOBER, TERMS, act(), owner="a", expected="open-1")
    with pytest.raises(NotAsExpected):
        reopen(store, OCTOBER, act(reason="why"), expected="open-1")
    reopen(store, OCTOBER, act(reason="why"), expected="closed-1")
    assert period_row(store).state is PeriodState.REOPENED
    with pytest.raises(NotAsExpected):
        close(store, OCTOBER, TERMS, act(), owner="a", expected="closed-1")
