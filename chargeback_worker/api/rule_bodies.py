"""The bodies of rules, as far as a door has to know them: which fields, and under what id."""

from chargeback_worker.allocation.writing.faults import Fault, FaultKind
from chargeback_worker.allocation.writing.fields import FIELDS, IGNORED
from chargeback_worker.allocation.writing.place import Place, Subject
from chargeback_worker.api.refusals import BodyRefused
from chargeback_worker.usage.json_object import JsonObject


def new_rule(document: JsonObject) -> JsonObject:
    """One rule that is to be made. Raises BodyRefused where it has no id, or has other fields."""
    faults: list[Fault] = []
    root = Place(document, (), Subject("the rule"), faults)
    fields = root.fields(FIELDS, "a rule", ignored=IGNORED) or {}
    for needed in ("rule_id", "rule_type"):
        if needed not in fields:
            root.missing(needed, "is missing; every rule needs one")
    _end(faults)
    return document


def changed_fields(document: JsonObject, rule_id: str) -> JsonObject:
    """The fields that a rule is to have. Raises BodyRefused where they name another rule."""
    faults: list[Fault] = []
    root = Place(document, (), Subject("the rule"), faults)
    fields = root.fields(FIELDS, "a rule", ignored=IGNORED) or {}
    named = fields.get("rule_id")
    if named is not None and named.value != rule_id:
        named.refuse(FaultKind.NOT_ONE_OF, "must be the id in the path, or be left out")
    _end(faults)
    return {field: value for field, value in document.items() if field != "rule_id"}


def _end(faults: list[Fault]) -> None:
    if faults:
        raise BodyRefused(faults)
