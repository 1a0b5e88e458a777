"""A POST that is tried again: it gets the answer it got, and is not done twice.

An answer is kept under its sender's key once the thing is done, also where its sender was answered
meanwhile that it is still under way. Should we be killed in between, the
request is done again, which counts nothing twice: usage has ids of its own, made from the key where
it brings none, and every other step refuses or repeats itself harmlessly.

A batch is too large for that. It is stored again piece by piece, and comes out as duplicates; of
each piece what it was is kept, before it is stored, so that no other is taken for it.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID, uuid5

import structlog
from starlette.requests import Request
from starlette.responses import Response

from chargeback_worker.api.access import LOCAL
from chargeback_worker.api.refusals import At, KeyReused, ParameterRefused, StillUnderWay
from chargeback_worker.api.together import Together
from chargeback_worker.app import now_us
from chargeback_worker.errors import ChargebackError
from chargeback_worker.pipeline.keep_answer import KEPT_US, claim_key, keep_answers
from chargeback_worker.reports.keys import find_answers
from chargeback_worker.store import Store
from chargeback_worker.store.api_answers import Answered, StoredAnswer

HEADER = "Idempotency-Key"
KEY_LENGTH_MAX = 255
REPEATED = "Idempotency-Replayed"
ONE, BATCH = "usage", "usage/batch"
"""Where usage is sent: it is other usage there, under whatever key."""
# In no key, as it cannot be seen, and in no owner.
_SEPARATOR = "\x1f"
_KEPT_HEADERS = ("content-type", "etag", "location")
_SPACE = UUID("6f3dd5a0-9a0b-5a0e-8d3b-2d0b6f1c7c11")
_log = structlog.get_logger(__name__)

_under_way: dict[tuple[int, str, str], tuple[asyncio.Lock, int]] = {}


def key_of(request: Request) -> str | None:
    """The Idempotency-Key of a request. Raises ParameterRefused."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 1 <= len(key) <= KEY_LENGTH_MAX or not key.isascii() or not key.isprintable():
        detail = f"must be 1 to {KEY_LENGTH_MAX} visible ASCII characters"
        raise ParameterRefused([At("header", HEADER, detail)])
    return key


def made_id(owner: str, where: str, key: str, index: int = 0) -> str:
    """The id of usage that brings none: UUIDv5 of who sends it where under which key, and of its
    place in the request."""
    name = _SEPARATOR.join((owner, where, key))
    if (owner, where) == (LOCAL, ONE):
        # As it always was: sent again over an upgrade it is the same.
        name = key
    return str(uuid5(uuid5(_SPACE, name), str(index)))


def claim_piece(store: Store, owner: str, key: str, first: int, values: Sequence[bytes]) -> None:
    """Keep what a piece of a batch is, that begins with the event `first`.

    Where a batch is cut must follow from it alone. Raises KeyReused where another piece was there
    before, whether all of that was stored or not.
    """
    name, digest = _SEPARATOR.join((key, BATCH, str(first))), digest_of(values)
    claimed = Answered(owner, name, StoredAnswer(digest, 200, {}, b""))
    if claim_key(store, claimed, now_us()).digest != digest:
        raise KeyReused("batch", "Send what was refused of a batch by itself, with a new key.")


def digest_of(parts: Iterable[bytes]) -> bytes:
    """The same of the same parts alone."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.digest()


class Answers:
    """What was answered before: found and kept for all requests that are under way together."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.find: Together[tuple[str, str], StoredAnswer | None] = Together(self._find)
        self.keep: Together[Answered, None] = Together(self._keep, lambda it: len(it.answer.body))

    def _find(self, names: Sequence[tuple[str, str]]) -> list[StoredAnswer | None]:
        return find_answers(self._store, names, now_us() - KEPT_US)

    def _keep(self, answered: Sequence[Answered]) -> list[None]:
        keep_answers(self._store, answered, now_us())
        return [None] * len(answered)


class Repeatable:
    """One request with a key, which waits for another with the same one for so many seconds."""

    def __init__(
        self, answers: Answers, owner: str, request: Request, digest: bytes, seconds: float
    ) -> None:
        self._answers = answers
        self._owner = owner
        self._request = request
        self._digest = digest
        self._seconds = seconds

    async def answer(self, do: Callable[[], Awaitable[Response]]) -> Response:
        """What it was answered before, or what `do` answers now. Raises KeyReused, and
        StillUnderWay: it has been asked before, and that goes on."""
        key = key_of(self._request)
        if key is None:
            return await do()
        async with _alone((id(self._answers), self._owner, key), self._seconds):
            found = await self._answers.find.ask((self._owner, key))
            if found is not None:
                if found.digest != self._digest:
                    raise KeyReused
                headers = {**found.headers, REPEATED: "true"}
                return Response(found.body, found.status, headers)
            response = await do()
            if response.status_code < 300:
                await self._keep(key, response)
            return response

    async def _keep(self, key: str, response: Response) -> None:
        headers = {
            name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers
        }
        answer = StoredAnswer(self._digest, response.status_code, headers, bytes(response.body))
        try:
            await self._answers.keep.ask(Answered(self._owner, key, answer))
        except ChargebackError as error:
            # The thing is done; who asks again has it done again, harmlessly.
            _log.warning("answer not kept", action="answer_not_kept", error=str(error))


@asynccontextmanager
async def _alone(name: tuple[int, str, str], seconds: float) -> AsyncIterator[None]:
    """One at a time of those with the same key; others wait, but not for longer than their client
    does: nobody would hear of them."""
    lock, waiting = _under_way.get(name, (asyncio.Lock(), 0))
    _under_way[name] = lock, waiting + 1
    try:
        try:
            async with asyncio.timeout(seconds):
                await lock.acquire()
        except TimeoutError:
            raise StillUnderWay(seconds) from None
        try:
            yield
        finally:
            lock.release()
    finally:
        lock, waiting = _under_way[name]
        if waiting == 1:
            del _under_way[name]
        else:
            _under_way[name] = lock, waiting - 1
