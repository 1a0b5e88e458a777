from datetime import date

import pytest
from hypothesis import given

from chargeback_worker.allocation.match import ANY, Claim, Condition, Match
from chargeback_worker.allocation.rule import (
    DEFAULT,
    PRIORITY,
    PRIORITY_OF_ALL,
    Driver,
    Rule,
    in_effect,
    newest,
    speaking,
    stretches,
)
from chargeback_worker.period import BillingRange, Period
from tests.support import made_rules
from tests.support.laws import law

DAY = date(2025, 10, 15)
OCTOBER = Period(2025, 10).days()


def test_the_reserved_rule_is_cited_and_comes_last() -> None:
    assert DEFAULT.cited == "default@1"
    assert DEFAULT.rule_type == "default"
    assert in_effect([], DAY) == (DEFAULT,)


def test_a_rule_is_as_it_is_written_without_its_other_fields() -> None:
    rule = Rule("a", 1, "t")
    assert rule.enabled
    assert rule.priority_given
    assert not rule.ended
    assert rule.priority == PRIORITY == 100
    assert (rule.name, rule.description) == ("", "")
    assert rule.narrowed == Claim()


def test_a_rule_that_narrows_nothing_comes_after_those_that_do() -> None:
    assert PRIORITY_OF_ALL == 1000


def test_drivers_are_named_by_the_words_of_a_written_rule() -> None:
    assert [driver.value for driver in Driver] == ["cost", "quantity", "records"]


def test_rules_claim_by_priority_then_id() -> None:
    late = Rule("a", 1, "t", priority=1000)
    first, second = Rule("b", 1, "t", priority=10), Rule("c", 1, "t", priority=10)
    assert in_effect([late, second, first], DAY) == (first, second, late, DEFAULT)


def test_ids_are_in_the_order_of_code_points() -> None:
    rules = [Rule(name, 1, "t") for name in ("ä", "a", "Z", "z", "10", "9")]
    assert [rule.rule_id for rule in in_effect(rules, DAY)][:-1] == ["10", "9", "Z", "a", "z", "ä"]


def test_the_newest_version_covering_a_day_speaks_for_it() -> None:
    old, new = Rule("a", 1, "t"), Rule("a", 2, "t", effective_from=date(2025, 10, 15))
    assert in_effect([new, old], date(2025, 10, 14)) == (old, DEFAULT)
    assert in_effect([new, old], DAY) == (new, DEFAULT)


def test_versions_are_numbers() -> None:
    ninth, tenth = Rule("a", 9, "t"), Rule("a", 10, "t")
    assert in_effect([tenth, ninth], DAY) == in_effect([ninth, tenth], DAY) == (tenth, DEFAULT)


def test_effective_to_is_exclusive() -> None:
    rule = Rule("a", 1, "t", effective_to=DAY)
    assert in_effect([rule], DAY) == (DEFAULT,)
    assert in_effect([rule], date(2025, 10, 14)) == (rule, DEFAULT)


@pytest.mark.parametrize("newer", [Rule("a", 2, "t", enabled=False), Rule("a", 2, "t", ended=True)])
def test_a_disabled_or_ending_newest_version_silences_older_ones(newer: Rule) -> None:
    assert in_effect([Rule("a", 1, "t"), newer], DAY) == (DEFAULT,)
    assert newest([Rule("a", 1, "t"), newer], DAY) == {"a": newer}


def test_a_rule_that_is_written_again_speaks_again() -> None:
    again = Rule("a", 3, "t")
    assert in_effect([Rule("a", 1, "t"), Rule("a", 2, "t", ended=True), again], DAY)[0] is again


def test_a_version_never_speaks_for_months_that_were_closed_when_it_was_written() -> None:
    """Example 9 of the written rules, its second half: October keeps the first version."""
    first = Rule("a", 1, "t")
    second = Rule("a", 2, "t", closed=(Period(2025, 9).days(), OCTOBER))
    spoken = {
        day: newest([first, second], day)["a"].version
        for day in (date(2025, 9, 1), OCTOBER.start, date(2025, 10, 31), OCTOBER.end)
    }
    assert list(spoken.values()) == [1, 1, 1, 2]
    assert newest([second], date(2025, 10, 31)) == {}
    assert newest([second], date(2025, 8, 31)) == {"a": second}


def test_a_rule_is_narrowed_by_match_and_team() -> None:
    rule = Rule("a", 1, "t", team_id="A", match=Match(teams=("A", "B"), users=(None,)))
    assert rule.narrowed == Claim(Condition.one_of(["A"]), Condition.one_of([None]), ANY, ANY)


def test_days_are_cut_within_a_range_where_a_rule_may_begin_or_cease() -> None:
    rules = [
        Rule("a", 1, "t", effective_from=date(2025, 10, 5), effective_to=date(2025, 11, 5)),
        Rule("b", 1, "t", closed=(BillingRange(date(2025, 9, 30), DAY),)),
        Rule("c", 1, "t", effective_from=OCTOBER.start, effective_to=OCTOBER.end),
        Rule("d", 1, "t", effective_from=date(2025, 10, 31)),
    ]
    assert [days.start.day for days in stretches(rules, OCTOBER)] == [1, 5, 15, 31]
    assert [days.end for days in stretches(rules, OCTOBER)][-1] == OCTOBER.end
    assert stretches([], OCTOBER) == [OCTOBER]


@law(60)
@given(made_rules.rules(), made_rules.ranges)
def test_stretches_are_the_days_and_the_same_rules_apply_within_each(
    rules: tuple[Rule, ...], days: BillingRange
) -> None:
    cut = stretches(rules, days)
    assert [day for stretch in cut for day in stretch.each()] == list(days.each())
    for stretch in cut:
        applying = {in_effect(rules, day) for day in stretch.each()}
        assert applying == {in_effect(rules, stretch.start)}


@law(80)
@given(made_rules.rules(), made_rules.ranges)
def test_the_versions_that_speak_say_the_same_as_all_versions(
    rules: tuple[Rule, ...], days: BillingRange
) -> None:
    kept = speaking(rules, days)
    for day in days.each():
        assert in_effect(kept, day) == in_effect(rules, day)
        assert newest(kept, day) == newest(rules, day)


@law(60)
@given(made_rules.rules(), made_rules.ranges)
def test_only_versions_that_speak_for_a_day_are_kept_each_once_and_in_order(
    rules: tuple[Rule, ...], days: BillingRange
) -> None:
    kept = speaking(rules, days)
    heard = [rule for day in days.each() for rule in newest(rules, day).values()]
    assert all(rule in heard for rule in kept)
    keys = [(rule.rule_id, rule.version) for rule in kept]
    assert keys == sorted(set(keys))
    assert speaking(reversed(rules), days) == kept
    assert speaking(kept, days) == kept
