"""What the requests of a program have done for them together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.api.access import Keys
from chargeback_worker.api.repeated import Answers
from chargeback_worker.api.together import Together
from chargeback_worker.app.recording import Recorded, Recorder, SentEvent
from chargeback_worker.invoicing.document import Document
from chargeback_worker.reports.directory import current_directory
from chargeback_worker.reports.keys import find_keys
from chargeback_worker.reports.usage_records import show_records
from chargeback_worker.store import Store
from chargeback_worker.usage.event import UsageEvent


@dataclass(frozen=True, slots=True)
class Turns:
    """One of each for a program: who asks, which teams they are in, what they record, what is
    stored of that, and what was answered before."""

    keys: Keys
    directory: Together[None, Directory]
    usage: Together[SentEvent, Recorded]
    records: Together[UsageEvent, Document]
    answers: Answers

    @classmethod
    def of(cls, recorder: Recorder) -> "Turns":
        store = recorder.app.store
        return cls(
            Together(partial(find_keys, store)),
            Together(partial(_directory, store)),
            Together(recorder.record, lambda sent: len(sent.value)),
            Together(partial(show_records, store)),
            Answers(store),
        )


def _directory(store: Store, asked: Sequence[None]) -> list[Directory]:
    return [current_directory(store)] * len(asked)
