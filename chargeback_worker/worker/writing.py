"""The one batch that is being written, while the next one is polled, read and gathered."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chargeback_worker.broker import TopicPartition
from chargeback_worker.pipeline.ingest import IngestResult, Part
from chargeback_worker.store.cursors import PositionTaken
from chargeback_worker.worker.background import Worker

Ingest = Callable[[Sequence[Part]], IngestResult]
Parts = Mapping[TopicPartition, Part]


@dataclass(frozen=True, slots=True)
class Ended:
    """How one transaction ended: `result` is None where another worker owns a partition of it."""

    parts: Parts
    result: IngestResult | None
    took_s: float
    taken: PositionTaken | None = None


class Writing:
    """At most one transaction at a time, done by `worker`."""

    def __init__(self, ingest: Ingest, worker: Worker[Ended]) -> None:
        self._ingest = ingest
        self._worker = worker
        self._under_way = False

    @property
    def under_way(self) -> bool:
        return self._under_way

    def begin(self, parts: Parts) -> None:
        """Have them written; the one before must have ended."""
        assert not self._under_way
        self._under_way = True
        self._worker.start(lambda: self._write(parts))

    def ended(self, *, wait: bool) -> Ended | None:
        """How the one under way has ended; None if there is none, or it has not and we do not wait.

        Raises what it ended with, where that is no position that was taken.
        """
        if not self._under_way or not (wait or self._worker.done()):
            return None
        self._under_way = False
        return self._worker.result()

    def _write(self, parts: Parts) -> Ended:
        began_s = time.monotonic()
        try:
            result = self._ingest(list(parts.values()))
        except PositionTaken as taken:
            return Ended(parts, None, time.monotonic() - began_s, taken)
        return Ended(parts, result, time.monotonic() - began_s)
