"""Batches that no client can read: damaged on the broker's disk, or made to do harm."""

import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from chargeback_worker.store.cursors import Cursor
from tests.faults.flow import Pace
from tests.faults.scene import Figures, Ground, Scene, scene
from tests.faults.topics import add_good, good
from tests.faults.worker import Worker
from tests.support import raw_produce
from tests.support.kafka_jars import JarsKafka

_BOMB_BYTES = 300 << 20
# Of a worker that has met the bomb; one that unpacks all of it takes more than 900.
_MEMORY_MAX_MB = 450
_RECORDS = 5
_KINDS = ("gzip bomb", "broken CRC", "unknown codec", "header key not UTF-8")
_PARTITIONS = 6


def poison_batches(ground: Ground, pace: Pace) -> Figures:
    """Each kind in a partition of its own: it is named, the others go on, and it can be skipped.

    `pace.faults` is the number of kinds.
    """
    if not isinstance(ground.kafka, JarsKafka):
        pytest.skip("the files of the broker are not ours to damage")
    kinds = _KINDS[: pace.faults]
    with scene(ground, pace, partitions=_PARTITIONS) as given:
        for partition in range(len(kinds)):
            add_good(given, partition, 3)
        poison = {n: _put(kind, given, ground.kafka, n) for n, kind in enumerate(kinds)}
        for partition in poison:
            add_good(given, partition, 3)
        given.flow.start()
        given.flow.wait()
        # Its memory is measured; a fork would show that of the process it comes from.
        given.nursery = None
        worker = given.worker("worker-0")
        _expect_stops(given, worker, poison)
        memory = worker.most_memory_mb
        if memory > _MEMORY_MAX_MB:
            given.wrong.append(f"the worker took {memory:.0f} MB")
        assert worker.stop() == 0, worker.last_words
        for partition, (first, last) in poison.items():
            place = f"{given.flow.topic}:{partition}:{first}-{last}"
            given.command("offsets", "skip", place, "--yes", "--reason", "it is broken")
        skipped = sum(last - first + 1 for first, last in poison.values())
        detail = f"{', '.join(kinds)}: {skipped} records skipped, at most {memory:.0f} MB"
        figures = given.figures("batches that cannot be read", len(poison), detail)
        if given.tally().skipped != skipped:
            figures.mismatches.append(f"skipped {given.tally().skipped}, not {skipped}")
        return figures


def _put(kind: str, given: Scene, kafka: JarsKafka, partition: int) -> tuple[int, int]:
    """Put a batch of that kind at the end of the partition; its first and its last offset."""
    topic, servers = given.flow.topic, given.flow.servers
    made = _batch(kind)
    if kind == "broken CRC":
        broken = bytearray(made)
        broken[-1] ^= 0xFF
        # The broker itself takes no batch with a wrong checksum: it has to rot on its disk.
        error, _ = raw_produce.produce(servers, topic, partition, bytes(broken))
        assert error == raw_produce.CORRUPT_MESSAGE, error
    error, offset = raw_produce.produce(servers, topic, partition, made)
    assert error == 0, f"the broker refuses {kind}: {error}"
    if kind in ("broken CRC", "unknown codec"):
        _damage(kafka.log_of(topic, partition), offset, crc=kind == "broken CRC")
    return offset, offset + (0 if kind == "gzip bomb" else _RECORDS - 1)


def _batch(kind: str) -> bytes:
    if kind == "gzip bomb":
        return bytes(raw_produce.batch([b"0" * _BOMB_BYTES], raw_produce.GZIP))
    if kind == "header key not UTF-8":
        named = raw_produce.batch(good(_RECORDS), headers=[("kay", b"x")])
        return bytes(raw_produce.sealed(named.replace(b"kay", b"k\xffy")))
    return bytes(raw_produce.batch(good(_RECORDS)))


def _damage(log: Path, offset: int, *, crc: bool) -> None:
    """Change a batch where it lies: a bit of its last record, or the number of its codec."""
    content = bytearray(log.read_bytes())
    at = 0
    while struct.unpack_from(">q", content, at)[0] != offset:
        at += 12 + int(struct.unpack_from(">i", content, at + 8)[0])
    length = 12 + int(struct.unpack_from(">i", content, at + 8)[0])
    batch = content[at : at + length]
    if crc:
        batch[-1] ^= 0xFF
    else:
        batch[raw_produce.ATTRIBUTES_AT + 1] |= 0x07
        batch = raw_produce.sealed(batch)
    with log.open("r+b") as file:
        file.seek(at)
        file.write(batch)


def _expect_stops(given: Scene, worker: Worker, poison: Mapping[int, tuple[int, int]]) -> None:
    """Each poisoned partition is stopped at its batch and names it; the others are read."""
    ends = given.ends()
    # As they were then: who joins the group anew meanwhile looks once more at what stopped.
    found: dict[int, Cursor] = {}

    def settled() -> bool:
        found.update(given.cursors())
        return len(found) == _PARTITIONS and all(
            cursor.stopped if partition in poison else cursor.next_position == ends[partition]
            for partition, cursor in found.items()
        )

    assert worker.wait_until(settled, 180), worker.last_words
    said = [line["error"] for line in worker.lines("undecodable")]
    for partition, (first, last) in poison.items():
        cursor = found[partition]
        place = f"{given.flow.topic}:{partition}:{cursor.next_position}"
        if f"{place} cannot be decoded" not in str(cursor.stopped):
            given.wrong.append(f"{place} is not named: {cursor.stopped}")
        end = f"it ends at offset {last}"
        if last > first and not any(place in line and end in line for line in said):
            given.wrong.append(f"the end of {place} is not named: {said}")
