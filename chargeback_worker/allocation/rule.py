"""Versions of allocation rules, and which of them hold on a billing day."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import pairwise

from chargeback_worker.allocation.match import EVERYTHING, Claim, Match
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.period import BillingRange

RESERVED_ID = "default"
"""The id of the rule that takes what no other claims; refused for rules that people write."""
PRIORITY = 100
PRIORITY_OF_ALL = 1000
"""The priority of a rule that narrows nothing, so that a specific one claims before it."""


class Driver(StrEnum):
    """What of owned usage shared cost follows."""

    COST = "cost"
    QUANTITY = "quantity"
    RECORDS = "records"


def cited(rule_id: str, version: int) -> str:
    """How a rule is named on every allocation and line: `rule_id@version`."""
    return f"{rule_id}@{version}"


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is named to bear cost: the key as it was written, and what it was resolved to."""

    written: str
    pair: Pair


@dataclass(frozen=True, slots=True)
class Share:
    """A receiver's part of a fixed split; `percent_nano` in units of 10**-9 percent."""

    receiver: Receiver
    percent_nano: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One version of a rule, as it was resolved when it was written.

    `effective_from` and `effective_to` are half-open billing dates. `closed` are the days of the
    months that were closed when the version was written: it never speaks for them. `ended` marks
    the version that deletes a rule. `priority` is the one that holds; without `priority_given` it
    was derived.
    """

    rule_id: str
    version: int
    rule_type: str
    enabled: bool = True
    priority: int = PRIORITY
    effective_from: date | None = None
    effective_to: date | None = None
    closed: tuple[BillingRange, ...] = ()
    ended: bool = False
    priority_given: bool = True
    name: str = ""
    description: str = ""
    team_id: str | None = None
    user_ids: tuple[str, ...] = ()
    split: tuple[Share, ...] = ()
    match: Match = EVERYTHING
    receivers: tuple[Receiver, ...] = ()
    entity_type: str | None = None
    driver: Driver = Driver.COST
    driver_resource_types: tuple[str, ...] = ()
    """Of `driver_match`; none stand for all."""

    @property
    def cited(self) -> str:
        return cited(self.rule_id, self.version)

    @property
    def narrowed(self) -> Claim:
        """What `match` and `team_id` take; its method may narrow it further."""
        return self.match.claim(self.team_id)

    @property
    def order(self) -> tuple[int, str]:
        """Rules claim in this order."""
        return (self.priority, self.rule_id)

    def covers(self, day: date) -> bool:
        """Whether this version speaks for the day, enabled or not."""
        if self.effective_from is not None and day < self.effective_from:
            return False
        if self.effective_to is not None and day >= self.effective_to:
            return False
        return not any(days.start <= day < days.end for days in self.closed)

    def bounds(self) -> set[date]:
        """The days on which it may begin or cease to speak."""
        edges = {edge for days in self.closed for edge in (days.start, days.end)}
        return edges | {edge for edge in (self.effective_from, self.effective_to) if edge}


DEFAULT = Rule(RESERVED_ID, 1, rule_type=RESERVED_ID)


def newest(rules: Iterable[Rule], day: date) -> dict[str, Rule]:
    """Of each rule the newest version that covers a day, enabled or not, by its id."""
    found: dict[str, Rule] = {}
    for rule in rules:
        known = found.get(rule.rule_id)
        if rule.covers(day) and (known is None or known.version < rule.version):
            found[rule.rule_id] = rule
    return found


def in_effect(rules: Iterable[Rule], day: date) -> tuple[Rule, ...]:
    """The rules that apply on a day, in the order in which they claim, `DEFAULT` at the end.

    Of each rule the newest version that covers the day speaks; where that one is disabled, the
    rule does not apply, whatever an older version says.
    """
    enabled = (rule for rule in newest(rules, day).values() if rule.enabled and not rule.ended)
    return (*sorted(enabled, key=lambda rule: rule.order), DEFAULT)


def effective(rules: Iterable[Rule], days: BillingRange) -> list[tuple[date, tuple[Rule, ...]]]:
    """The rules that apply, from each day on which they change, the first of those days on."""
    rules = list(rules)
    found: list[tuple[date, tuple[Rule, ...]]] = []
    for stretch in stretches(rules, days):
        applying = in_effect(rules, stretch.start)
        if not found or found[-1][1] != applying:
            found.append((stretch.start, applying))
    return found


def applying(changes: Iterable[tuple[date, tuple[Rule, ...]]]) -> list[Rule]:
    """Each version that `effective` has found to apply, once."""
    found = {(rule.rule_id, rule.version): rule for _, rules in changes for rule in rules}
    return list(found.values())


def stretches(rules: Iterable[Rule], days: BillingRange) -> list[BillingRange]:
    """The days cut where any rule may begin or cease to speak."""
    edges = {edge for rule in rules for edge in rule.bounds() if days.start < edge < days.end}
    starts = [days.start, *sorted(edges), days.end]
    return [BillingRange(*pair) for pair in pairwise(starts)]


def speaking(rules: Iterable[Rule], days: BillingRange) -> tuple[Rule, ...]:
    """The versions that speak for any of those days, by id and version; disabled ones too, as
    they silence the older ones.
    """
    rules = list(rules)
    found = {
        (rule.rule_id, rule.version): rule
        for stretch in stretches(rules, days)
        for rule in newest(rules, stretch.start).values()
    }
    return tuple(found[key] for key in sorted(found))
