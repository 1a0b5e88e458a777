"""What the metrics of ingest cost an event: those of its batches, its commits and its lag."""

from collections import Counter
from time import process_time
from types import SimpleNamespace
from typing import Any

from chargeback_worker.broker import TopicPartition
from chargeback_worker.metrics import Metrics
from chargeback_worker.store.cursors import Tally
from chargeback_worker.worker.shown import Shown
from tests.benchmarks.child import Found
from tests.benchmarks.usage_stream import NOW_US, PARTITIONS, batches


def shown(events: int, size: int) -> Found:
    """Show batches that are read already, as the worker does after each commit."""
    made = [
        [event for read in batch.values() for event in read] for batch in batches(events, size, 1)
    ]
    partitions = [TopicPartition("usage", number) for number in range(PARTITIONS)]
    positions: Any = SimpleNamespace(
        held={place: SimpleNamespace(expected=0) for place in partitions}, stopped=Counter()
    )
    of_worker, ends = Shown(Metrics("bench")), dict.fromkeys(partitions, events)
    began = process_time()
    for batch in made:
        of_worker.committed(Tally(len(batch)), batch, took_s=0.3, now_us=NOW_US)
        of_worker.lag(positions, ends)
    return {"shown_us": 1e6 * (process_time() - began) / events}
