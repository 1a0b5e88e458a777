"""Clients that sleep in the midst of a statement, while others wait for what they have locked.

Between two statements the server ends such a transaction by itself (`end_when_idle`). In the midst
of one nothing does: COPY waits for the next bytes of a stopped process for ever, whatever its time
limits, since its connection is sound. So those who are awake look now and then, and end it.

Why nobody is ended who works: a client counts as asleep where two looks that far apart find the
same statement waiting for it, with not a byte more of its COPY; and is ended only where somebody
waits for its locks, who could do nothing else for ever. What is ended is rolled back, and done
again by whoever has its work now.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

ASLEEP_AFTER_S = 30

# Other people's sessions cannot be ended by us, and show no state.
_WAITING_FOR_CLIENT = sa.text(
    "SELECT activity.pid, activity.backend_start, activity.query_start,"
    " coalesce(copied.bytes_processed, 0) AS bytes,"
    " extract(epoch FROM clock_timestamp())::float8 AS at_s,"
    " EXISTS (SELECT FROM pg_stat_activity AS waiter WHERE waiter.wait_event_type = 'Lock'"
    "  AND activity.pid = ANY (pg_blocking_pids(waiter.pid))) AS waited_for"
    " FROM pg_stat_activity AS activity LEFT JOIN pg_stat_progress_copy AS copied USING (pid)"
    " WHERE activity.datname = current_database() AND activity.usename = current_user"
    " AND activity.state = 'active' AND activity.wait_event_type = 'Client'"
)
# Looked at once more: the process of that number may be another one by now.
_END = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = :pid"
    " AND backend_start = :backend_start AND query_start = :query_start"
    " AND wait_event_type = 'Client'"
)


class _Place(NamedTuple):
    """Where a client was last heard of."""

    pid: int
    backend_start: object
    query_start: object
    bytes: int


class Sleepers:
    """Who was found waiting for its client, and since when, by the server's clock."""

    def __init__(self, asleep_after_s: float = ASLEEP_AFTER_S) -> None:
        self._asleep_after_s = asleep_after_s
        self._since: Mapping[_Place, float] = {}

    def end(self, connection: sa.Connection) -> Sequence[str]:
        """Look once; end whoever sleeps and is waited for. A sentence for each that was ended."""
        since: dict[_Place, float] = {}
        ended = []
        for *place_, at_s, waited_for in connection.execute(_WAITING_FOR_CLIENT):
            place = _Place(*place_)
            since[place] = self._since.get(place, at_s)
            asleep_s = at_s - since[place]
            asleep = place in self._since and asleep_s >= self._asleep_after_s
            if asleep and waited_for and connection.execute(_END, place._asdict()).scalar():
                ended.append(
                    f"session {place.pid} slept in the midst of a statement for at least"
                    f" {asleep_s:.0f} s, and others waited for it"
                )
        self._since = since
        return ended
