"""The points at which a worker can be made to end: where each lies, as data."""

from collections.abc import Mapping

from tests.faults.failpoints import Failpoint

_COMMIT = "sqlalchemy.engine.default:DefaultDialect.do_commit"
_STORE = "chargeback_worker.store"
_POSTGRESQL = f"{_STORE}.dialects.postgresql:PostgreSQL"
_INGEST = "chargeback_worker.pipeline.ingest:ingest"
_CLOSE = "chargeback_worker.pipeline.close"
_START, _FINISH, _GIVE_UP = (
    f"{_CLOSE}:{step}" for step in ("start_closing", "finish_closing", "_give_up")
)
# The role has these under names of its own.
_PUBLISH, _RESIGN = (f"chargeback_worker.worker.publisher:{step}" for step in ("publish", "resign"))
_MARK = "chargeback_worker.pipeline.publish:_mark"
_FLUSH = "chargeback_worker.broker.kafka_producer:KafkaProducer.flush"
_ONCE = (1, 1)

INGEST: Mapping[str, Failpoint] = {
    "after poll": Failpoint(
        "after", "chargeback_worker.broker.kafka_consumer:KafkaReader.poll", giving=True
    ),
    "after decode": Failpoint(
        "after", "chargeback_worker.pipeline.ingest:read_events", giving=True
    ),
    # Twice at most: a start is given no more partitions than that.
    "in the assignment listener": Failpoint(
        "after", "chargeback_worker.pipeline.offsets:take_partition", counts=(1, 2)
    ),
    "after BEGIN": Failpoint("before", f"{_POSTGRESQL}.share_periods"),
    "after the period lock": Failpoint("after", f"{_POSTGRESQL}.share_periods"),
    "after keys": Failpoint("after", f"{_STORE}.dialects.postgresql_usage:copy_keys"),
    "in a COPY": Failpoint("after", "psycopg:Copy.write", within=_INGEST),
    "after records": Failpoint("after", f"{_POSTGRESQL}.insert_records"),
    "after totals": Failpoint("after", f"{_STORE}.totals:add"),
    "after the cursor": Failpoint("after", f"{_STORE}.cursors:advance"),
    "after quarantine": Failpoint("after", f"{_STORE}.quarantine:insert"),
    "before COMMIT": Failpoint("before", _COMMIT, within=_INGEST),
    "after COMMIT": Failpoint("after", _COMMIT, within=_INGEST),
    "after the group commit": Failpoint(
        "after", "chargeback_worker.broker.kafka_consumer:KafkaConsumer.commit", counts=(2, 3)
    ),
}

CLOSING: Mapping[str, Failpoint] = {
    "closing set, not committed": Failpoint("before", _COMMIT, within=_START, counts=_ONCE),
    "closing set": Failpoint("after", _COMMIT, within=_START, counts=_ONCE),
    "lease made longer": Failpoint("after", f"{_STORE}.periods:extend_lease", counts=_ONCE),
    "settled": Failpoint("after", f"{_CLOSE}:compute", counts=_ONCE),
    "booked": Failpoint("after", f"{_STORE}.bookings:insert", counts=_ONCE),
    "invoices written": Failpoint("after", f"{_STORE}.invoices:insert", counts=_ONCE),
    "numbers given out": Failpoint("after", f"{_STORE}.invoices:give_out_numbers", counts=_ONCE),
    "messages written": Failpoint("after", f"{_STORE}.outbox:insert", counts=(1, 2)),
    "closed, not committed": Failpoint("before", _COMMIT, within=_FINISH, counts=_ONCE),
    "closed": Failpoint("after", _COMMIT, within=_FINISH, counts=_ONCE),
    "given up, not committed": Failpoint(
        "before", _COMMIT, within=_GIVE_UP, breaking=f"{_CLOSE}:check_conserved", counts=_ONCE
    ),
    "given up": Failpoint(
        "after", _COMMIT, within=_GIVE_UP, breaking=f"{_CLOSE}:check_conserved", counts=_ONCE
    ),
}

PUBLISHING: Mapping[str, Failpoint] = {
    "lease taken": Failpoint("after", f"{_STORE}.leases:take", within=_PUBLISH, counts=(1, 3)),
    "messages read": Failpoint("after", f"{_STORE}.outbox:heads", giving=True, counts=_ONCE),
    "sent, not flushed": Failpoint("before", _FLUSH, counts=_ONCE),
    "flushed": Failpoint("after", _FLUSH, counts=_ONCE),
    "marked, not committed": Failpoint("before", _COMMIT, within=_MARK, since=_FLUSH, counts=_ONCE),
    "marked": Failpoint("after", _COMMIT, within=_MARK, since=_FLUSH, counts=_ONCE),
}

# Passed by a publisher that is asked to end.
RESIGNING: Mapping[str, Failpoint] = {
    "resigned, not committed": Failpoint("before", _COMMIT, within=_RESIGN, counts=_ONCE),
    "resigned": Failpoint("after", _COMMIT, within=_RESIGN, counts=_ONCE),
}

POINTS: Mapping[str, Failpoint] = {**INGEST, **CLOSING, **PUBLISHING, **RESIGNING}
