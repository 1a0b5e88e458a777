"""The directory as it was applied last, with the names and addresses in it."""

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.writing.directory import read_directory
from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.period import format_us
from chargeback_worker.store import Store, directories


def current_directory(store: Store) -> Directory:
    """What of it decides, without names and addresses."""
    with store.read() as transaction:
        return directories.directory_of_now(transaction)


def show_directory(store: Store) -> Document:
    """The document with its version; version 0 with no teams where none was ever applied."""
    with store.read() as transaction:
        stored = directories.current(transaction)
    if stored is None:
        return {"directory": {"version": 0, "updated_at": None, "teams": []}}
    return {
        "directory": {
            "version": stored.version,
            "updated_at": format_us(stored.created_us),
            **read_directory(stored.document).shown(Amount),
        }
    }
