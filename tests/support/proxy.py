"""A TCP proxy that breaks connections, as networks do, at the moment a test wants.

Where it is told to, it reads along in PostgreSQL's protocol, to find the COMMIT of a transaction
that wrote by COPY, and can lose it, or its answer. It runs in a thread of its own.
"""

import asyncio
import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

Lost = Literal["before", "after"]

_CHUNK = 1 << 16
# What a client may ask for before its startup message; neither has a type byte.
_ASKS_FOR_ENCRYPTION = (80877103, 80877104)


@dataclass(eq=False)
class _Link:
    """One connection through the proxy: both of its ends."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    frames: "_Frames"
    dead: bool = False
    """Taken in and thrown away, both ways, and never closed."""
    unanswered: bool = False
    """A COMMIT is on its way whose answer is to be lost."""

    def cut(self) -> None:
        for end in (self.client, self.server):
            end.transport.abort()


@dataclass
class Proxy:
    """Between a client and `target_port` of loopback, at `port`."""

    target_port: int
    postgres: bool = False
    port: int = 0
    latency_s: float = 0.0
    refuses: bool = False
    """New connections are cut at once."""
    lost: Counter[Lost] = field(default_factory=Counter)
    """COMMITs that were lost before the server had them, or after it had answered."""
    _to_lose: deque[Lost] = field(default_factory=deque)
    _links: set[_Link] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _flows: asyncio.Event = field(default_factory=asyncio.Event)

    def __enter__(self) -> "Proxy":
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._flows.set()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def lose_commits(self, *how: Lost) -> None:
        """Cut the connection around each of the next COMMITs."""
        self._loop.call_soon_threadsafe(self._to_lose.extend, how)

    def cut(self) -> None:
        """Cut all connections."""
        self._each(_Link.cut)

    def swallow(self) -> None:
        """Half-open: nothing more comes through those that are open, and nobody is told."""

        def kill(link: _Link) -> None:
            link.dead = True

        self._each(kill)

    def stall(self) -> None:
        """Let nothing through for the time being; what comes is kept."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def go_on(self) -> None:
        self._loop.call_soon_threadsafe(self._flows.set)

    def _each(self, do: Callable[[_Link], None]) -> None:
        def to_each() -> None:
            for link in list(self._links):
                do(link)

        self._loop.call_soon_threadsafe(to_each)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for link in self._links:
            link.cut()
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.refuses:
                raise ConnectionRefusedError
            answers, server = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, server, _Frames())
        self._links.add(link)
        ways = [self._pump(link, reader, server, True), self._pump(link, answers, writer, False)]
        try:
            done, left = await asyncio.wait(
                [asyncio.ensure_future(way) for way in ways],
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in left:
                task.cancel()
            await asyncio.gather(*done, *left, return_exceptions=True)
        finally:
            self._links.discard(link)
            link.cut()

    async def _pump(
        self,
        link: _Link,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        asks: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(_CHUNK):
                await self._flows.wait()
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                if link.dead:
                    continue
                if self.postgres and self._loses(link, chunk, asks):
                    return
                sink.write(chunk)
                await sink.drain()

    def _loses(self, link: _Link, chunk: bytes, asks: bool) -> bool:
        """Whether the connection is to be cut instead of passing this on."""
        if not asks:
            if link.unanswered:
                self.lost["after"] += 1
            return link.unanswered
        if link.frames.commits(chunk) and self._to_lose:
            if self._to_lose.popleft() == "before":
                self.lost["before"] += 1
                return True
            link.unanswered = True
        return False


class _Frames:
    """The messages of one client of PostgreSQL, in whatever pieces they come."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._started = False
        self._copied = False

    def commits(self, chunk: bytes) -> bool:
        """Whether a transaction that wrote by COPY is committed in this piece."""
        self._bytes += chunk
        found = False
        for kind, body in self._messages():
            if kind == b"d":
                self._copied = True
            elif kind in (b"Q", b"P") and b"COMMIT" in body[:64]:
                found = found or self._copied
                self._copied = False
            elif kind in (b"Q", b"P") and b"ROLLBACK\0" in body[:64]:
                self._copied = False
        return found

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        while True:
            head = 1 if self._started else 0
            if len(self._bytes) < head + 4:
                return
            length = int.from_bytes(self._bytes[head : head + 4], "big")
            if len(self._bytes) < head + length:
                return
            kind, body = bytes(self._bytes[:head]), bytes(self._bytes[head + 4 : head + length])
            del self._bytes[: head + length]
            if not self._started:
                self._started = int.from_bytes(body[:4], "big") not in _ASKS_FOR_ENCRYPTION
                continue
            yield kind, body
