"""Writing the directory: the document replaces the one before as a whole, as a version."""

from dataclasses import dataclass

from chargeback_worker.allocation.writing.directory import read_directory
from chargeback_worker.store import Store, audit, directories, periods
from chargeback_worker.store.audit import Act
from chargeback_worker.store.directories import StoredDirectory


@dataclass(frozen=True, slots=True)
class AppliedDirectory:
    """The directory as it stands; `changed` says that this made a version."""

    stored: StoredDirectory
    changed: bool


def apply_directory(store: Store, document: object, act: Act) -> AppliedDirectory:
    """Store a directory in place of the one before. The same again makes no version.

    Raises DirectoryRefused with all faults, and then nothing is stored.
    """
    written = read_directory(document)
    with store.begin() as transaction:
        # Two that apply at once would take the same number.
        periods.hold_off_closing(transaction)
        before = directories.current(transaction)
        if before is not None and before.document == written.document:
            return AppliedDirectory(before, changed=False)
        version = 1 if before is None else before.version + 1
        stored = directories.insert(transaction, version, written.document, act)
        audit.append(
            transaction,
            act,
            "directory.apply",
            f"directory:{version}",
            before=None if before is None else _counted(before),
            after=_counted(stored),
        )
    return AppliedDirectory(stored, changed=True)


def _counted(stored: StoredDirectory) -> dict[str, int]:
    """What changed is in the versions themselves; names of people stay out of the audit."""
    teams = stored.document["teams"]
    return {
        "version": stored.version,
        "teams": len(teams),
        "members": sum(len(team["members"]) for team in teams),
    }
