"""Writing rules: a change is a version, a list is stored whole or not at all."""

import threading
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Rule, in_effect
from chargeback_worker.allocation.warnings import WarningKind
from chargeback_worker.allocation.writing.faults import RulesRefused
from chargeback_worker.period import BillingRange, Period
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.pipeline.close import close, start_closing
from chargeback_worker.pipeline.save_rules import delete_rule, save_rules
from chargeback_worker.store import Store, audit, bookings, rules
from chargeback_worker.store.rules import RuleUnknown
from tests.support.feed import Feed, usage
from tests.support.laws import law_on_a_store
from tests.support.ledger import AFTER_NOVEMBER_US, NOVEMBER, OCTOBER, TERMS, act

RENT: dict[str, Any] = {"rule_id": "rent", "rule_type": "equal_split", "team_id": "A"}
POWER = {"rule_id": "power", "rule_type": "by_usage", "priority": 5}
TEAMS = {"rule_id": "teams", "rule_type": "by_team"}


def _stored(store: Store) -> list[Rule]:
    with store.read() as transaction:
        return rules.versions(transaction)


def _cited(store: Store) -> list[str]:
    return [rule.cited for rule in _stored(store)]


def _audited(store: Store) -> list[tuple[str, str]]:
    with store.read() as transaction:
        return [(row.action, row.subject) for row in reversed(audit.listed(transaction))]


def _close(store: Store, period: Period = OCTOBER) -> None:
    close(store, period, TERMS, act(), owner="closer")


@law_on_a_store(10)
@given(
    written=st.lists(
        st.lists(
            st.sampled_from([RENT, {**RENT, "enabled": False}, POWER, TEAMS]),
            max_size=3,
            unique_by=lambda rule: str(rule["rule_id"]),
        ),
        max_size=4,
    )
)
def test_a_version_is_made_by_a_change_and_by_nothing_else(
    store: Store, written: list[list[dict[str, Any]]]
) -> None:
    last = {rule.rule_id: rule for rule in _stored(store)}
    for document in written:
        for one in save_rules(store, document, act()).written:
            rule, before = one.rule, last.get(one.rule.rule_id)
            assert one.changed == (before is None or before.enabled != rule.enabled)
            assert rule.version == (before.version if before else 0) + one.changed
            last[rule.rule_id] = rule
    assert {rule.rule_id: rule for rule in _stored(store)} == last


def test_the_order_of_rules_in_a_file_changes_nothing(store: Store) -> None:
    save_rules(store, [RENT, POWER, TEAMS], act())
    assert not any(one.changed for one in save_rules(store, [TEAMS, RENT, POWER], act()).written)


def test_a_list_with_one_bad_rule_stores_none_of_them(store: Store) -> None:
    save_rules(store, [RENT], act())
    with pytest.raises(RulesRefused, match="by_magic"):
        save_rules(store, [POWER, {**RENT, "rule_type": "by_magic"}], act(), prune=True)
    assert _cited(store) == ["rent@1"]
    assert _audited(store) == [("rule.write", "rule:rent")]


def test_a_version_never_covers_the_days_of_a_month_that_is_closed(store: Store) -> None:
    Feed(store).send(usage("a", team="A"))
    save_rules(store, [RENT], act())
    _close(store)
    save_rules(store, [{**RENT, "enabled": False}], act())
    first, second = _stored(store)
    assert (first.closed, second.closed) == ((), (OCTOBER.days(),))
    assert in_effect([first, second], date(2026, 10, 31))[0] == first
    assert in_effect([first, second], date(2026, 11, 1))[0].rule_id == "default"


