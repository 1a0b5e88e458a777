"""Two producers that send the same events at once, read by two workers."""

import threading
from collections.abc import Iterator
from dataclasses import replace

from tests.faults.flow import Pace, Sending
from tests.faults.scene import Figures, Ground, Scene, scene

_PARTITIONS = 4


def same_ids_at_once(ground: Ground, pace: Pace) -> Figures:
    """Each event is sent twice, to two partitions at the same time: one of them counts.

    `pace.faults` ids are sent with two contents: one of them counts, the other conflicts.
    """
    with scene(
        ground, pace, partitions=_PARTITIONS, anomalies="duplicate=0.05,late=0.01,poison=0.002"
    ) as given:
        _expect_twice(given, pace.faults)
        errors: list[BaseException] = []
        producers = [
            threading.Thread(target=_send, args=(given, which, errors), daemon=True)
            for which in range(2)
        ]
        workers = [given.worker(f"worker-{number}") for number in range(2)]
        for worker in workers:
            assert worker.wait_for("assigned"), worker.last_words
        for producer in producers:
            producer.start()
        for producer in producers:
            producer.join()
        given.flow.done.set()
        given.flow.failed.extend(errors)
        figures = given.figures("the same ids twice at once", pace.faults, readers=workers)
        tally = given.tally()
        return replace(
            figures, detail=f"{tally.duplicate} exact duplicates, {tally.conflict} exact conflicts"
        )


def _expect_twice(given: Scene, conflicts: int) -> None:
    outcomes = given.flow.expected.outcomes
    outcomes["duplicate"] += outcomes["duplicate"] + outcomes["accepted"]
    outcomes["quarantined"] *= 2
    outcomes["accepted"] += conflicts
    outcomes["conflict"] += conflicts
    given.flow.expected.cost += conflicts * 10**9


def _send(given: Scene, which: int, errors: list[BaseException]) -> None:
    """Neighbouring events of the two producers meet in batches of two workers."""
    try:
        with Sending(given.flow.servers) as producer:
            under_way = [
                producer.send(
                    given.flow.topic,
                    value=value,
                    headers=headers,
                    # Far from each other: the group gives each worker neighbouring partitions.
                    partition=(number + which * _PARTITIONS // 2) % _PARTITIONS,
                )
                for number, (value, headers) in enumerate(_events(given, which))
            ]
            for sent in under_way:
                sent.get(180)  # type: ignore[no-untyped-call]
    except BaseException as error:
        errors.append(error)


def _events(given: Scene, which: int) -> Iterator[tuple[bytes, list[tuple[str, bytes]]]]:
    conflicts = given.flow.pace.faults
    every = max(1, given.flow.pace.events // conflicts)
    for number, one in enumerate(given.flow.events()):
        yield one.value, list(one.headers)
        if number % every == 0 and number // every < conflicts:
            # The same cost whichever is first, and another content.
            yield (
                b'{"usage_id":"twice-%d","timestamp":"2026-05-20T12:00:00Z","team_id":"A",'
                b'"cost_usd":1,"quantity":%d}' % (number, which + 1),
                [],
            )
