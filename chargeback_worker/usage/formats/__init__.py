"""The formats of usage events: which one a decoded event has, and where its fields are.

Owns: the names of fields outside. A format is one file with a `read`, and one line in FORMATS.
CloudEvents is no format but an envelope around any of them.

Does not own: whether a value is acceptable, and what it means (`usage.event`).

Invariant: a format drops nothing. What it does not know by name stays in `Fields.rest`.
"""

from collections.abc import Callable

from chargeback_worker.usage.fields import Fields
from chargeback_worker.usage.formats import cost_record, usage_record
from chargeback_worker.usage.json_object import JsonObject

FORMATS: tuple[Callable[[JsonObject], Fields | None], ...] = (
    cost_record.read,
    usage_record.read,
)
"""Asked in this order. Each answers None for an event of another format, the last one never does;
the one that answers may empty the object that it was given."""


def read(event: JsonObject) -> Fields:
    """The fields of an event, by the first format that takes it."""
    for read_format in FORMATS:
        fields = read_format(event)
        if fields is not None:
            return fields
    raise AssertionError("the last format takes every event")
