"""What stands under `match`, and lists of values in general."""

from collections.abc import Callable, Sequence

from chargeback_worker.allocation.match import FIELDS, Match
from chargeback_worker.allocation.writing.faults import FaultKind
from chargeback_worker.allocation.writing.place import Place, choice
from chargeback_worker.allocation.writing.values import identifier, name, optional
from chargeback_worker.usage.refusal import shown

LABELS = "labels"
MATCH_FIELDS = (*FIELDS, LABELS)

Values = tuple[str | None, ...]


def match(place: Place, labels: Sequence[str]) -> Match | None:
    """The conditions of a rule; `labels` are the configured ones."""
    # Null is not absence here: `teams: null` is meant as "has none", and would match everything.
    wanted = "a mapping such as {teams: [A]}"
    fields = place.fields(MATCH_FIELDS, wanted, null_is_absent=False)
    if fields is None:
        return None
    values = {field: optional(fields.get(field), or_none) for field in FIELDS}
    of_labels = fields.get(LABELS)
    by_label = () if of_labels is None else _labels(of_labels, labels)
    return Match(**values, labels=by_label)


def _labels(place: Place, known: Sequence[str]) -> tuple[tuple[str, Values], ...]:
    entries = place.entries("a mapping of labels to lists, such as {project: [a, b]}") or {}
    found: dict[str, Values] = {}
    for label, of_label in entries.items():
        if label not in known:
            configured = choice(label, known) or "; none is configured"
            of_label.refuse(
                FaultKind.UNKNOWN_LABEL,
                f"{shown(label)} is no label of the totals (grain.labels){configured}",
                show=False,
            )
        elif (values := _values(of_label, _label_or_none)) is not None:
            found[label] = values
    return tuple(sorted(found.items()))


def or_none(place: Place) -> Values | None:
    """A list of ids; null in it stands for totals that have none."""
    return _values(place, _id_or_none)


def resource_types(place: Place) -> tuple[str, ...] | None:
    """A list of resource types; every total has one, so none of them is null."""
    found = _values(place, lambda value: (identifier(value),))
    return None if found is None else tuple(value for value in found if value is not None)


def _id_or_none(place: Place) -> Values:
    if place.value is None:
        return (None,)
    if place.value == "":
        place.refuse(FaultKind.MISSING, 'matches nothing; write null for "has none"')
        return ()
    return (identifier(place),)


def _label_or_none(place: Place) -> Values:
    """An empty label is a value, and true and false are labels: so they are read from usage."""
    if place.value is None:
        return (None,)
    if isinstance(place.value, bool):
        return ("true" if place.value else "false",)
    return (name(place),)


def _values(place: Place, read: Callable[[Place], Values]) -> Values | None:
    """All values of a list, each once. An empty list is refused: it would match nothing."""
    items = place.items('a list such as [a, b]; [null] stands for "has none"')
    if items is None:
        return None
    if not items:
        place.refuse(
            FaultKind.EMPTY_LIST, "must not be empty; leave the field out where it asks nothing"
        )
        return None
    before = len(place.faults)
    found = tuple(dict.fromkeys(value for item in items for value in read(item)))
    return found if len(place.faults) == before else None
