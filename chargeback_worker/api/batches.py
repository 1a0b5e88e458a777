"""A batch of usage in one request: stored as it comes, in transactions of its own.

Neither the batch nor its results are ever held whole: the results wait in a file until all is read,
as a client may not listen before it has said everything.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from chargeback_worker.allocation.directory import EMPTY, Directory
from chargeback_worker.api.access import Caller
from chargeback_worker.api.in_time import in_time
from chargeback_worker.api.refusals import BodyUnreadable, StillUnderWay, TooManyItems
from chargeback_worker.api.repeated import BATCH, claim_piece, made_id
from chargeback_worker.app.recording import Recorder, UsageConflict
from chargeback_worker.invoicing.document import encode
from chargeback_worker.pipeline.ingest import Outcome
from chargeback_worker.reports.directory import current_directory
from chargeback_worker.usage.event import EVENT_BYTES_MAX, RefusedEvent, UsageEvent

# Another number, or other bytes, and a batch that is sent again over an upgrade is refused.
EVENTS_AT_ONCE = 5_000
EVENTS_MAX = 1_000_000
_BYTES_AT_ONCE = 16 * 1024**2
_IN_MEMORY_MAX = 1024**2
_PIECE = 64 * 1024
_REFUSED = "refused"
_ENDS = (Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.CONFLICT)


def _spool() -> IO[bytes]:
    return SpooledTemporaryFile(_IN_MEMORY_MAX)


@dataclass
class Batch:
    """One batch on its way; `key` names what brings no id, and without it that is refused. With
    it each piece must be what it was before."""

    recorder: Recorder
    caller: Caller
    key: str | None
    _index: int = 0
    _size: int = 0
    _values: list[bytes] = field(default_factory=list)
    _ended: Counter[str] = field(default_factory=Counter)
    _results: IO[bytes] = field(default_factory=_spool)

    async def take(self, values: AsyncIterator[bytes]) -> None:
        """Store all of them. Raises TooManyItems, KeyReused, and Unavailable, where a transaction
        does not end in time too: what was stored until then stays, and is a duplicate when it is
        sent again."""
        async for value in values:
            if self._index + len(self._values) == EVENTS_MAX:
                await self._store()
                raise TooManyItems(EVENTS_MAX)
            self._values.append(value)
            self._size += len(value)
            if len(self._values) == EVENTS_AT_ONCE or self._size >= _BYTES_AT_ONCE:
                await self._store()
        await self._store()

    def answer(self) -> StreamingResponse:
        """How each of them ended; it closes the batch."""
        counts = {end: self._ended[end] for end in (*map(str, _ENDS), _REFUSED)}
        head = encode(counts)[:-1] + b',"results":['
        size = len(head) + self._results.tell() + 2
        headers = {"Content-Length": str(size), "Cache-Control": "no-store"}
        return StreamingResponse(self._told(head), headers=headers, media_type="application/json")

    def close(self) -> None:
        self._results.close()

    def _told(self, head: bytes) -> Iterator[bytes]:
        try:
            yield head
            self._results.seek(0)
            while piece := self._results.read(_PIECE):
                yield piece
            yield b"]}"
        finally:
            self.close()

    async def _store(self) -> None:
        if not self._values:
            return
        seconds = self.recorder.app.settings.api.request_timeout.total_seconds()
        try:
            await in_time(self._stored(self._results), seconds, StillUnderWay)
        except StillUnderWay:
            # The thread tells into that file yet; it is not for us to close under it.
            self._results = _spool()
            raise

    async def _stored(self, results: IO[bytes]) -> None:
        try:
            await run_in_threadpool(self._store_now, results)
        finally:
            if results is not self._results:
                results.close()

    def _store_now(self, results: IO[bytes]) -> None:
        values, self._values, self._size = self._values, [], 0
        first, self._index = self._index, self._index + len(values)
        at_us = self.recorder.now_us()
        names = [
            None if self.key is None else made_id(self.caller.owner, BATCH, self.key, first + place)
            for place in range(len(values))
        ]
        told: list[tuple[str, str | None, str | None]] = []
        sound: list[tuple[int, bytes, UsageEvent]] = []
        events = self.recorder.read(values, names, at_us)
        directory = self._directory(events)
        for value, read in zip(values, events, strict=True):
            refusal = self._refusal(read, directory)
            if isinstance(read, UsageEvent) and refusal is None:
                sound.append((len(told), value, read))
            told.append((_REFUSED, getattr(read, "usage_id", None), refusal))
        if sound and self.key is not None:
            claim_piece(self.recorder.app.store, self.caller.owner, self.key, first, values)
        if sound:
            _, kept, theirs = (list(column) for column in zip(*sound, strict=True))
            outcomes = self.recorder.store(kept, theirs, at_us)
            for (place, _, event), outcome in zip(sound, outcomes, strict=True):
                error = UsageConflict(event).message if outcome is Outcome.CONFLICT else None
                told[place] = (outcome.value, event.usage_id, error)
        self._tell(first, told, results)

    def _directory(self, events: Sequence[UsageEvent | RefusedEvent]) -> Directory:
        """The directory of now, where it decides about any of them."""
        if any(isinstance(one, UsageEvent) and self.caller.needs_directory(one) for one in events):
            return current_directory(self.recorder.app.store)
        return EMPTY

    def _refusal(self, read: UsageEvent | RefusedEvent, directory: Directory) -> str | None:
        if isinstance(read, RefusedEvent):
            return read.detail
        refusal = self.caller.refusal_of(read, directory)
        return None if refusal is None else f"{refusal.message} {refusal.hint}"

    def _tell(
        self, first: int, told: list[tuple[str, str | None, str | None]], results: IO[bytes]
    ) -> None:
        for place, (outcome, usage_id, error) in enumerate(told, first):
            self._ended[outcome] += 1
            result = {"index": place, "outcome": outcome, "usage_id": usage_id}
            if error is not None:
                result["error"] = error
            results.write((b"," if place else b"") + encode(result))


async def lines_of(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of a body that are not blank; of one that is longer than any event, its head."""
    most = EVENT_BYTES_MAX + 1
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield line.rstrip(b"\r")[:most]
        # The head is enough to refuse it by.
        rest = rest[:most]
    if rest.strip():
        yield rest.rstrip(b"\r")[:most]


async def items_of(body: bytes) -> AsyncIterator[bytes]:
    """The items of a JSON array, each byte by byte as it stands. Raises BodyUnreadable."""
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        detail = f"It is no JSON array of events: {error}."
        raise BodyUnreadable(detail, "not_an_array") from None
    for item in items:
        yield bytes(item)
