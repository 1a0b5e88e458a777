"""Everybody whom a rule names: its users, its receivers and the shares of a fixed split."""

from dataclasses import dataclass

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.pool import Method
from chargeback_worker.allocation.rule import Receiver, Share
from chargeback_worker.allocation.writing.faults import FaultKind
from chargeback_worker.allocation.writing.place import Place
from chargeback_worker.allocation.writing.receivers import ENTITY_TYPES, Known, receiver
from chargeback_worker.allocation.writing.values import (
    identifier,
    is_text,
    nano,
    one_of,
    optional,
)
from chargeback_worker.money import NANO

PERCENT_LIMIT = 10**9 * NANO

_SPLIT_EXAMPLE = "a mapping of receivers to percentages, such as {team:A: 60, team:B: 40}"


@dataclass(frozen=True, slots=True)
class Named:
    """Everybody whom a rule names, and where."""

    entity_type: str | None
    users: list[tuple[Place, str]]
    receivers: list[tuple[Place, Receiver]]
    split: list[tuple[Place, Share]]

    def used(self, method: Method) -> list[tuple[Place, Pair]]:
        """Those that a rule of this type divides among."""
        by_field = {
            "user_ids": [(place, Pair(user=user)) for place, user in self.users],
            "receivers": [(place, named.pair) for place, named in self.receivers],
            "split_percentages": [(place, share.receiver.pair) for place, share in self.split],
        }
        return [named for name, of in by_field.items() if name in method.uses for named in of]


def read_named(fields: dict[str, Place], metadata: dict[str, Place], known: Known) -> Named:
    entity_type = optional(metadata.get("entity_type"), lambda at: one_of(at, ENTITY_TYPES))
    users = optional(fields.get("user_ids"), _users) or []
    receivers = optional(metadata.get("receivers"), lambda at: _receivers(at, known, entity_type))
    split = optional(fields.get("split_percentages"), lambda at: _split(at, known, entity_type))
    return Named(entity_type, users, receivers or [], split or [])


def _users(place: Place) -> list[tuple[Place, str]]:
    items = place.items("a list of user ids such as [u1, u2]") or []
    read = [(item, identifier(item)) for item in items]
    return [(item, user) for item, user in read if user is not None]


def _receivers(place: Place, known: Known, entity_type: str | None) -> list[tuple[Place, Receiver]]:
    items = place.items("a list of receivers such as [team:A, user:u1]")
    if items == []:
        place.refuse(FaultKind.EMPTY_LIST, "must not be empty; leave it out where it names nobody")
    read = [
        (item, receiver(item, str(item.value), known, entity_type))
        for item in items or []
        if is_text(item)
    ]
    return [(item, found) for item, found in read if found is not None]


def _split(place: Place, known: Known, entity_type: str | None) -> list[tuple[Place, Share]]:
    found: list[tuple[Place, Share]] = []
    for key, at in (place.entries(_SPLIT_EXAMPLE) or {}).items():
        named = receiver(at, key, known, entity_type)
        percent = nano(at, PERCENT_LIMIT, "a percentage")
        if named is not None and percent is not None:
            found.append((at, Share(named, percent)))
    return found
