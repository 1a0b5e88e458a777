"""The PostgreSQL sink of Quix Streams on the same topic; run by an environment of its own.

    .venv-quix/bin/python -m tests.benchmarks.quix_sink SERVERS TOPIC URL EVENTS

prints one JSON object. The table is made beforehand, so that the sink need not look at its columns
in each batch, and duplicates are left to ON CONFLICT DO NOTHING, its fastest way that bears them.
The rate is that from the first commit to the last, as for the worker.
"""

import json
import os
import sys
import time
from itertools import accumulate
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from quixstreams import Application
from quixstreams.sinks.community.postgresql import PostgreSQLSink

from tests.benchmarks import cpu

_TABLE = "quix_usage"
_BATCH = 20_000
_PATIENCE_S = 60.0


def main(servers: str, topic: str, url: str, events: str) -> None:
    address = urlsplit(url)
    connect: dict[str, Any] = {
        "host": address.hostname,
        "port": address.port,
        "dbname": address.path.lstrip("/"),
        "user": address.username,
        "password": address.password or "",
    }
    _make_table(connect)
    sink = PostgreSQLSink(
        **connect,
        table_name=_TABLE,
        schema_auto_update=False,
        primary_key_columns="usage_id",
        on_conflict_do_nothing=True,
        include_metadata=False,
    )
    commits: list[tuple[float, float, float, int]] = []
    _note_commits(sink, commits)
    application = Application(
        broker_address=servers,
        consumer_group=f"quix-{connect['dbname']}",
        auto_offset_reset="earliest",
        commit_every=_BATCH,
        loglevel="ERROR",
    )
    application.dataframe(application.topic(topic, value_deserializer="json")).sink(sink)
    application.run(count=int(events), timeout=_PATIENCE_S, collect=False)
    print(json.dumps(_found(commits)))


def _make_table(connect: dict[str, Any]) -> None:
    with psycopg2.connect(**connect) as connection, connection.cursor() as cursor:
        cursor.execute(
            f'CREATE TABLE {_TABLE} (usage_id text PRIMARY KEY, "timestamp" timestamptz NOT NULL,'
            " team_id text, user_id text, agent_id text, resource_type text NOT NULL,"
            " quantity numeric NOT NULL, cost_usd numeric NOT NULL, metadata jsonb)"
        )


def _note_commits(sink: Any, commits: list[tuple[float, float, float, int]]) -> None:
    """Note when each write of the sink has been committed, and what it took so far."""
    write = sink.write

    def noted(batch: Any) -> None:
        write(batch)
        times = os.times()
        served = cpu.of_server(sink._client.info.backend_pid)
        commits.append((time.monotonic(), times.user + times.system, served, batch.size))

    sink.write = noted


def _found(commits: list[tuple[float, float, float, int]]) -> dict[str, float]:
    """Partitions are written one after the other: the first commit is that of all of them."""
    upto = list(accumulate(size for *_, size in commits))
    first = next((at for at, count in enumerate(upto[:-1]) if count >= _BATCH), 0)
    (began, used, served, _), (ended, used_then, served_then, _) = commits[first], commits[-1]
    written = max(upto[-1] - upto[first], 1)
    return {
        "rate": written / max(ended - began, 1e-3),
        "worker_us": 1e6 * (used_then - used) / written,
        "server_us": 1e6 * (served_then - served) / written,
        "events": upto[-1],
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
