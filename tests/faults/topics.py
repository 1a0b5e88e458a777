"""Topics that are made anew, cut short or given partitions while they are read."""

import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import kafka
from kafka.structs import TopicPartition

from tests.faults.flow import Pace, send
from tests.faults.scene import Figures, Ground, Scene, scene, until
from tests.faults.worker import Worker

_NANO = 10**9
# How often a client looks whether there are new partitions; a minute by default.
_LOOKS_S = {"CHARGEBACK_KAFKA__OPTIONS__METADATA_MAX_AGE_MS": "1000"}


def good(count: int) -> list[bytes]:
    """So many new events of one dollar each."""
    return [
        b'{"usage_id":"%s","timestamp":"2026-05-20T12:00:00Z","team_id":"A","cost_usd":1}'
        % uuid.uuid4().hex.encode()
        for _ in range(count)
    ]


def add_good(given: Scene, partition: int, count: int, *, counts: bool = True) -> list[int]:
    """Send new events to one partition; the truth knows of them, unless they are to be lost."""
    if counts:
        _know(given, count)
    return send(given.flow.servers, given.flow.topic, good(count), partition=partition)


def _know(given: Scene, count: int) -> None:
    given.flow.expected.outcomes["accepted"] += count
    given.flow.expected.cost += count * _NANO


def recreated(ground: Ground, pace: Pace) -> Figures:
    """The topic is deleted and made anew: while a worker runs, and before it can notice.

    The second time more is in the new topic than was read of the old one, so that reading on at
    the old position would find something there.
    """
    with scene(ground, pace, settings=_LOOKS_S) as given, _admin(given) as admin:
        given.flow.start()
        given.flow.wait()
        worker = given.worker("worker-0")
        assert worker.wait_for("assigned"), worker.last_words
        for number in range(pace.faults):
            unnoticed = number % 2 == 1
            given.read_to_end(worker)
            most = max(cursor.next_position for cursor in given.cursors().values())
            if unnoticed:
                worker.signal(signal.SIGSTOP)
            _make_anew(given, admin)
            for partition in range(4):
                add_good(given, partition, most + 50 if unnoticed else 20)
            if unnoticed:
                worker.signal(signal.SIGCONT)
            given.wrong.extend(_missing(worker, "was made anew"))
            given.command("offsets", "adopt-topic", "--yes", "--reason", "it was made anew")
            worker = given.worker("worker-0")
            assert worker.wait_for("assigned"), worker.last_words
        return given.figures(
            "topic deleted and made anew", pace.faults, "each time named", readers=[worker]
        )


def truncated(ground: Ground, pace: Pace) -> Figures:
    """Records are deleted before they were read: while no worker runs, and while one does."""
    lost = 0
    with scene(ground, pace) as given, _admin(given) as admin:
        given.flow.start()
        given.flow.wait()
        worker = given.worker("worker-0")
        for number in range(pace.faults):
            assert worker.wait_for("assigned"), worker.last_words
            given.read_to_end(worker)
            runs = number % 2 == 1
            if runs:
                worker.signal(signal.SIGSTOP)
                # What it has asked for already is answered with this one, and with nothing more.
                add_good(given, 0, 1, counts=False)
            else:
                assert worker.stop() == 0, worker.last_words
            first = add_good(given, 0, 20, counts=False)[0]
            admin.delete_records({TopicPartition(given.flow.topic, 0): first + 20})
            add_good(given, 0, 5)
            add_good(given, 1, 5)
            if runs:
                worker.signal(signal.SIGCONT)
                given.wrong.extend(_missing(worker, "holds nothing at offset"))
            worker = given.worker("worker-0")
            gap = _gap(given, worker, first + 20)
            if gap == 20 and runs:
                _know(given, 1)
            lost += gap
            given.command("offsets", "accept-gap", "--yes", "--reason", "they are lost for good")
            worker = given.worker("worker-0")
        detail = f"{lost} records lost, each gap named"
        figures = given.figures("log cut short", pace.faults, detail, readers=[worker])
        if given.tally().skipped != lost:
            figures.mismatches.append(f"skipped {given.tally().skipped}, deleted {lost}")
        return figures


def grown(ground: Ground, pace: Pace) -> Figures:
    """Partitions are added while a worker runs that began at the end of the topic.

    What was written to them before it knew of them belongs to the truth.
    """
    settings = {**_LOOKS_S, "CHARGEBACK_KAFKA__START_AT": "end"}
    with scene(ground, pace, partitions=1, settings=settings) as given, _admin(given) as admin:
        add_good(given, 0, 7, counts=False)
        worker = given.worker("worker-0")
        until(lambda: len(given.cursors()) == 1, "the partition was never taken")
        given.flow.start()
        for number in range(1, pace.faults + 1):
            admin.create_partitions({given.flow.topic: 2 * number + 1})
            for partition in (2 * number - 1, 2 * number):
                _eventually_add(given, partition, 20)
            until(
                lambda number=number: len(given.cursors()) == 2 * number + 1,  # type: ignore[misc]
                "new partitions were not found",
            )
        detail = f"from 1 to {2 * pace.faults + 1} partitions"
        return given.figures("topic grown", pace.faults, detail, readers=[worker])


def _make_anew(given: Scene, admin: kafka.KafkaAdminClient) -> None:
    topic = given.flow.topic
    admin.delete_topics([topic])
    until(lambda: _created(given), f"topic {topic} was not made anew")


def _created(given: Scene) -> bool:
    # While the old one is being deleted, its name is still taken.
    return given.broker.create_topic(given.flow.topic, 4)


def _eventually_add(given: Scene, partition: int, count: int) -> None:
    """Send to a partition that the broker has only just made."""

    def known() -> bool:
        described = given.broker.describe(given.flow.topic)
        return described is not None and described.partitions > partition

    until(known, f"partition {partition} was not made")
    add_good(given, partition, count)


def _missing(worker: Worker, words: str) -> list[str]:
    """That the worker ended by itself without saying so."""
    try:
        code = worker.ended(60)
    except subprocess.TimeoutExpired:
        worker.kill()
        code = 0
    said = code != 0 and words in worker.last_words
    return [] if said else [f"it did not stop with {words!r}: {worker.last_words[-800:]}"]


def _gap(given: Scene, worker: Worker, end: int) -> int:
    """How many records the stop of partition 0 names; the other partitions are read on."""

    def stopped() -> bool:
        found = given.cursors()
        return bool(found[0].stopped) and found[1].next_position == given.ends()[1]

    assert worker.wait_until(stopped, 60), worker.last_words
    cursor = given.cursors()[0]
    gap = end - cursor.next_position
    if f"{gap} records were deleted before they were read" not in str(cursor.stopped):
        given.wrong.append(f"a gap of {gap} is not named: {cursor.stopped}")
    assert worker.stop() == 0, worker.last_words
    return gap


@contextmanager
def _admin(given: Scene) -> Iterator[kafka.KafkaAdminClient]:
    admin = kafka.KafkaAdminClient(bootstrap_servers=given.flow.servers)
    try:
        yield admin
    finally:
        admin.close()
