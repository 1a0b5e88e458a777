"""Versions of allocation rules, and which of them hold on a billing day."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

RESERVED_ID = "default"
"""The id of the rule that takes what no other claims; refused for rules that people write."""


def cited(rule_id: str, version: int) -> str:
    """How a rule is named on every allocation and line: `rule_id@version`."""
    return f"{rule_id}@{version}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One version of a rule. `effective_from` and `effective_to` are half-open billing dates."""

    rule_id: str
    version: int
    rule_type: str
    enabled: bool = True
    priority: int = 100
    effective_from: date | None = None
    effective_to: date | None = None

    @property
    def cited(self) -> str:
        return cited(self.rule_id, self.version)

    def covers(self, day: date) -> bool:
        """Whether this version speaks for the day, enabled or not."""
        started = self.effective_from is None or self.effective_from <= day
        return started and (self.effective_to is None or day < self.effective_to)


DEFAULT = Rule(RESERVED_ID, 1, rule_type=RESERVED_ID)


def in_effect(rules: Iterable[Rule], day: date) -> tuple[Rule, ...]:
    """The rules that apply on a day, in the order in which they claim, `DEFAULT` at the end.

    Of each rule the newest version that covers the day speaks; where that one is disabled, the
    rule does not apply, whatever an older version says.
    """
    newest: dict[str, Rule] = {}
    for rule in rules:
        known = newest.get(rule.rule_id)
        if rule.covers(day) and (known is None or known.version < rule.version):
            newest[rule.rule_id] = rule
    enabled = (rule for rule in newest.values() if rule.enabled)
    return (*sorted(enabled, key=lambda rule: (rule.priority, rule.rule_id)), DEFAULT)
