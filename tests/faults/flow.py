"""Usage that flows through a topic while things are broken.

What must come of it is known, and written down, before the first event is sent.
"""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kafka

from chargeback_worker.period import Period
from chargeback_worker.simulation import Anomalies, Expected, Simulated, simulate

MONTH = Period(2026, 5)
USUAL = "duplicate=0.05,late=0.01,conflict=0.001,poison=0.002"
_UNDER_WAY = 2_000
_TRICKLE_S = 0.05
_SENT_WITHIN_S = 180


@dataclass(frozen=True, slots=True)
class Pace:
    """How many events flow, which ones, how many a second, and how many faults they meet."""

    events: int
    seed: int
    rate: float
    faults: int


@dataclass(slots=True)
class Flow:
    """What is sent, to which topic, how fast.

    The last quarter only trickles until `enough` has happened to whoever reads: how fast a machine
    is must not decide how much that is.
    """

    servers: str
    topic: str
    pace: Pace
    anomalies: Anomalies
    expected: Expected
    sent: int = 0
    enough: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    failed: list[BaseException] = field(default_factory=list)

    @classmethod
    def made(
        cls, servers: str, topic: str, pace: Pace, truth: Path, anomalies: str = USUAL
    ) -> "Flow":
        """A flow whose truth is written to a file."""
        flow = cls(servers, topic, pace, Anomalies.parse(anomalies), Expected())
        for one in flow.events():
            flow.expected.add(one.truth)
        outcomes, cost = flow.expected.outcomes, flow.expected.cost
        truth.write_text(json.dumps({"seed": pace.seed, "cost": cost, **outcomes}))
        return flow

    def events(self) -> Iterator[Simulated]:
        """The same ones each time: those of a long run would not fit into memory."""
        return simulate(MONTH, self.pace.events, seed=self.pace.seed, anomalies=self.anomalies)

    def start(self) -> None:
        threading.Thread(target=self._run, name="flow", daemon=True).start()

    def wait(self, limit_s: float = 3600) -> None:
        """Until all of it has been sent."""
        self.enough.set()
        assert self.done.wait(limit_s), "the flow did not end"
        if self.failed:
            raise self.failed[0]

    def _run(self) -> None:
        try:
            self._send_all()
        except BaseException as error:
            self.failed.append(error)
        finally:
            self.done.set()

    def _send_all(self) -> None:
        began = time.monotonic()
        with Sending(self.servers) as producer:
            under_way: list[Any] = []
            for number, one in enumerate(self.events()):
                ahead_s = number / self.pace.rate - (time.monotonic() - began)
                if ahead_s > 0.01:
                    time.sleep(ahead_s)
                if number >= self.pace.events * 3 // 4:
                    self.enough.wait(_TRICKLE_S)
                under_way.append(
                    producer.send(
                        self.topic, key=one.key, value=one.value, headers=list(one.headers)
                    )
                )
                if len(under_way) >= _UNDER_WAY:
                    self._await(under_way)
            self._await(under_way)

    def _await(self, under_way: list[Any]) -> None:
        for sent in under_way:
            sent.get(_SENT_WITHIN_S)
        self.sent += len(under_way)
        under_way.clear()


class Sending:
    """A producer that stores each message once, over restarts of the broker too.

    The worker's own may store one twice, which its readers bear; a truth cannot.
    """

    def __init__(self, servers: str) -> None:
        self._client = kafka.KafkaProducer(
            bootstrap_servers=servers,
            acks="all",
            enable_idempotence=True,
            delivery_timeout_ms=_SENT_WITHIN_S * 1000,
            linger_ms=5,
            batch_size=128 * 1024,
            metrics_enabled=False,
        )

    def __enter__(self) -> kafka.KafkaProducer:
        return self._client

    def __exit__(self, *_: object) -> None:
        self._client.close(5)


def send(
    servers: str, topic: str, values: Sequence[bytes], *, partition: int | None = None
) -> list[int]:
    """Send some events at once; their offsets."""
    with Sending(servers) as producer:
        under_way = [producer.send(topic, value=value, partition=partition) for value in values]
        return [_stored(sent) for sent in under_way]


def _stored(sent: Any) -> int:
    offset: int = sent.get(_SENT_WITHIN_S).offset
    return offset
