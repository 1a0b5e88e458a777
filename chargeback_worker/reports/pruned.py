"""What is said where usage records are asked for that retention has dropped."""

from chargeback_worker.invoicing.document import Document
from chargeback_worker.period import BillingRange, format_us
from chargeback_worker.store import Transaction, pruned
from chargeback_worker.store.pruned import Pruned


def pruned_document(gone: Pruned) -> Document:
    """`ended_at` is null while more of them are to go."""
    return {
        "period": str(gone.period),
        "record_count": gone.records,
        "begun_at": format_us(gone.begun_us),
        "ended_at": None if gone.ended_us is None else format_us(gone.ended_us),
        "sentence": f"{gone.sentence}; their totals stand.",
    }


def pruned_of_days(transaction: Transaction, days: BillingRange) -> list[Document]:
    """What is gone of the usage of the months that those days touch, whichever month bills it."""
    months = set(days.periods())
    return [
        pruned_document(gone)
        for gone in pruned.listed(transaction).values()
        if not months.isdisjoint(gone.origins)
    ]