def test_closed_months_in_a_row_are_one_range(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a"), usage("b", day="2026-11-02"))
    _close(store)
    close(store, NOVEMBER, TERMS, act(AFTER_NOVEMBER_US), owner="closer")
    (one,) = save_rules(store, [RENT], act()).written
    assert one.rule.closed == (BillingRange(date(2026, 10, 1), date(2026, 12, 1)),)


def test_a_month_that_is_being_closed_still_takes_a_version(store: Store) -> None:
    """Its close reads the rules when it is finished, and finishing waits for who writes them."""
    Feed(store).send(usage("a", team="A", user_id=None), usage("b", team="A", user_id="x"))
    start_closing(store, OCTOBER, TERMS, act(), owner="closer", lease_s=0.0)
    (one,) = save_rules(store, [TEAMS], act()).written
    assert one.rule.closed == ()
    _close(store)
    with store.read() as transaction:
        booked = bookings.of_close(transaction, OCTOBER)
    assert {row.owed.key.cited for row in booked} == {"teams@1"}


def test_deleting_ends_a_rule_and_writing_it_again_goes_on_counting(store: Store) -> None:
    save_rules(store, [RENT], act())
    assert delete_rule(store, "rent", act()).cited == "rent@2"
    with pytest.raises(RuleUnknown, match="'rent' is deleted"):
        delete_rule(store, "rent", act())
    assert in_effect(_stored(store), date(2026, 12, 1))[0].rule_id == "default"
    (one,) = save_rules(store, [RENT], act()).written
    assert one.rule.cited == "rent@3"
    assert _audited(store) == [
        ("rule.write", "rule:rent"),
        ("rule.delete", "rule:rent"),
        ("rule.write", "rule:rent"),
    ]


def test_a_rule_that_nobody_wrote_cannot_be_deleted(store: Store) -> None:
    save_rules(store, [RENT], act())
    with pytest.raises(RuleUnknown, match=r"no rule 'rant'\. Did you mean 'rent'"):
        delete_rule(store, "rant", act())


def test_prune_deletes_what_a_file_leaves_out(store: Store) -> None:
    save_rules(store, [RENT, POWER, TEAMS], act())
    saved = save_rules(store, [TEAMS], act(), prune=True)
    assert [rule.cited for rule in saved.deleted] == ["power@2", "rent@2"]
    assert not saved.written[0].changed
    assert save_rules(store, [TEAMS], act(), prune=True).deleted == ()


def test_the_audit_holds_the_rule_before_and_after(store: Store) -> None:
    save_rules(store, [RENT], act())
    save_rules(store, [{**RENT, "name": "Rent of A"}], act(reason="as agreed"))
    with store.read() as transaction:
        newest, *_ = audit.listed(transaction)
    assert (newest.before["name"], newest.after["name"]) == ("", "Rent of A")
    assert (newest.before["version"], newest.after["version"]) == (1, 2)
    assert newest.reason == "as agreed"


def test_the_resolution_of_receivers_stays_with_the_version(store: Store) -> None:
    split = {
        "rule_id": "split",
        "rule_type": "fixed_split",
        "split_percentages": {"ops": 40, "ann": 60},
    }
    apply_directory(store, {"teams": [{"team_id": "ops", "members": [{"user_id": "ann"}]}]}, act())
    (one,) = save_rules(store, split, act()).written
    assert [share.receiver.pair for share in one.rule.split] == [Pair("ops"), Pair(None, "ann")]
    apply_directory(store, {"teams": []}, act())
    assert _stored(store) == [one.rule]
    (again,) = save_rules(store, split, act()).written
    assert again.changed
    assert [share.receiver.pair for share in again.rule.split] == [
        Pair(None, "ops"),
        Pair(None, "ann"),
    ]


def test_warnings_see_all_rules_of_the_file(store: Store) -> None:
    saved = save_rules(
        store,
        [
            {"rule_id": "b", "rule_type": "by_usage"},
            {"rule_id": "a", "rule_type": "equal_split", "user_ids": ["u"]},
        ],
        act(),
    )
    kinds = {one.rule.rule_id: [found.kind for found in one.warnings] for one in saved.written}
    assert kinds == {
        "b": [WarningKind.CATCH_ALL, WarningKind.SHADOWED],
        "a": [WarningKind.CATCH_ALL],
    }


def test_two_who_write_the_same_rule_at_once_make_two_versions(store: Store) -> None:
    def write(priority: int) -> None:
        save_rules(store, [{**RENT, "priority": priority}], act())

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _cited(store) == ["rent@1", "rent@2", "rent@3", "rent@4"]
