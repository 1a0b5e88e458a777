"""Why nobody bears a total: the rule that nearly claimed it."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given

from chargeback_worker.allocation.engine import pools
from chargeback_worker.allocation.grouping import grouping
from chargeback_worker.allocation.match import Match
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.near import Near, nearest, no_receiver, told_apart
from chargeback_worker.allocation.pair import UNALLOCATED
from chargeback_worker.allocation.rule import DEFAULT, Rule, in_effect, speaking
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.period import BillingRange, Period
from chargeback_worker.usage.total import UsageTotal
from tests.support import made_rules, made_usage
from tests.support.laws import law
from tests.support.pure_ledger import usage

OCTOBER = Period(2025, 10).days()
SHARED = usage(10, resource_type="query")
RENT = Rule("rent", 1, "fixed_split", match=Match(resource_types=("rent",)))


def _near(*rules: Rule, total: UsageTotal = SHARED, labels: tuple[str, ...] = ()) -> Near:
    snapshot = Snapshot(rules=rules, labels=labels)
    found = nearest(UNALLOCATED, total, snapshot)
    assert found is not None
    return found


def test_the_sentence_says_what_the_rule_wants_and_what_the_total_is() -> None:
    found = _near(RENT)
    assert found.failing == ("resource_types",)
    assert found.sentence == (
        "rent@1 would have claimed it, but takes only usage of type rent, and this is of type query"
    )


def test_without_any_rule_none_is_near() -> None:
    assert nearest(UNALLOCATED, SHARED, Snapshot()) is None


def test_the_fewest_fields_come_first_then_the_order_of_claiming() -> None:
    two = Rule(
        "a", 1, "fixed_split", priority=1, match=Match(resource_types=("rent",), teams=("A",))
    )
    assert _near(two, RENT).rule == RENT
    earlier = Rule("z", 1, "fixed_split", priority=1, match=Match(resource_types=("power",)))
    assert _near(RENT, earlier).rule == earlier


def test_what_a_type_wants_by_itself_counts() -> None:
    found = _near(Rule("teams", 1, "by_team"))
    assert found.sentence == (
        "teams@1 would have claimed it, but takes only usage with any team, and this is without a"
        " team"
    )


def test_a_rule_that_is_disabled_or_not_in_effect_may_be_the_nearest() -> None:
    disabled = Rule("all", 2, "fixed_split", enabled=False)
    assert _near(RENT).failing == ("resource_types",)
    assert _near(disabled).sentence == "all@2 would have claimed it, but is disabled"
    # One field each: the rule that was in effect is told.
    assert _near(disabled, RENT).rule == RENT
    later = Rule("all", 1, "fixed_split", effective_from=date(2025, 10, 20))
    assert _near(later).sentence == (
        "all@1 would have claimed it, but is in effect only from 2025-10-20"
    )
    closed = Rule("all", 1, "fixed_split", closed=(OCTOBER,))
    assert _near(closed).sentence == (
        "all@1 would have claimed it, but was written when that month was closed"
    )
    assert nearest(UNALLOCATED, SHARED, Snapshot(rules=(Rule("x", 2, "by_team", ended=True),))) is (
        None
    )


def test_of_each_rule_the_version_of_the_day_is_told() -> None:
    old = Rule("rent", 1, "fixed_split", match=Match(resource_types=("rent",)))
    new = Rule("rent", 2, "fixed_split", match=Match(teams=("A",)))
    assert _near(old, new).rule == new


def test_labels_and_agents_of_no_rule_are_another_one() -> None:
    rule = Rule("r", 1, "fixed_split", match=Match(agents=("g",), labels=(("project", ("p",)),)))
    snapshot = Snapshot(rules=(rule,), labels=("project",))
    total = usage(1, agent="h", labels=("q",))
    kept = grouping(snapshot, OCTOBER)
    plain = nearest(UNALLOCATED, total, snapshot)
    assert plain is not None
    assert plain.sentence.endswith("and this is by agent h and with label project q")
    grouped = nearest(UNALLOCATED, kept.group(total), snapshot, kept)
    assert grouped is not None
    assert grouped.sentence.endswith("and this is by another agent and with another label project")


def test_a_rule_without_receivers_is_told() -> None:
    assert no_receiver(RENT).startswith("rent@1 claimed it, but there is nobody")


@law()
@given(totals=made_usage.totals(labels=made_usage.LABELS), snapshot=made_rules.snapshots())
def test_the_nearest_rule_fails_by_what_it_says(
    totals: list[UsageTotal], snapshot: Snapshot
) -> None:
    for rule, pool in pools(totals, snapshot):
        for owner, total in pool.usage if rule == DEFAULT else ():
            found = nearest(owner, total, snapshot)
            if found is None:
                continue
            assert found.failing
            assert found.rule in snapshot.rules
            in_force = in_effect(snapshot.rules, total.day)
            silent = {"enabled", "effective"} & set(found.failing)
            assert bool(silent) == (found.rule not in in_force)
            fields = METHODS[found.rule.rule_type].claims(found.rule).fields()
            assert {*found.failing} - silent <= fields.keys()


@law()
@given(totals=made_usage.totals(labels=made_usage.LABELS), snapshot=made_rules.snapshots())
def test_all_totals_of_a_group_have_the_same_nearest_rule(
    totals: list[UsageTotal], snapshot: Snapshot
) -> None:
    # As those of closes are: they hold no version that is silent all month.
    snapshot = replace(snapshot, rules=speaking(snapshot.rules, OCTOBER))
    kept = grouping(told_apart(snapshot), OCTOBER)
    claimed_by = {
        id(used.total): rule for rule, pool in pools(totals, snapshot) for used in pool.usage
    }
    for total in totals:
        owner = snapshot.directory.owner(total.team, total.user, total.day)
        if claimed_by[id(total)] != DEFAULT:
            continue
        found = nearest(owner, total, snapshot)
        of_group = nearest(owner, kept.group(total), snapshot, kept)
        assert (found is None) == (of_group is None)
        if found is not None and of_group is not None:
            assert (found.rule, found.failing) == (of_group.rule, of_group.failing)


@pytest.mark.parametrize("days", [OCTOBER, BillingRange(date(2025, 10, 5), date(2025, 10, 9))])
def test_silent_rules_are_told_apart_without_silencing_others(days: BillingRange) -> None:
    rule = Rule("r", 1, "by_team")
    silent = Rule("r", 2, "by_team", enabled=False, match=Match(agents=("g",)))
    kept = grouping(told_apart(Snapshot(rules=(rule, silent))), days)
    assert kept.agents.named == {"g"}
    assert not grouping(Snapshot(rules=(rule, silent)), days).agents.looked_at
