"""A producer goes wrong, its partition stops and alarms, and in the end every event is counted."""

from datetime import timedelta

import pytest

from chargeback_worker.app import App
from chargeback_worker.broker import TopicPartition
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.metrics import Metrics
from chargeback_worker.pipeline.ingest import Outcome
from chargeback_worker.reports.verify import verify
from chargeback_worker.settings import Ingest, MaxRefused, Settings
from chargeback_worker.store import Store, cursors, quarantine, totals
from chargeback_worker.store.cursors import Door, Tally
from chargeback_worker.usage.event import Grain, Reader
from chargeback_worker.worker.consumer import Session, UsageConsumer
from chargeback_worker.worker.lifecycle import BackOff
from tests.support.at_once import AtOnce
from tests.support.feed import NOW_US, usage

TOPIC = "usage-events"
STRICT = Ingest(max_age=timedelta(days=60), max_refused=MaxRefused(run=50), batch_events=20)
RAISED = Ingest(max_age=timedelta(days=60), max_refused=MaxRefused(run=1_000_000))
BURST = 120
OLD = "2026-08-01"


@pytest.fixture
def broker() -> MemoryBroker:
    """A good event, a burst of old ones (each also meant well) and a good end; and a partition on
    which nothing is wrong but a duplicate and a conflict."""
    made = MemoryBroker()
    made.create_topic(TOPIC, 2)
    burst = [usage(f"old-{number}", day=OLD) for number in range(BURST)]
    for value in (usage("before"), *burst, b"no JSON", usage("after")):
        made.put(TOPIC, value, partition=0)
    for value in (usage("good"), usage("good"), usage("good", "2"), usage("before")):
        made.put(TOPIC, value, partition=1)
    return made


def _turns(store: Store, broker: MemoryBroker, ingest: Ingest, metrics: Metrics) -> Session:
    """A worker with those settings, until it has read what it may."""
    reader = Reader(Grain("UTC"), max_age=ingest.max_age)
    role = UsageConsumer(
        store, broker, Settings(ingest=ingest), reader, metrics, lambda: NOW_US, AtOnce
    )
    consumer = broker.consumer("chargeback")
    session = Session(role, consumer, lambda waits_for=None: None, BackOff())
    consumer.subscribe(TOPIC, session)
    for _ in range(30):
        session.turn()
    consumer.evict()
    return session


def _tallies(store: Store) -> dict[int, Tally]:
    with store.read() as transaction:
        return {c.partition: c.tally for c in cursors.listed(transaction, Door.TOPIC)}


def test_a_burst_stops_its_partition_alone_and_nothing_of_it_is_lost(
    store: Store, broker: MemoryBroker
) -> None:
    metrics = Metrics("test")
    session = _turns(store, broker, STRICT, metrics)
    assert session.positions.stopped.keys() == {TopicPartition(TOPIC, 0)}
    shown = metrics.exposition().decode()
    for partition, stopped in ((0, 1), (1, 0)):
        labels = f'partition="{partition}",topic="{TOPIC}"'
        assert f"chargeback_partition_stopped{{{labels}}} {stopped}.0" in shown
    with store.read() as transaction:
        # Short of the limit: the burst does not fill the quarantine.
        assert quarantine.count_held(transaction) < STRICT.max_refused.run
    assert _tallies(store)[1].consumed == 4

    # Whoever looks into it knows that they are to be kept.
    assert _turns(store, broker, RAISED, Metrics("test")).positions.stopped == {}
    tallies = _tallies(store)
    assert tallies[0].quarantined == BURST + 1
    assert {p: tally.consumed for p, tally in tallies.items()} == {0: BURST + 3, 1: 4}
    both = tallies[0] + tallies[1]
    assert (both.accepted, both.duplicate, both.conflict) == (3, 2, 1)
    assert verify(store).mismatches == ()


def test_what_a_burst_left_in_quarantine_is_counted_by_one_replay(
    store: Store, broker: MemoryBroker
) -> None:
    _turns(store, broker, RAISED, Metrics("test"))
    before = sum(_tallies(store).values(), Tally())
    outcomes = [how for done in App(Settings(), store, Grain("UTC")).replay() for _, how in done]
    assert outcomes.count(Outcome.ACCEPTED) == BURST
    assert outcomes.count(Outcome.QUARANTINED) == 1
    assert len(outcomes) == BURST + 1
    with store.read() as transaction:
        assert sum(total.records for total in totals.stored(transaction).values()) == BURST + 3
        assert quarantine.count_held(transaction) == 1
    # What the topic brought stays what it was; the replay has a tally of its own.
    assert sum(_tallies(store).values(), Tally()) == before
    assert verify(store).mismatches == ()
