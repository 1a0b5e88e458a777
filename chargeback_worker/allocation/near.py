"""Why nobody bears a total: which rule nearly claimed it, and what it wanted besides."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

from chargeback_worker.allocation.grouping import Grouping, Values
from chargeback_worker.allocation.match import Condition
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Rule, newest
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.allocation.wording import (
    another_in_words,
    condition_in_words,
    dates_in_words,
    value_in_words,
)
from chargeback_worker.usage.total import UsageTotal

DISABLED = "enabled"
NOT_IN_EFFECT = "effective"
"""What a rule may lack besides the fields of its claim."""


@dataclass(frozen=True, slots=True)
class Near:
    """The rule that came nearest to claiming a total, what it failed by, and that as a sentence."""

    rule: Rule
    failing: tuple[str, ...]
    sentence: str


def nearest(
    owner: Pair, total: UsageTotal, snapshot: Snapshot, kept: Grouping | None = None
) -> Near | None:
    """The rule that fails by the fewest fields, then the first to claim; None without any rule.

    For a total that no rule claimed. A rule that is disabled, or does not speak for the day, fails
    by that. `kept` is what a group was summed by, if `total` is one: then `other` is no value.
    """
    has = _values(owner, total, snapshot)
    found = [(_failing(rule, has, lacks), rule) for rule, lacks in _candidates(total, snapshot)]
    if not found:
        return None
    failing, rule = min(found, key=lambda item: (len(item[0]), _silent(item[0]), item[1].order))
    others = {} if kept is None else _others(kept, snapshot.labels)
    return Near(rule, failing, _sentence(rule, failing, total.day, has, others))


def no_receiver(rule: Rule) -> str:
    """Why a total that a rule did claim is borne by nobody all the same."""
    return (
        f"{rule.cited} claimed it, but there is nobody it could give it to: it names no receiver,"
        " and nobody used anything that it could follow"
    )


def told_apart(snapshot: Snapshot) -> Snapshot:
    """The snapshot by which totals are to be grouped, so that `nearest` is the same for each total
    of a group: what only silent rules look at counts too.
    """
    # No rule that people write has such an id, so none of them is silenced by these.
    silent = (
        replace(rule, rule_id=f"\0{rule.rule_id}@{rule.version}", enabled=True)
        for rule in snapshot.rules
        if not rule.enabled and not rule.ended
    )
    return replace(snapshot, rules=(*snapshot.rules, *silent))


def _candidates(total: UsageTotal, snapshot: Snapshot) -> Iterator[tuple[Rule, tuple[str, ...]]]:
    """Of each rule the version that speaks for the day, else its last; with why it is silent."""
    speaking = newest(snapshot.rules, total.day)
    last: dict[str, Rule] = {}
    for rule in sorted(snapshot.rules, key=lambda rule: rule.version):
        last[rule.rule_id] = rule
    for rule_id, rule in last.items():
        version = speaking.get(rule_id, rule)
        if version.ended:
            continue
        silent = () if rule_id in speaking else (NOT_IN_EFFECT,)
        yield version, silent if version.enabled else (*silent, DISABLED)


def _values(owner: Pair, total: UsageTotal, snapshot: Snapshot) -> dict[str, str | None]:
    """What a total has in each field that a claim may look at."""
    labels = zip(snapshot.labels, total.labels, strict=True)
    return {
        "resource_types": total.resource_type,
        "teams": owner.team,
        "users": owner.user,
        "agents": total.agent,
        **{f"labels.{name}": value for name, value in labels},
    }


def _failing(rule: Rule, has: Mapping[str, str | None], lacks: tuple[str, ...]) -> tuple[str, ...]:
    wanted = _wanted(rule)
    return (*lacks, *(name for name in has if name in wanted and not wanted[name].takes(has[name])))


def _wanted(rule: Rule) -> dict[str, Condition]:
    return METHODS[rule.rule_type].claims(rule).fields()


def _silent(failing: Iterable[str]) -> bool:
    return not {DISABLED, NOT_IN_EFFECT}.isdisjoint(failing)


def _sentence(
    rule: Rule,
    failing: tuple[str, ...],
    day: date,
    has: Mapping[str, str | None],
    others: Mapping[str, str],
) -> str:
    wanted = _wanted(rule)
    fields = [name for name in failing if name in has]
    why = []
    if NOT_IN_EFFECT in failing:
        why.append(_not_in_effect(rule, day))
    if DISABLED in failing:
        why.append("is disabled")
    if fields:
        only = " and ".join(condition_in_words(name, wanted[name]) for name in fields)
        is_ = " and ".join(
            another_in_words(name)
            if others.get(name) == has[name] is not None
            else value_in_words(name, has[name])
            for name in fields
        )
        why.append(f"takes only usage {only}, and this is {is_}")
    return f"{rule.cited} would have claimed it, but {' and '.join(why)}"


def _not_in_effect(rule: Rule, day: date) -> str:
    if replace(rule, closed=()).covers(day):
        return "was written when that month was closed"
    return f"is in effect only {dates_in_words(rule)}"


def _others(kept: Grouping, labels: Iterable[str]) -> dict[str, str]:
    """By field the text that stands for every value that no rule names."""
    fields: dict[str, Values] = {"agents": kept.agents}
    fields |= zip((f"labels.{name}" for name in labels), kept.labels, strict=True)
    return {
        name: values.other for name, values in fields.items() if values.named and not values.whole
    }
