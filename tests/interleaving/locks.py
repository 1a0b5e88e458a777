"""PostgreSQL: who waits for whom is asked of the server, so that its answer decides, and no timer.

An actor whose statement is blocked by the session of another puts the baton down there and then;
once the statement has ended it takes part again. After each end of a transaction all who were
blocked are looked at: each has either come back, or is blocked still.
"""

import threading
import time
from typing import Any

import psycopg
import sqlalchemy as sa

from chargeback_worker.store import Store, Transaction
from tests.interleaving.baton import Actor, Baton

# What is asked of the server when a statement takes long; the answer does not depend on it.
LOOK_S = 0.004
_AGAIN_S = 0.0004
# The server looks for a cycle after one second.
_DEADLOCK_S = 5.0

_RACE = """
SELECT 1 FROM pg_locks mine, pg_locks other
WHERE mine.pid = %(pid)s AND NOT mine.granted AND mine.locktype <> 'advisory'
AND other.pid = ANY(%(others)s::int[]) AND NOT other.granted AND other.locktype <> 'advisory'
AND (pg_blocking_pids(mine.pid) && pg_blocking_pids(other.pid)
    OR other.pid = ANY(pg_blocking_pids(mine.pid)))
LIMIT 1
"""


class Deadlock(AssertionError):
    """Two wait for each other: what is written is to be written in one order."""


class ServerLocks:
    """See `database.Watch`."""

    def __init__(self, store: Store) -> None:
        self._url = store.engine.url
        sa.event.listen(store.engine, "connect", self._connected)
        self._asking: psycopg.Connection[Any] | None = None
        self._pids: dict[Actor, int] = {}
        self._lock = threading.Lock()
        self._in_statement: tuple[Actor, int] | None = None
        self._serial = 0
        self._seen = -1
        self.waits = 0
        self._baton: Baton | None = None

    def forget(self, baton: Baton) -> None:
        """Begin another history."""
        self._baton = baton
        self._pids.clear()
        self.waits = 0

    def enter(self, baton: Baton, name: str) -> None:
        """The server keeps the order."""

    def begun(self, actor: Actor, transaction: Transaction) -> None:
        self._pids[actor] = _raw(transaction).info.backend_pid

    def left(self, baton: Baton, actor: Actor) -> None:
        self._pids.pop(actor, None)
        self.settle(baton)

    def statement_begins(self, actor: Actor) -> None:
        with self._lock:
            self._serial += 1
            self._in_statement = actor, self._serial

    def statement_ends(self, baton: Baton, actor: Actor) -> None:
        with self._lock:
            if not actor.stuck:
                self._in_statement = None
                return
            actor.arrived = True
        try:
            baton.await_baton(actor)
        finally:
            actor.stuck = actor.arrived = False

    def look(self, baton: Baton) -> None:
        """From outside: whether whoever holds the baton waits for another; then pass it on."""
        with self._lock:
            current = self._in_statement
        if current is None:
            return
        actor, serial = current
        if serial != self._seen:
            # It has only just begun.
            self._seen = serial
            return
        if not self._is_blocked(actor):
            return
        if self._would_race(actor):
            self._server().execute("SELECT pg_cancel_backend(%s)", (self._pids[actor],))
            return
        with self._lock:
            if self._in_statement != current:
                return
            self._in_statement = None
            actor.stuck = True
        self.waits += 1
        if self._in_a_circle(actor):
            baton.fail(Deadlock(actor.name))
        chosen = baton.next(None)
        if chosen is not None:
            baton.let_run(chosen)

    def settle(self, baton: Baton) -> None:
        for actor in baton.actors:
            while actor.stuck and not actor.arrived and not self._is_blocked(actor):
                time.sleep(_AGAIN_S)

    def unstick(self, baton: Baton) -> bool:
        """Nobody can go on but by the server's breaking a circle of those who wait."""
        stuck = [actor for actor in baton.actors if actor.stuck]
        if not stuck:
            return False
        until_s = time.monotonic() + _DEADLOCK_S
        while time.monotonic() < until_s:
            if any(actor.arrived for actor in stuck):
                return True
            time.sleep(_AGAIN_S)
        return False

    def break_up(self, baton: Baton) -> bool:
        """End the sessions of those who are left, and let them unwind; False if none is left."""
        for pid in self._pids.values():
            self._server().execute("SELECT pg_terminate_backend(%s)", (pid,))
        while (chosen := baton.next(None)) is None and baton.actors:
            time.sleep(_AGAIN_S)
        if chosen is not None:
            baton.let_run(chosen)
        return chosen is not None

    def cut_idle(self, baton: Baton) -> None:
        """What the server does to who sleeps in a transaction for too long."""
        for actor in baton.actors:
            open_ = actor.transaction
            if open_ is None or open_.idle_us is None or open_.depth or actor is baton.running:
                continue
            if baton.now_us - open_.last_us > open_.idle_us:
                open_.idle_us = None
                raw = _raw(open_.transaction)
                if not raw.closed:
                    raw.rollback()
                    raw.close()
                self._pids.pop(actor, None)
                self.settle(baton)

    def _connected(self, connection: "psycopg.Connection[Any]", _record: object) -> None:
        settle = self._settle

        class Cursor(psycopg.Cursor[Any]):
            """What goes back to a savepoint lets others go on at once."""

            def execute(self, query: Any, *arguments: Any, **named: Any) -> Any:
                done = super().execute(query, *arguments, **named)
                if isinstance(query, str) and query.startswith("ROLLBACK TO"):
                    settle()
                return done

        connection.cursor_factory = Cursor

    def _settle(self) -> None:
        baton = self._baton
        # Who comes back from a wait has no baton yet, and is itself waited for.
        if baton is not None and baton.holds():
            self.settle(baton)

    def close(self) -> None:
        if self._asking is not None:
            self._asking.close()

    def _is_blocked(self, actor: Actor) -> bool:
        return bool(self._blockers(actor))

    def _would_race(self, actor: Actor) -> bool:
        """Whether another waits for the same row already: who of them is first once it is free, is
        not for us to say. The queue of an advisory lock is in order."""
        pids = [self._pids[other] for other in self._pids if other.stuck and not other.arrived]
        row = self._server().execute(_RACE, {"pid": self._pids[actor], "others": pids}).fetchone()
        return row is not None

    def _in_a_circle(self, actor: Actor) -> bool:
        seen: set[Actor] = set()
        ahead = self._blockers(actor)
        while ahead:
            if actor in ahead:
                return True
            seen |= ahead
            ahead = {other for one in ahead if one.stuck for other in self._blockers(one)} - seen
        return False

    def _blockers(self, actor: Actor) -> set[Actor]:
        pid = self._pids.get(actor)
        if pid is None:
            return set()
        row = self._server().execute("SELECT pg_blocking_pids(%s)", (pid,)).fetchone()
        assert row is not None
        return {other for other, theirs in self._pids.items() if theirs in row[0]}

    def _server(self) -> "psycopg.Connection[Any]":
        if self._asking is None:
            url = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
            self._asking = psycopg.connect(url, autocommit=True)
        return self._asking


def _raw(transaction: Transaction) -> "psycopg.Connection[Any]":
    connection: sa.Connection = transaction.connection
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    return raw
