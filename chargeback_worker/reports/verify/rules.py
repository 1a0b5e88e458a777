"""Rules and directory as they are stored, against what closes have decided by."""

from chargeback_worker.reports.verify.comparison import Comparison
from chargeback_worker.reports.verify.periods import snapshot
from chargeback_worker.store import closes, directories, rules

_HINT = "A version is never changed; restore it from a backup."


def decided(found: Comparison) -> None:
    """Versions of rules have no gap, and snapshots hold rules and directory as they are stored."""
    transaction = found.transaction
    with found.reading("the stored rules"):
        for rule_id, history in rules.histories(transaction).items():
            numbers = [stored.rule.version for stored in history.versions]
            found.rows += len(numbers)
            wanted = [*range(1, len(numbers) + 1)]
            found.equal(f"rule {rule_id}: its versions", wanted, numbers, _HINT)
        stored = {(rule.rule_id, rule.version): rule for rule in rules.versions(transaction)}
        for close in closes.listed(transaction):
            if found.period not in (None, close.period):
                continue
            used = snapshot(found, close.period, close.revision)
            for rule in () if used is None else used.rules:
                name = f"{rule.cited} in the snapshot of {close.period}, close {close.revision}"
                found.equal(name, rule, stored.get((rule.rule_id, rule.version)), _HINT)
    with found.reading("the stored directory"):
        for close in closes.listed(transaction):
            if found.period not in (None, close.period):
                continue
            used = snapshot(found, close.period, close.revision)
            if used is not None and used.directory.version:
                version = used.directory.version
                kept = directories.find(transaction, version)
                same = kept is not None and kept.directory == used.directory
                name = f"directory {version} of {close.period}, close {close.revision}"
                found.equal(f"{name}: as it is stored", True, same, _HINT)
