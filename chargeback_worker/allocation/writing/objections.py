"""What a method finds impossible about a rule, as faults of the document that it was read from."""

from chargeback_worker.allocation.pool import Method, Objection
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.writing.faults import FaultKind, Path
from chargeback_worker.allocation.writing.fields import METADATA
from chargeback_worker.allocation.writing.place import Place

_NAMING: tuple[Path, ...] = (
    ("team_id",),
    ("user_ids",),
    ("split_percentages",),
    (METADATA, "receivers"),
    (METADATA, "entity_type"),
)
"""Where a fault may be the reason that a rule seems to name nobody."""


def object_to(place: Place, rule: Rule, method: Method, before: int) -> None:
    """Note what the method finds impossible, unless it only follows from a fault noted before."""
    base = len(place.path)
    at_fault = {fault.path[base:] for fault in place.faults[before:]}
    for objection in method.check(rule):
        path = _path(objection)
        doubtful = {path}
        if objection.kind == FaultKind.NO_RECEIVER:
            doubtful.update(_NAMING)
        if not any(_overlap(fault, doubt) for fault in at_fault for doubt in doubtful):
            _place_of(place, path).refuse(
                objection.kind, objection.sentence, show=len(path) > 1 and path[0] != METADATA
            )


def _path(objection: Objection) -> Path:
    """A method names a field `split_percentages.KEY`, and a key may have dots itself."""
    head, dot, rest = objection.field.partition(".")
    return (head, rest) if dot else (head,)


def _place_of(place: Place, path: Path) -> Place:
    for key in path:
        value = place.value.get(key) if isinstance(place.value, dict) else None
        place = place.within(key, value)
    return place


def _overlap(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
