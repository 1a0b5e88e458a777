"""Which rules narrow nothing, and what priority follows from that."""

from chargeback_worker.allocation.rule import PRIORITY, PRIORITY_OF_ALL, Rule


def narrows(rule: Rule) -> bool:
    """Whether a rule was written for something in particular.

    A `by_team` without conditions claims only what has a team, and is for everything all the same.
    """
    of_people = rule.rule_type == "by_user" and bool(rule.user_ids)
    return rule.match.narrows or rule.team_id is not None or of_people


def derived_priority(rule: Rule) -> int:
    """The priority of a rule that is given none: a specific one claims before a catch-all."""
    return PRIORITY if narrows(rule) else PRIORITY_OF_ALL
