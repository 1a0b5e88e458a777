"""Rules in plain words: which usage they take, when, and who bears it.

A sentence names every condition, but of a long list of values only the first few.
"""

from chargeback_worker.allocation.match import Claim, Condition
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.naming import first_few
from chargeback_worker.allocation.rule import RESERVED_ID, Rule

_FIELDS = {
    "resource_types": ("of type", "type"),
    "teams": ("of team", "team"),
    "users": ("of user", "user"),
    "agents": ("by agent", "agent"),
}
_LABEL = "labels."


def in_words(rule: Rule) -> str:
    """A sentence: what the rule takes, and what its method does with it."""
    when = "".join(f", {part}" for part in _dates(rule))
    return f"{rule.cited} takes {_taken(rule)}{when}: it {METHODS[rule.rule_type].says(rule)}."


def dates_in_words(rule: Rule) -> str:
    """The days that it was written for: `from 2026-10-15, before 2026-11-01`."""
    return ", ".join(_dates(rule)) or "for all days"


def claim_in_words(claim: Claim) -> str:
    """What a claim takes: `usage of type rent, without a team`."""
    if claim.takes_nothing:
        return "nothing at all, as its conditions cannot hold together"
    conditions = claim.fields()
    names = (*_FIELDS, *(name for name in conditions if name.startswith(_LABEL)))
    narrowed = [name for name in names if not conditions[name].takes_all]
    if not narrowed:
        return "all usage"
    return "usage " + ", ".join(condition_in_words(name, conditions[name]) for name in narrowed)


def condition_in_words(field: str, condition: Condition) -> str:
    """One condition of a claim, which does not take everything: `of team A or B`."""
    if condition.values is None:
        return f"with any {_noun(field)}"
    named = sorted(value for value in condition.values if value is not None)
    parts = [f"{_before(field)} {_either(named)}"] if named else []
    if None in condition.values:
        parts.append(f"without {_article(field)} {_noun(field)}")
    return " or ".join(parts) or f"of no {_noun(field)} at all"


def value_in_words(field: str, value: str | None) -> str:
    """What a total has in a field, in the same words: `of team A`, `without a team`."""
    return condition_in_words(field, Condition.one_of([value]))


def another_in_words(field: str) -> str:
    """The same of a value that no rule names: `by another agent`."""
    if field.startswith(_LABEL):
        return f"with another {_noun(field)}"
    return f"{_FIELDS[field][0].partition(' ')[0]} another {_noun(field)}"


def _taken(rule: Rule) -> str:
    if rule.rule_id == RESERVED_ID:
        return "what no rule claims"
    return claim_in_words(METHODS[rule.rule_type].claims(rule))


def _dates(rule: Rule) -> list[str]:
    edges = {"from": rule.effective_from, "before": rule.effective_to}
    return [f"{word} {day}" for word, day in edges.items() if day is not None]


def _noun(field: str) -> str:
    if field.startswith(_LABEL):
        return f"label {field.removeprefix(_LABEL)}"
    return _FIELDS[field][1]


def _before(field: str) -> str:
    return f"with {_noun(field)}" if field.startswith(_LABEL) else _FIELDS[field][0]


def _article(field: str) -> str:
    return "an" if field == "agents" else "a"


def _either(values: list[str]) -> str:
    """`A`, `A or B`, `A, B or C`; an empty text, which a label may be, in quotes."""
    told = first_few(value or '""' for value in values)
    *first, last = told
    return f"{', '.join(first)} or {last}" if first else last
