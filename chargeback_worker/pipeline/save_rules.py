"""Writing rules: each change is a version, and a list of them is stored whole or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.warnings import RuleWarning, warnings_of
from chargeback_worker.allocation.writing.rule_document import rule_document, same, shown_rule
from chargeback_worker.errors import Conflict
from chargeback_worker.money import plain
from chargeback_worker.period import BillingRange
from chargeback_worker.pipeline.expected import require
from chargeback_worker.store import Store, Transaction, audit, periods, rules
from chargeback_worker.store.audit import Act
from chargeback_worker.store.rules import History


@dataclass(frozen=True, slots=True)
class SavedRule:
    """A rule as it stands; `changed` says that this made a version of it."""

    rule: Rule
    changed: bool
    warnings: tuple[RuleWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class SavedRules:
    """Those that were written, in their order, and those that were deleted for not being named."""

    written: tuple[SavedRule, ...]
    deleted: tuple[Rule, ...] = ()


class RuleExists(Conflict):
    """A rule that is to be made has the id of one that there is."""

    def __init__(self, rule_id: str) -> None:
        super().__init__(
            f"There is a rule {rule_id!r} already.",
            "Change it with PUT, or give the new one another rule_id.",
        )


def save_rules(store: Store, document: object, act: Act, *, prune: bool = False) -> SavedRules:
    """Store the rules of a document, each stated whole; `prune` deletes all that it leaves out.

    A rule that stands like this already makes no version. Raises RulesRefused with all faults,
    and then nothing is stored.
    """
    with store.begin() as transaction:
        periods.hold_off_closing(transaction)
        drafts = rules.read_written(transaction, document)
        return _save(transaction, drafts, rules.histories(transaction), act, prune=prune)


def create_rule(store: Store, document: Mapping[str, object], act: Act) -> SavedRule:
    """Store one rule, which says its id, and is not there yet. Raises RulesRefused, RuleExists."""
    with store.begin() as transaction:
        periods.hold_off_closing(transaction)
        (draft,) = rules.read_written(transaction, document)
        known = rules.histories(transaction)
        history = known.get(draft.rule_id)
        if history is not None and not history.last.ended:
            raise RuleExists(draft.rule_id)
        (saved,) = _save(transaction, [draft], known, act).written
    return saved


def merge_rule(
    store: Store,
    rule_id: str,
    fields: Mapping[str, object],
    act: Act,
    *,
    expected: str | None = None,
) -> SavedRule:
    """Change the fields given of a rule, each as a whole; null takes one back to its default.

    `expected` is the version that the caller has seen. Raises RuleUnknown, NotAsExpected, and
    RulesRefused.
    """
    with store.begin() as transaction:
        periods.hold_off_closing(transaction)
        known = rules.histories(transaction)
        last = rules.current(known, rule_id).last
        require(f"The rule {rule_id!r}", f"{last.version}", expected)
        drafts = rules.read_written(transaction, {**rule_document(last), **fields})
        (saved,) = _save(transaction, drafts, known, act).written
    return saved


def delete_rule(store: Store, rule_id: str, act: Act, *, expected: str | None = None) -> Rule:
    """Add the version that ends a rule for all days of months that are not closed.

    `expected` is the version that the caller has seen. Raises RuleUnknown, or NotAsExpected.
    """
    with store.begin() as transaction:
        periods.hold_off_closing(transaction)
        known = rules.histories(transaction)
        last = rules.current(known, rule_id).last
        require(f"The rule {rule_id!r}", f"{last.version}", expected)
        ended = _ended(last, periods.closed_days(transaction))
        rules.insert(transaction, [ended], act)
        _audit(transaction, act, [ended], known)
    return ended


def _save(
    transaction: Transaction,
    drafts: Sequence[Rule],
    known: dict[str, History],
    act: Act,
    *,
    prune: bool = False,
) -> SavedRules:
    """The caller holds off closing, and has read the rules that are known since."""
    closed = periods.closed_days(transaction)
    written = [_version(draft, known.get(draft.rule_id), closed) for draft in drafts]
    changed = [rule for rule, is_new in written if is_new]
    named = {rule.rule_id for rule, _ in written}
    left_out = [
        history.last
        for rule_id, history in known.items()
        if prune and rule_id not in named and not history.last.ended
    ]
    ended = [_ended(rule, closed) for rule in left_out]
    rules.insert(transaction, [*changed, *ended], act)
    _audit(transaction, act, [*changed, *ended], known)
    told = warnings_of(
        [rule for rule, _ in written], [*rules.all_versions(known), *changed, *ended]
    )
    return SavedRules(
        tuple(
            SavedRule(rule, is_new, tuple(of_rule))
            for (rule, is_new), of_rule in zip(written, told, strict=True)
        ),
        tuple(ended),
    )


def _version(
    draft: Rule, history: History | None, closed: tuple[BillingRange, ...]
) -> tuple[Rule, bool]:
    """The draft with the number that follows, or the rule as it stands if that says the same."""
    if history is None:
        return replace(draft, version=1, closed=closed), True
    last = history.last
    if not last.ended and same(draft, last):
        return last, False
    return replace(draft, version=last.version + 1, closed=closed), True


def _ended(rule: Rule, closed: tuple[BillingRange, ...]) -> Rule:
    return replace(
        rule,
        version=rule.version + 1,
        ended=True,
        effective_from=None,
        effective_to=None,
        closed=closed,
    )


def _audit(
    transaction: Transaction, act: Act, written: Sequence[Rule], known: dict[str, History]
) -> None:
    for rule in written:
        history = known.get(rule.rule_id)
        before = None if history is None or history.last.ended else history.last
        audit.append(
            transaction,
            act,
            "rule.delete" if rule.ended else "rule.write",
            f"rule:{rule.rule_id}",
            before=None if before is None else _shown(before),
            after=None if rule.ended else _shown(rule),
        )


def _shown(rule: Rule) -> dict[str, Any]:
    return shown_rule(rule, number=plain)
