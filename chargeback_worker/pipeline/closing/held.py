"""Books older than their topics take no number and send nothing until they are resumed."""

from chargeback_worker.errors import Conflict
from chargeback_worker.store import Transaction, holds
from chargeback_worker.store.holds import Hold


class BooksHeld(Conflict):
    """The database came from a backup: numbers and messages that it does not know are out."""

    def __init__(self, hold: Hold) -> None:
        super().__init__(
            "Closing and publishing are held, as these books are older than their topics:"
            f" {'; '.join(hold.because)}.",
            "Where this is the right database, and nothing else works on a newer one:"
            " chargeback db resume --reason TEXT",
        )


def refuse_held(transaction: Transaction) -> None:
    """Raises BooksHeld; called in each transaction that takes a number or writes a message."""
    hold = holds.find(transaction)
    if hold is not None:
        raise BooksHeld(hold)
