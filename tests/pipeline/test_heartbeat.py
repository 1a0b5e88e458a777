"""The signs of life that processes leave, and when they are forgotten."""

import sqlalchemy as sa

from chargeback_worker.pipeline import heartbeat
from chargeback_worker.store import Store, heartbeats

_HOUR_US = 3_600_000_000


def _heard(store: Store) -> set[tuple[str, str]]:
    with store.read() as transaction:
        return {(row.instance, row.role) for row in heartbeats.listed(transaction)}


def _silent_for(store: Store, instance: str, hours: int) -> None:
    with store.begin() as transaction:
        at_us = transaction.now_us() - hours * _HOUR_US
        change = sa.text("UPDATE heartbeat SET at_us = :at WHERE instance = :instance")
        transaction.execute(change, [{"at": at_us, "instance": instance}])


def test_who_ended_without_a_word_is_forgotten_after_a_day_while_others_run_on(
    store: Store,
) -> None:
    heartbeat.beat(store, "killed", {"api": ""}, 0)
    heartbeat.beat(store, "here", {"ingest": "", "publisher": ""}, 0)
    here = {("here", "ingest"), ("here", "publisher")}
    _silent_for(store, "killed", 23)
    heartbeat.beat(store, "here", {"ingest": "", "publisher": ""}, 0)
    assert _heard(store) == here | {("killed", "api")}
    _silent_for(store, "killed", 25)
    heartbeat.beat(store, "here", {"ingest": "", "publisher": ""}, 0)
    assert _heard(store) == here


def test_who_ends_is_forgotten_at_once(store: Store) -> None:
    heartbeat.beat(store, "here", {"ingest": ""}, 0)
    heartbeat.beat(store, "there", {"ingest": ""}, 0)
    heartbeat.leave(store, "here")
    assert _heard(store) == {("there", "ingest")}
