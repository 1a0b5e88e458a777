"""The publisher role: rounds of the outbox to the invoices topic, as long as there is something."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from chargeback_worker.broker import Broker, Producer
from chargeback_worker.errors import Unavailable
from chargeback_worker.metrics import Metrics
from chargeback_worker.pipeline.publish import PublishResult, publish, resign
from chargeback_worker.store import Store
from chargeback_worker.worker.lifecycle import BackOff, Beat

_log = structlog.get_logger(__name__)

IDLE_S = 1.0


@dataclass(frozen=True, slots=True)
class InvoicePublisher:
    """What the role needs; `owner` names this publisher among all others."""

    store: Store
    broker: Broker
    topic: str
    owner: str
    metrics: Metrics
    now_us: Callable[[], int]

    def run(self, stop: threading.Event, beat: Beat) -> None:
        """Publish until `stop`. Whatever is not known to have arrived is sent again."""
        back_off = BackOff()
        while not stop.is_set():
            try:
                self._with_producer(stop, beat, back_off)
            except Unavailable as error:
                _log.warning("publishing waits", action="publish_failed", error=str(error))
                beat(str(error))
                stop.wait(back_off.next_s())
        try:
            resign(self.store, self.owner)
        except Unavailable as error:
            _log.warning("lease not given back", action="lease_kept", error=str(error))

    def _with_producer(self, stop: threading.Event, beat: Beat, back_off: BackOff) -> None:
        """The life of one producer, up to its first error."""
        producer = self.broker.producer()
        try:
            while not stop.is_set():
                done = self._round(producer)
                if done is not None and done.failure is not None:
                    raise done.failure
                beat()
                back_off.reset()
                if done is None or not done.sent:
                    stop.wait(IDLE_S)
        finally:
            producer.close()

    def _round(self, producer: Producer) -> PublishResult | None:
        done = publish(self.store, producer, self.topic, owner=self.owner, now_us=self.now_us())
        if done is None:
            return None
        published = self.metrics.messages_published
        published.labels("acknowledged").inc(done.sent)
        published.labels("refused").inc(done.parked)
        published.labels("failed").inc(done.failure is not None)
        if done.sent:
            _log.info("messages published", action="published", messages=done.sent)
        if done.parked:
            _log.error("receivers parked", action="parked", receivers=done.parked)
        return done
