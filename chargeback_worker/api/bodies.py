"""Reads bodies: bounded in bytes and time, and then as JSON by the decoder of events.

Amounts keep the digits they were sent with. What is wrong with a body's fields is told all at
once, each with its JSON pointer.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.requests import Request

from chargeback_worker.allocation.writing.faults import Fault, FaultKind
from chargeback_worker.allocation.writing.place import Place, Subject
from chargeback_worker.allocation.writing.values import truth, whole
from chargeback_worker.api.refusals import (
    BodyRefused,
    BodyTooLarge,
    BodyTooSlow,
    BodyUnreadable,
    NotJson,
)
from chargeback_worker.usage.json_object import JsonObject, decode_object
from chargeback_worker.usage.refusal import Refusal

JSON = "application/json"
JSON_LINES = ("application/x-ndjson", "application/jsonl", "application/json-lines")
CLOUDEVENT = "application/cloudevents+json"
BODY_BYTES_MAX = 8 * 1024**2
BODY_TIME_S = 30.0
"""How long the next piece of a body may take to come, and a small body as a whole."""

T = TypeVar("T")


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def require_media_type(request: Request, taken: Sequence[str]) -> None:
    """Raises NotJson."""
    if media_type(request) not in taken:
        raise NotJson(request.headers.get("content-type"), " or ".join(taken))


async def read_body(request: Request, most: int) -> bytes:
    """The whole body. Raises BodyTooLarge, or BodyTooSlow."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise BodyTooLarge(most)
    pieces, size = [], 0
    try:
        async with asyncio.timeout(BODY_TIME_S):
            async for piece in request.stream():
                size += len(piece)
                if size > most:
                    raise BodyTooLarge(most)
                pieces.append(piece)
    except TimeoutError:
        raise BodyTooSlow(BODY_TIME_S) from None
    return b"".join(pieces)


async def stream_body(request: Request) -> AsyncIterator[bytes]:
    """The pieces of a body of any length. Raises BodyTooSlow."""
    pieces = request.stream().__aiter__()
    while True:
        try:
            async with asyncio.timeout(BODY_TIME_S):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise BodyTooSlow(BODY_TIME_S) from None
        if piece:
            yield piece


def decoded(body: bytes) -> JsonObject:
    """The JSON object that a body is. Raises BodyUnreadable."""
    try:
        return decode_object(body)
    except Refusal as refusal:
        raise BodyUnreadable(refusal.detail, refusal.reason.value) from None


@dataclass(slots=True)
class Fields:
    """The fields of a small body as they are read; `end` tells all faults of them at once."""

    given: Mapping[str, Place]
    root: Place
    faults: list[Fault] = field(default_factory=list)

    @classmethod
    def read(cls, body: bytes, known: Sequence[str]) -> "Fields":
        """Raises BodyUnreadable. An empty body is one without fields."""
        document = decoded(body) if body else {}
        faults: list[Fault] = []
        root = Place(document, (), Subject("the body"), faults)
        return cls(root.fields(known, "an object") or {}, root, faults)

    def get(self, name: str, read: Callable[[Place], T | None]) -> T | None:
        """What a field holds; None where it is absent, null, or at fault."""
        place = self.given.get(name)
        return None if place is None else read(place)

    def text(self, name: str) -> str | None:
        return self.get(name, a_text)

    def truth(self, name: str) -> bool:
        return self.get(name, truth) or False

    def whole(self, name: str, most: int) -> int | None:
        return self.get(name, lambda place: whole(place, most))

    def require(self, name: str, sentence: str) -> None:
        """Note that a field is missing."""
        if name not in self.given:
            self.root.missing(name, sentence)

    def end(self) -> None:
        """Raises BodyRefused where anything was at fault."""
        if self.faults:
            raise BodyRefused(self.faults)


def a_text(place: Place) -> str | None:
    """A text, as it stands; a number is none."""
    if type(place.value) is str:
        if "\0" not in place.value:
            return place.value
        place.refuse(FaultKind.BAD_TEXT, "must not hold the character NUL")
        return None
    place.wrong_type("a text")
    return None
