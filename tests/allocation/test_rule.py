from datetime import date

from chargeback_worker.allocation.rule import DEFAULT, Rule, in_effect

DAY = date(2025, 10, 15)


def test_the_reserved_rule_is_cited_and_comes_last() -> None:
    assert DEFAULT.cited == "default@1"
    assert in_effect([], DAY) == (DEFAULT,)


def test_rules_claim_by_priority_then_id() -> None:
    late = Rule("a", 1, "t", priority=1000)
    first, second = Rule("b", 1, "t", priority=10), Rule("c", 1, "t", priority=10)
    assert in_effect([late, second, first], DAY) == (first, second, late, DEFAULT)


def test_the_newest_version_covering_a_day_speaks_for_it() -> None:
    old, new = Rule("a", 1, "t"), Rule("a", 2, "t", effective_from=date(2025, 10, 15))
    assert in_effect([new, old], date(2025, 10, 14)) == (old, DEFAULT)
    assert in_effect([new, old], DAY) == (new, DEFAULT)


def test_effective_to_is_exclusive() -> None:
    rule = Rule("a", 1, "t", effective_to=DAY)
    assert in_effect([rule], DAY) == (DEFAULT,)
    assert in_effect([rule], date(2025, 10, 14)) == (rule, DEFAULT)


def test_a_disabled_newest_version_silences_older_ones() -> None:
    assert in_effect([Rule("a", 1, "t"), Rule("a", 2, "t", enabled=False)], DAY) == (DEFAULT,)
