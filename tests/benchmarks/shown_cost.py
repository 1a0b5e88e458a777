"""What the metrics of ingest cost an event: those of its batches, its commits and its lag."""

from collections import Counter
from collections.abc import Sequence
from time import process_time
from types import SimpleNamespace
from typing import Any

from chargeback_worker.broker import TopicPartition
from chargeback_worker.metrics import Metrics
from chargeback_worker.pipeline.ingest import IngestResult, Part, PartResult
from chargeback_worker.store.cursors import Tally
from chargeback_worker.worker.lag import Lag
from chargeback_worker.worker.shown import Shown
from chargeback_worker.worker.writing import Ended
from tests.benchmarks.child import Found
from tests.benchmarks.usage_stream import NOW_US, PARTITIONS, batches, parts


def shown(events: int, size: int) -> Found:
    """Show batches that are read already, as the worker does after each commit."""
    made = [_ended(parts(batch, range(PARTITIONS))) for batch in batches(events, size, 1)]
    partitions = [TopicPartition("usage", number) for number in range(PARTITIONS)]
    positions: Any = SimpleNamespace(
        stored=dict.fromkeys(partitions, 0),
        held=dict.fromkeys(partitions),
        waiting=set(),
        stopped=Counter(),
    )
    metrics = Metrics("bench")
    of_worker, ends = Shown(metrics, Lag(metrics)), dict.fromkeys(partitions, events)
    began = process_time()
    for ended in made:
        of_worker.committed(ended, now_us=NOW_US)
        of_worker.partitions(positions, ends)
    return {"shown_us": 1e6 * (process_time() - began) / events}


def _ended(made: Sequence[Part]) -> Ended:
    """As a transaction that accepted all of it ends."""
    results = [PartResult(Tally(len(part.events)), (), 0) for part in made]
    places = (TopicPartition("usage", number) for number, _ in enumerate(made))
    return Ended(dict(zip(places, made, strict=True)), IngestResult(tuple(results), {}), 0.3)
