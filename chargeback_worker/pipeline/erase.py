"""Forgetting a person: their name and what their events held besides what is billed.

The id stays as a pseudonym: books, issued invoices, messages and the audit are not touched. Small
transactions, the names last: killed anywhere, it is gone on with by doing it again.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.errors import Invalid, NotFound
from chargeback_worker.store import (
    Store,
    Transaction,
    api_answers,
    audit,
    erasure,
    periods,
    quarantine,
)
from chargeback_worker.store.audit import Act
from chargeback_worker.store.erasure import KeptApart

_DECODE = msgspec.json.Decoder(float_hook=str).decode
_DETAIL = "erased with the data of a user"
# A value of one of these that is the same text as the id is not the person.
_NOT_PEOPLE = frozenset(
    {"team_id", "agent_id", "resource_type", "operation_type", "resource_id", "provider", "model"}
    | {"usage_id", "call_id", "id", "source", "type", "specversion"}
)


class UserUnknown(NotFound):
    def __init__(self, user: str) -> None:
        super().__init__(
            f"Nothing is stored of a user {user!r}.",
            "Ids are written as usage has them; see: chargeback directory show",
        )


class NameInReason(Invalid):
    """The audit is never changed: the name would stay for good."""

    def __init__(self) -> None:
        super().__init__(
            "The reason holds the name that is to be erased, and would be kept in the audit.",
            "Say why without it, for instance by the number of a ticket.",
        )


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased: versions of the directory that had a name, messages kept of refused and of
    conflicting events, and records that had metadata. Then how many rows of which table still hold
    the id, or a name in a text that people or events wrote; `left` are sentences on the files.
    """

    user: str
    versions: int
    quarantined: int
    conflicts: int
    records: int
    holding_id: Mapping[str, int]
    holding_name: Mapping[str, int]
    left: Sequence[str]


def erase(store: Store, user: str, act: Act) -> Erased:
    """Erase them. Once erased there is nothing to erase, and it says what holds the id.

    Raises ReasonMissing, NameInReason or UserUnknown, and then nothing is erased.
    """
    act.require_reason("erase a person")
    with store.read() as transaction:
        person = Person(user, erasure.names_of(transaction, user))
        if person.named_in(act.reason or ""):
            raise NameInReason
        known = bool(person.names) or bool(erasure.places_of_id(transaction, user))
    if not known and not _kept_of(store, person):
        raise UserUnknown(user)
    with _step(store) as transaction:
        audit.append(transaction, act, "erase.begin", Pair(user=user).key)
    quarantined = _erase_kept(store, "quarantine", person, act)
    conflicts = _erase_kept(store, "usage_conflict", person, act)
    records = _erase_metadata(store, user)
    with _step(store) as transaction:
        # Two at once, or one who applies a directory, would write over each other.
        periods.hold_off_closing(transaction)
        versions = erasure.erase_names(transaction, user)
        # They say again what their requests held; done again, those requests count nothing twice.
        api_answers.forget_all(transaction)
        counts = {
            "directory_versions": versions,
            "quarantined": quarantined,
            "conflicts": conflicts,
            "usage_records": records,
        }
        audit.append(transaction, act, "erase", Pair(user=user).key, after=counts)
    left = store.forget()
    with store.read() as transaction:
        return Erased(
            user,
            versions,
            quarantined,
            conflicts,
            records,
            erasure.places_of_id(transaction, user),
            erasure.places_of_names(transaction, person.names),
            left,
        )


@dataclass(frozen=True)
class Person:
    """An id and the names that go with it, as they are looked for in messages."""

    user: str
    names: tuple[str, ...]

    def named_in(self, text: str) -> bool:
        return self._name is not None and bool(self._name.search(text))

    def in_text(self, text: str) -> bool:
        """Whether the id stands in it as a word, or a name."""
        return bool(self._id.search(text)) or self.named_in(text)

    def in_message(self, payload: bytes | None) -> bool:
        """Whether a packed message is of this person: one that cannot be read is, if it has the id
        as a word; of any other a value must be the id, or some text hold a name."""
        if not payload:
            return False
        try:
            raw = quarantine.unpack(payload, 0)
        except (zlib.error, msgspec.MsgspecError, ValueError, TypeError):
            return False
        texts = [text or b"" for _, text in raw.headers] + [raw.key or b""]
        if any(self.in_text(text.decode(errors="replace")) for text in texts):
            return True
        return self._in_value(raw.value or b"")

    def _in_value(self, value: bytes) -> bool:
        try:
            document = _DECODE(value)
            return any(self._is(name, text) for name, text in _values(document))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self.in_text(value.decode(errors="replace"))

    def _is(self, name: str, text: str) -> bool:
        if name == "data_base64":
            try:
                return self._in_value(base64.b64decode(text))
            except (binascii.Error, ValueError):
                return False
        return (text == self.user and name not in _NOT_PEOPLE) or self.named_in(text)

    @cached_property
    def _id(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![\w-]){re.escape(self.user)}(?![\w-])")

    @cached_property
    def _name(self) -> re.Pattern[str] | None:
        if not self.names:
            return None
        names = "|".join(map(re.escape, self.names))
        return re.compile(rf"(?<!\w)(?:{names})(?!\w)", re.IGNORECASE)


def _values(document: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text and number in it, and every name of a field, with the field it stands in."""
    match document:
        case dict():
            for field, value in document.items():
                yield "", field
                yield from _values(value, field)
        case list():
            for value in document:
                yield from _values(value, name)
        case bool() | None:
            pass
        case _:
            yield name, str(document)


def _kept_of(store: Store, person: Person) -> bool:
    """Whether any message that is kept is of that person."""
    return any(
        True
        for table in ("quarantine", "usage_conflict")
        for page in _pages(store, table)
        for row in page
        if _is_of(row, person)
    )


def _erase_kept(store: Store, table: str, person: Person, act: Act) -> int:
    erased = 0
    for page in _pages(store, table):
        theirs = [row for row in page if _is_of(row, person)]
        if not theirs:
            continue
        ids = [row.row_id for row in theirs]
        with _step(store) as transaction:
            if table == "usage_conflict":
                erasure.erase_conflicts(transaction, ids)
            else:
                erasure.erase_quarantined(transaction, ids, detail=_DETAIL, now_us=act.now_us)
        erased += len(theirs)
    return erased


def _is_of(row: KeptApart, person: Person) -> bool:
    # What it tells cites values with quotes escaped.
    return person.in_text(row.detail.replace("\\", "")) or person.in_message(row.payload)


def _pages(store: Store, table: str) -> Iterator[list[KeptApart]]:
    after = 0
    while True:
        with store.read() as transaction:
            page = erasure.kept_apart(transaction, table, after)
        if not page:
            return
        yield page
        after = page[-1].row_id


def _erase_metadata(store: Store, user: str) -> int:
    """A day at a time, as records are found by their days."""
    erased = 0
    day: int | None = 0
    while True:
        with store.read() as transaction:
            day = erasure.next_day(transaction, day or 0)
        if day is None:
            return erased
        with _step(store) as transaction:
            erased += erasure.erase_metadata(transaction, user, day)


@contextmanager
def _step(store: Store) -> Iterator[Transaction]:
    with store.begin() as transaction:
        transaction.dialect.overwrite_erased(transaction.connection)
        yield transaction
