"""A close by hand, with the look at the topics that comes before numbers are taken."""

from dataclasses import replace

from chargeback_worker.app import App
from chargeback_worker.errors import ChargebackError, Unavailable
from chargeback_worker.period import Period
from chargeback_worker.pipeline.close import CloseResult, close
from chargeback_worker.pipeline.closing.settlement import terms_of
from chargeback_worker.pipeline.due import note_ends
from chargeback_worker.store import cursors
from chargeback_worker.store.audit import Act
from chargeback_worker.store.cursors import Door


class IngestUnknown(Unavailable):
    """Without its topic nobody can say whether all usage has been read."""

    def __init__(self, period: Period, fault: ChargebackError) -> None:
        # While the broker is away a close is refused anyway, forced or not.
        mend = "Start the broker and try again."
        if not isinstance(fault, Unavailable):
            mend = (
                "See that kafka.usage_topic is the topic that is read and may be read, or close"
                f" without this check: chargeback close {period} --force --reason TEXT"
            )
        super().__init__(
            f"Whether all usage of {period} is ingested cannot be seen. {fault.message}", mend
        )


def close_by_hand(
    app: App, period: Period, act: Act, *, forced: bool, expected: str | None = None
) -> CloseResult:
    """Close a month for a person; `forced` before all its usage is stored, with a reason.

    `expected` is the state that the person has seen. Raises what `close` raises, BooksHeld,
    NotCompared, and IngestUnknown.
    """
    if forced:
        act.require_reason("close a period before all its usage is stored")
    act = replace(act, now_us=app.closing_now_us())
    if not app.is_closed(period):
        app.compare_books_of_a_topic()
        if not forced:
            note_ends(app.store, period, lambda: _ends(app, period), act.now_us)
    return close(
        app.store,
        period,
        terms_of(app.settings),
        act,
        owner=f"{app.instance}:close",
        forced=forced,
        expected=expected,
    )


def _ends(app: App, period: Period) -> dict[tuple[str, int], int]:
    """How far ingest must come; nowhere in a database that is filled from files alone."""
    with app.store.read() as transaction:
        if all(cursor.retired for cursor in cursors.listed(transaction, Door.TOPIC)):
            return {}
    try:
        return app.usage_ends()
    except ChargebackError as error:
        raise IngestUnknown(period, error) from error
