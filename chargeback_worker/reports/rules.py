"""Allocation rules as they stand: what each was written as, resolved to, and warned of."""

from collections.abc import Iterable

import msgspec

from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.warnings import RuleWarning, warnings_of
from chargeback_worker.allocation.wording import in_words
from chargeback_worker.allocation.writing.rule_document import shown_rule
from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.period import format_us
from chargeback_worker.reports.pages import cut
from chargeback_worker.store import Store, rules
from chargeback_worker.store.rules import History, StoredRule


class _Place(msgspec.Struct, frozen=True):
    """Where a rule stands among those that claim."""

    priority: int
    rule_id: str

    @property
    def sort_key(self) -> tuple[int, str]:
        return (self.priority, self.rule_id)


def list_rules(
    store: Store,
    *,
    team: str | None = None,
    enabled_only: bool = False,
    limit: int | None = None,
    cursor: str | None = None,
) -> Document:
    """The last version of every rule that is not deleted, in the order in which they claim.

    All of them without a limit, else a page with its `next_cursor`. Raises UnknownPlace.
    """
    with store.read() as transaction:
        known = rules.histories(transaction)
    alive = [history for history in known.values() if not history.last.ended]
    shown = sorted(
        (
            history
            for history in alive
            if (history.last.enabled or not enabled_only)
            and (team is None or history.last.team_id == team)
        ),
        key=lambda history: history.last.order,
    )
    more: Document = {"next_cursor": None}
    if limit is not None:
        shown, more["next_cursor"] = cut(shown, _place, _Place, limit=limit, cursor=cursor)
    told = warnings_of([history.last for history in shown], rules.all_versions(known))
    return {
        "rules": [
            _document(history, history.versions[-1], of_rule)
            for history, of_rule in zip(shown, told, strict=True)
        ],
        **more,
    }


def _place(history: History) -> _Place:
    return _Place(history.last.priority, history.last.rule_id)


def show_rule(store: Store, rule_id: str, version: int | None = None) -> Document:
    """One rule, or one of its versions, which stay when it is deleted.

    Raises RuleUnknown or VersionUnknown.
    """
    with store.read() as transaction:
        known = rules.histories(transaction)
    if version is None or rule_id not in known:
        history = rules.current(known, rule_id)
        stored = history.versions[-1]
    else:
        history = known[rule_id]
        stored = history.version(version)
    (told,) = warnings_of([stored.rule], rules.all_versions(known))
    return {"rule": _document(history, stored, told)}


def show_versions(
    store: Store, wanted: Iterable[tuple[Rule, Iterable[RuleWarning]]]
) -> list[Document]:
    """Stored versions of rules in that order, each with what was told about it."""
    with store.read() as transaction:
        known = rules.histories(transaction)
    return [
        _document(known[rule.rule_id], known[rule.rule_id].version(rule.version), told)
        for rule, told in wanted
    ]


def _document(history: History, stored: StoredRule, told: Iterable[RuleWarning]) -> Document:
    rule = stored.rule
    return {
        **shown_rule(rule, number=Amount),
        "in_words": in_words(rule),
        "deleted": rule.ended,
        "created_at": format_us(history.versions[0].created_us),
        "updated_at": format_us(stored.created_us),
        "warnings": [{"warning": found.kind.value, "message": found.sentence} for found in told],
    }
