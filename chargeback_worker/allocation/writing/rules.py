"""Written rules to values: every field checked, every receiver resolved, all faults at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.match import EVERYTHING
from chargeback_worker.allocation.methods import METHODS, rule_types
from chargeback_worker.allocation.rule import RESERVED_ID, Driver, Rule
from chargeback_worker.allocation.writing.faults import Fault, FaultKind, Path, RulesRefused
from chargeback_worker.allocation.writing.fields import (
    BESIDE,
    FIELDS,
    IGNORED,
    IN_MATCH,
    IN_METADATA,
    METADATA,
    METADATA_FIELDS,
)
from chargeback_worker.allocation.writing.match import match, resource_types
from chargeback_worker.allocation.writing.named import read_named
from chargeback_worker.allocation.writing.objections import object_to
from chargeback_worker.allocation.writing.place import Place, Subject
from chargeback_worker.allocation.writing.priority import derived_priority
from chargeback_worker.allocation.writing.receivers import Known, refuse_twice
from chargeback_worker.allocation.writing.values import (
    days,
    identifier,
    name,
    one_of,
    optional,
    paragraph,
    truth,
    whole,
)

PRIORITY_LIMIT = 10**9


def read_rules(
    document: object, *, labels: Sequence[str], directory: Directory
) -> tuple[Rule, ...]:
    """The rules of a document, in its order, as version 0 of each.

    It is one rule, a list of rules, or a list under `rules`; as they are shown by a door, too.
    `labels` are the configured ones. Raises RulesRefused with all faults.
    """
    faults: list[Fault] = []
    root = Place(document, (), Subject("the document"), faults)
    terms = _Terms(tuple(labels), Known.of(directory))
    rules = [_rule(place.about("rule", _id_of(place)), terms) for place in _written(root)]
    if faults:
        raise RulesRefused(faults)
    return tuple(rule for rule in rules if rule is not None)


@dataclass(frozen=True, slots=True)
class _Terms:
    """What rules are read by besides their text."""

    labels: tuple[str, ...]
    known: Known
    first_of: dict[str, str] = field(default_factory=dict)
    """The rule ids met so far, and where they stand."""


def _written(root: Place) -> list[Place]:
    """Each rule of the document."""
    value = root.value
    if isinstance(value, dict) and "rule_id" not in value:
        for wrapper in ("rule", "rules"):
            if wrapper in value:
                within = root.fields((wrapper,), "", ignored=("next_cursor",), null_is_absent=False)
                assert within is not None
                root = within[wrapper]
                if wrapper == "rule":
                    return [root]
                return root.items("a list of rules; write rules: [] for none") or []
    if isinstance(value, list):
        return root.items("") or []
    return [root]


def _id_of(place: Place) -> object:
    return place.value.get("rule_id") if isinstance(place.value, dict) else None


def _rule(place: Place, terms: _Terms) -> Rule | None:
    """A rule, of which nothing may be used where there are faults."""
    before = len(place.faults)
    fields = place.fields(
        FIELDS,
        f"a rule: a mapping with {', '.join(FIELDS[:4])}, …",
        ignored=IGNORED,
        elsewhere=IN_MATCH | IN_METADATA,
    )
    if fields is None:
        return None
    rule_type = _rule_type(place, fields)
    metadata = optional(fields.get(METADATA), _metadata) or {}
    first, until = days(fields.get("effective_from"), fields.get("effective_to"))
    given = optional(fields.get("priority"), lambda at: whole(at, PRIORITY_LIMIT))
    named = read_named(fields, metadata, terms.known)
    rule = Rule(
        rule_id=_rule_id(place, fields, terms) or "",
        version=0,
        rule_type=rule_type or "",
        enabled=optional(fields.get("enabled"), truth) is not False,
        effective_from=first,
        effective_to=until,
        name=optional(fields.get("name"), name) or "",
        description=optional(fields.get("description"), paragraph) or "",
        team_id=optional(fields.get("team_id"), identifier),
        user_ids=tuple(user for _, user in named.users),
        split=tuple(share for _, share in named.split),
        match=optional(metadata.get("match"), lambda at: match(at, terms.labels)) or EVERYTHING,
        receivers=tuple(found for _, found in named.receivers),
        entity_type=named.entity_type,
        driver=_driver(metadata.get("driver")),
        driver_resource_types=optional(metadata.get("driver_match"), _driver_match) or (),
    )
    if rule_type is not None:
        method = METHODS[rule_type]
        refuse_twice(named.used(method))
        object_to(place, rule, method, before)
    priority = derived_priority(rule) if given is None else given
    return replace(rule, priority=priority, priority_given=given is not None)


def _rule_id(place: Place, fields: dict[str, Place], terms: _Terms) -> str | None:
    at = fields.get("rule_id")
    if at is None:
        place.missing("rule_id", "is missing; every rule needs an id")
        return None
    found = identifier(at)
    if found is None:
        return None
    if found == RESERVED_ID:
        at.refuse(
            FaultKind.RESERVED_ID, "is the rule for what no other claims; give this another id"
        )
    if found in terms.first_of:
        at.refuse(
            FaultKind.RULE_TWICE, f"is written a second time; the first is {terms.first_of[found]}"
        )
    terms.first_of.setdefault(found, _ordinal(place.path))
    return found


def _ordinal(path: Path) -> str:
    number = path[-1] if path else 0
    return f"rule {number + 1} of the document" if isinstance(number, int) else "above"


def _rule_type(place: Place, fields: dict[str, Place]) -> str | None:
    at = fields.get("rule_type")
    known = rule_types()
    if at is None:
        place.missing("rule_type", f"is missing; there are {', '.join(known)}")
        return None
    return one_of(at, known, FaultKind.UNKNOWN_TYPE)


def _metadata(place: Place) -> dict[str, Place] | None:
    return place.fields(
        METADATA_FIELDS,
        f"a mapping with any of {', '.join(METADATA_FIELDS)}",
        elsewhere=IN_MATCH | BESIDE,
    )


def _driver(place: Place | None) -> Driver:
    found = optional(place, lambda at: one_of(at, list(Driver)))
    return Driver.COST if found is None else Driver(found)


def _driver_match(place: Place) -> tuple[str, ...]:
    only = "resource_types"
    fields = place.fields((only,), "a mapping such as {resource_types: [query]}")
    return optional((fields or {}).get(only), resource_types) or ()
