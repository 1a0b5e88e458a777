"""A rule as people write it, and whether two of them say the same."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chargeback_worker.allocation.match import FIELDS, Match
from chargeback_worker.allocation.rule import Driver, Rule
from chargeback_worker.allocation.writing.fields import METADATA
from chargeback_worker.allocation.writing.match import LABELS
from chargeback_worker.allocation.writing.place import Number
from chargeback_worker.money import plain


def digits(nano: int) -> Number:
    """Nano-units as a document holds a number."""
    return Number(plain(nano))


def rule_document(rule: Rule, *, number: Callable[[int], object] = digits) -> dict[str, Any]:
    """The rule as it was written: read again, it is the same rule as a version 0.

    A priority that was derived is left out, so that it is derived anew when other fields are
    merged in. `number` makes the percentages, given in units of 10**-9.
    """
    return {
        "rule_id": rule.rule_id,
        "name": rule.name,
        "description": rule.description,
        "rule_type": rule.rule_type,
        "enabled": rule.enabled,
        "priority": rule.priority if rule.priority_given else None,
        "effective_from": rule.effective_from and rule.effective_from.isoformat(),
        "effective_to": rule.effective_to and rule.effective_to.isoformat(),
        "team_id": rule.team_id,
        "user_ids": list(rule.user_ids),
        "split_percentages": {
            share.receiver.written: number(share.percent_nano) for share in rule.split
        },
        METADATA: _metadata(rule),
    }


def shown_rule(rule: Rule, *, number: Callable[[int], object] = digits) -> dict[str, Any]:
    """The rule as a door shows it: with the priority that holds, its version, and to whom every
    receiver's key was resolved.

    It can be written again as it is; a priority that was derived is then a given one.
    """
    named = [*(share.receiver for share in rule.split), *rule.receivers]
    return {
        **rule_document(rule, number=number),
        "priority": rule.priority,
        "version": rule.version,
        "resolved": {receiver.written: receiver.pair.key for receiver in named},
    }


def same(rule: Rule, other: Rule) -> bool:
    """Whether two versions say the same, whatever their numbers and the months closed then.

    The order in which values are listed says nothing.
    """
    return _content(rule) == _content(other)


def _metadata(rule: Rule) -> dict[str, Any]:
    """Only what was given: a field that is not there asks nothing."""
    only = list(rule.driver_resource_types)
    given = {
        "match": _match(rule.match),
        "receivers": [receiver.written for receiver in rule.receivers],
        "entity_type": rule.entity_type,
        "driver": None if rule.driver is Driver.COST else rule.driver.value,
        "driver_match": {"resource_types": only} if only else None,
    }
    return {field: value for field, value in given.items() if value}


def _match(match: Match) -> dict[str, Any]:
    fields: dict[str, Any] = {field: getattr(match, field) for field in FIELDS}
    fields[LABELS] = {label: list(values) for label, values in match.labels}
    return {
        field: values if field == LABELS else list(values)
        for field, values in fields.items()
        if values
    }


def _content(rule: Rule) -> object:
    match = rule.match
    listed = [
        frozenset(values or ())
        for values in (
            *(getattr(match, field) for field in FIELDS),
            rule.user_ids,
            rule.split,
            rule.receivers,
            rule.driver_resource_types,
        )
    ]
    labels = {label: frozenset(values) for label, values in match.labels}
    rest = replace(
        rule,
        version=0,
        closed=(),
        user_ids=(),
        split=(),
        match=Match(),
        receivers=(),
        driver_resource_types=(),
    )
    return listed, labels, rest
