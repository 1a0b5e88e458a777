"""A store whose transactions are drawn: where another goes on, what is lost, what time it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import sqlalchemy as sa

from chargeback_worker.errors import Unavailable
from chargeback_worker.store import IDLE_S, Store, Transaction
from chargeback_worker.store.dialects.sqlite_errors import DatabaseBusy
from tests.interleaving.baton import SECOND_US, Actor, Baton


class Fate(Enum):
    """What becomes of a writing transaction."""

    KEPT = "committed"
    LOST = "lost before its COMMIT"
    UNHEARD = "committed, and nobody heard of it"


class ConnectionLost(Unavailable):
    """What a caller hears of either."""

    def __init__(self) -> None:
        super().__init__("The connection to the database was lost.")


class Sky(Protocol):
    """What a store needs to know of the history it is in."""

    baton: Baton

    @property
    def database_us(self) -> int: ...

    def fate(self) -> tuple[Fate, int]:
        """Of the next transaction, and the statement at which it is lost, if it is."""

    def read_is_lost(self) -> bool: ...

    def ended(self, actor: Actor, fate: Fate) -> None:
        """A transaction was committed."""


@dataclass(eq=False)
class Open:
    """A writing transaction under way. `depth` tells that its actor is in a statement."""

    transaction: Transaction
    idle_us: int | None
    last_us: int
    lost_at: int | None
    depth: int = 0


class Watch(Protocol):
    """Who waits for whose lock."""

    def enter(self, baton: Baton, name: str) -> None:
        """Before a writing transaction begins; may wait. Raises Unavailable."""

    def begun(self, actor: Actor, transaction: Transaction) -> None: ...

    def left(self, baton: Baton, actor: Actor) -> None:
        """It has ended, however it did."""

    def statement_begins(self, actor: Actor) -> None: ...

    def statement_ends(self, baton: Baton, actor: Actor) -> None: ...


class WatchedStore(Store):
    """A store in which another may go on at every step. Without a `sky` it is plain."""

    def __init__(self, url: str, watch: Callable[[Store], Watch]) -> None:
        super().__init__(url)
        self.sky: Sky | None = None
        watched: Any = WatchedDialect(self, self.dialect)
        self.dialect = watched
        self.watch = watch(self)
        sa.event.listen(self.engine, "before_cursor_execute", self._before)
        sa.event.listen(self.engine, "after_cursor_execute", self._after)
        sa.event.listen(self.engine, "handle_error", self._failed)

    @contextmanager
    def begin(self, *, idle_s: int | None = None) -> Iterator[Transaction]:
        if (sky := self.sky) is None:
            with super().begin(idle_s=idle_s) as transaction:
                yield transaction
            return
        baton, me = sky.baton, sky.baton.me
        baton.step("begin")
        fate, lost_at = sky.fate()
        self.watch.enter(baton, self.name)
        try:
            with super().begin(idle_s=idle_s) as transaction:
                self.watch.begun(me, transaction)
                me.read_clock_us = None
                idle_us = (IDLE_S if idle_s is None else idle_s) * SECOND_US
                lost = lost_at if fate is Fate.LOST else None
                me.transaction = Open(transaction, idle_us, baton.now_us, lost)
                yield transaction
                baton.step("commit")
                if fate is Fate.LOST:
                    raise ConnectionLost
        finally:
            me.transaction = None
            self.watch.left(baton, me)
        sky.ended(me, fate)
        baton.step("committed")
        if fate is Fate.UNHEARD:
            raise ConnectionLost

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        if (sky := self.sky) is not None:
            sky.baton.step("read")
            if sky.read_is_lost():
                raise ConnectionLost
        with super().read() as transaction:
            yield transaction

    @contextmanager
    def statement(self, what: str) -> Iterator[None]:
        """Around what may wait for a lock."""
        self._enter(what)
        try:
            yield
        finally:
            self._after()

    def _before(self, *_of_it: object) -> None:
        self._enter("statement")

    def _enter(self, what: str) -> None:
        if (sky := self.sky) is None or (open_ := sky.baton.me.transaction) is None:
            return
        if open_.depth == 0:
            sky.baton.step(what)
            open_.last_us = sky.baton.now_us
            if open_.lost_at is not None:
                open_.lost_at -= 1
                if open_.lost_at < 0:
                    raise ConnectionLost
            self.watch.statement_begins(sky.baton.me)
        open_.depth += 1

    def _failed(self, error: sa.ExceptionContext) -> None:
        try:
            self._after()
        finally:
            # Of a connection that is lost SQLAlchemy leaves the cursor to the garbage collector.
            cursor = error.execution_context and error.execution_context.cursor
            if error.is_disconnect and cursor:
                cursor.close()

    def _after(self, *_of_it: object) -> None:
        if (sky := self.sky) is None or (open_ := sky.baton.me.transaction) is None:
            return
        if open_.depth == 1:
            open_.depth = 0
            self.watch.statement_ends(sky.baton, sky.baton.me)
        else:
            open_.depth = max(0, open_.depth - 1)


_LOCKING = (
    "share_periods",
    "own_period",
    "contents",
    "insert_records",
    "add_to_totals",
    "insert_rows",
    "count_up",
    "key_segment_is_full",
    "begin_key_segment",
)


class WatchedDialect:
    """The dialect of a store; what speaks past SQLAlchemy is a statement too."""

    def __init__(self, store: WatchedStore, real: Any) -> None:
        self._store = store
        self._real = real

    def now_us(self, connection: sa.Connection) -> int:
        sky = self._store.sky
        if sky is None:
            found: int = self._real.now_us(connection)
            return found
        sky.baton.me.read_clock_us = sky.database_us
        return sky.database_us

    def end_when_idle(self, connection: sa.Connection, idle_s: int) -> None:
        self._real.end_when_idle(connection, idle_s)
        sky = self._store.sky
        if sky is not None and (open_ := sky.baton.me.transaction) is not None:
            open_.idle_us = idle_s * SECOND_US

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name not in _LOCKING:
            return found

        def watched(*arguments: Any) -> Any:
            with self._store.statement(name):
                return found(*arguments)

        return watched


class OneWriter:
    """SQLite: the file is one lock, and who holds it is known here."""

    WAIT_US = 30 * SECOND_US

    def __init__(self, _store: Store) -> None:
        self.writer: Actor | None = None

    def enter(self, baton: Baton, name: str) -> None:
        if self.writer is not None:
            until_us = baton.now_us + self.WAIT_US
            if not baton.wait(lambda: self.writer is None, until_us, "locked out"):
                raise DatabaseBusy(name)
        self.writer = baton.me

    def begun(self, actor: Actor, transaction: Transaction) -> None:
        pass

    def left(self, baton: Baton, actor: Actor) -> None:
        self.writer = None

    def statement_begins(self, actor: Actor) -> None:
        pass

    def statement_ends(self, baton: Baton, actor: Actor) -> None:
        pass
