"""Allocation rules: every version of every rule, whole, as it was resolved when it was written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import groupby
from typing import Any

import msgspec
import sqlalchemy as sa

from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.writing.rules import read_rules
from chargeback_worker.errors import NotFound
from chargeback_worker.store import Transaction, directories, installation
from chargeback_worker.store.audit import Act
from chargeback_worker.store.rows import insert_many
from chargeback_worker.store.tables import rule_version as table


class RuleUnknown(NotFound):
    """No rule has this id, or the one that had it is deleted."""

    def __init__(self, rule_id: str, known: Sequence[str] = (), *, deleted: bool = False) -> None:
        near = get_close_matches(rule_id, known, n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        what = f"The rule {rule_id!r} is deleted." if deleted else f"There is no rule {rule_id!r}."
        hint = (
            f"Its versions stay: chargeback rules show {rule_id} --version N"
            if deleted
            else "List them: chargeback rules list"
        )
        super().__init__(what + meant, hint)


class VersionUnknown(NotFound):
    def __init__(self, rule_id: str, version: int, last: int) -> None:
        super().__init__(
            f"The rule {rule_id!r} has no version {version}; it has 1 to {last}.",
            f"See the last one: chargeback rules show {rule_id}",
        )


@dataclass(frozen=True, slots=True)
class StoredRule:
    """One version, and who wrote it when."""

    rule: Rule
    created_us: int
    actor: str


@dataclass(frozen=True, slots=True)
class History:
    """All versions of one rule, the first one first."""

    versions: tuple[StoredRule, ...]

    @property
    def last(self) -> Rule:
        return self.versions[-1].rule

    def version(self, number: int) -> StoredRule:
        """Raises VersionUnknown."""
        if not 1 <= number <= len(self.versions):
            raise VersionUnknown(self.last.rule_id, number, len(self.versions))
        return self.versions[number - 1]


def histories(transaction: Transaction) -> dict[str, History]:
    """Every rule that ever was, deleted ones too, by id in order."""
    rows = transaction.execute(sa.select(table).order_by(table.c.rule_id, table.c.version))
    stored = [_stored(row) for row in rows]
    return {
        rule_id: History(tuple(versions))
        for rule_id, versions in groupby(stored, key=lambda found: found.rule.rule_id)
    }


def versions(transaction: Transaction) -> list[Rule]:
    """All versions of all rules."""
    return all_versions(histories(transaction))


def all_versions(found: dict[str, History]) -> list[Rule]:
    return [stored.rule for history in found.values() for stored in history.versions]


def read_written(transaction: Transaction, document: object) -> tuple[Rule, ...]:
    """The rules of a document as they would be stored now. Raises RulesRefused with all faults."""
    return read_rules(
        document,
        labels=installation.labels(transaction),
        directory=directories.directory_of_now(transaction),
    )


def current(found: dict[str, History], rule_id: str) -> History:
    """The history of a rule that is not deleted. Raises RuleUnknown."""
    history = found.get(rule_id)
    if history is None:
        alive = [name for name, other in found.items() if not other.last.ended]
        raise RuleUnknown(rule_id, alive)
    if history.last.ended:
        raise RuleUnknown(rule_id, deleted=True)
    return history


def insert(transaction: Transaction, rules: Iterable[Rule], act: Act) -> None:
    """Add versions; each has the number that follows the rule's last one."""
    insert_many(
        transaction,
        table,
        (
            {
                "rule_id": rule.rule_id,
                "version": rule.version,
                "content": msgspec.json.encode(rule, order="sorted").decode(),
                "created_us": act.now_us,
                "actor": act.actor,
            }
            for rule in rules
        ),
    )


def _stored(row: sa.Row[Any]) -> StoredRule:
    rule = msgspec.json.decode(row.content, type=Rule)
    assert (rule.rule_id, rule.version) == (row.rule_id, row.version), row.rule_id
    return StoredRule(rule, row.created_us, row.actor)
