"""The publisher role: rounds of the outbox to the invoices topic, as long as there is something."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from chargeback_worker.broker import Broker, Producer
from chargeback_worker.errors import ChargebackError, Unavailable
from chargeback_worker.metrics import Metrics
from chargeback_worker.pipeline.closing.held import BooksHeld
from chargeback_worker.pipeline.publish import PublishResult, publish, resign
from chargeback_worker.store import Store
from chargeback_worker.worker.lifecycle import BackOff, Beat

_log = structlog.get_logger(__name__)

IDLE_S = 1.0


@dataclass(frozen=True, slots=True)
class InvoicePublisher:
    """What the role needs; `owner` names this publisher among all others.

    `compare` is called before anything is sent, and again after each failure: it raises where the
    books are not those of their topics, or where it cannot tell.
    """

    store: Store
    broker: Broker
    topic: str
    owner: str
    metrics: Metrics
    now_us: Callable[[], int]
    compare: Callable[[], None]

    def run(self, stop: threading.Event, beat: Beat) -> None:
        """Publish until `stop`. Whatever is not known to have arrived is sent again."""
        back_off = BackOff()
        said = ""
        while not stop.is_set():
            refusal = self._refusal()
            if refusal is None:
                try:
                    self._with_producer(stop, beat, back_off)
                    break
                except (Unavailable, BooksHeld) as error:
                    refusal = error
            # What lasts for days, as a hold may, is said once.
            if not back_off.failures or str(refusal) != said:
                said = str(refusal)
                held = isinstance(refusal, BooksHeld)
                action = "publishing_held" if held else "publish_failed"
                _log.warning("publishing waits", action=action, error=said)
            beat(said)
            stop.wait(back_off.next_s())
        try:
            resign(self.store, self.owner)
        except Unavailable as error:
            _log.warning("lease not given back", action="lease_kept", error=str(error))

    def _refusal(self) -> ChargebackError | None:
        """Why nothing may be sent now."""
        try:
            self.compare()
        except ChargebackError as error:
            return error
        return None

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
            error = f"{done.refusals[0]} See: chargeback outbox list --parked"
            _log.error("receivers parked", action="parked", receivers=done.parked, error=error)
        return done
