"""Rules and directory as they are stored, against what closes have decided by."""

from collections.abc import Mapping
from functools import cache, partial

import msgspec

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.writing.rule_document import shown_rule
from chargeback_worker.money import plain
from chargeback_worker.reports.verify.comparison import Comparison
from chargeback_worker.reports.verify.periods import snapshot
from chargeback_worker.store import audit, closes, directories, rules
from chargeback_worker.store.audit import AuditRow
from chargeback_worker.store.rules import History, StoredRule

_HINT = "A version is never changed; restore it from a backup."


def decided(found: Comparison) -> None:
    """Rules stand as the audit has them, and snapshots hold them and the directory as stored."""
    stored: dict[tuple[str, int], Rule] | None = None
    with found.reading("the stored rules"):
        known = rules.histories(found.transaction)
        _against_audit(found, known)
        stored = {(rule.rule_id, rule.version): rule for rule in rules.all_versions(known)}
    directory = cache(partial(_directory, found))
    with found.reading("the snapshots of closes"):
        for close in closes.listed(found.transaction):
            if found.period not in (None, close.period):
                continue
            used = snapshot(found, close.period, close.revision)
            if used is None:
                continue
            where = f"{close.period}, close {close.revision}"
            for rule in () if stored is None else used.rules:
                name = f"{rule.cited} in the snapshot of {where}"
                found.equal(name, rule, stored.get((rule.rule_id, rule.version)), _HINT)
            version = used.directory.version
            if version:
                name = f"directory {version} of {where}: as it is stored"
                found.equal(name, True, directory(version) == used.directory, _HINT)


def _directory(found: Comparison, version: int) -> Directory | None:
    with found.reading("the stored directory"):
        stored = directories.find(found.transaction, version)
        return None if stored is None else stored.directory
    return None


def _against_audit(found: Comparison, known: Mapping[str, History]) -> None:
    """Who writes a version writes it into the audit too, in the same transaction."""
    logged: dict[str, list[AuditRow]] = {}
    for row in audit.about(found.transaction, "rule"):
        logged.setdefault(row.subject.removeprefix("rule:"), []).append(row)
    for rule_id in sorted(known.keys() | logged.keys()):
        versions = known[rule_id].versions if rule_id in known else ()
        rows = logged.get(rule_id, [])
        found.rows += len(versions)
        numbers = [stored.rule.version for stored in versions]
        wanted = [*range(1, len(rows) + 1)]
        found.equal(f"rule {rule_id}: its versions", wanted, numbers, _HINT)
        for stored, row in zip(versions, rows, strict=False):
            name = f"{stored.rule.cited}: as it was written"
            found.equal(name, True, _as_logged(stored, row), _HINT)


def _as_logged(stored: StoredRule, row: AuditRow) -> bool:
    if (stored.created_us, stored.actor) != (row.at_us, row.actor):
        return False
    if stored.rule.ended:
        return row.after is None
    shown = msgspec.to_builtins(shown_rule(stored.rule, number=plain))
    return bool(row.after == shown)
