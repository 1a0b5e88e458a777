"""Who bears the usage of some days, and by which rule: one row for each rule version and pair."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import RESERVED_ID
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.period import BillingRange, format_us
from chargeback_worker.reports.allocated import (
    Allocated,
    Allocation,
    AllocationKey,
    Borne,
    allocated,
)
from chargeback_worker.reports.pages import cut
from chargeback_worker.reports.pruned import pruned_of_days
from chargeback_worker.reports.usage_ids import first_usage_ids
from chargeback_worker.store import Store, Transaction, rules

USAGE_IDS_MAX = 100
"""How many usage ids an allocation shows; all of them are behind `explain`."""


def list_allocations(
    store: Store,
    days: BillingRange,
    terms: Snapshot,
    *,
    rule_id: str | None = None,
    team: str | None = None,
    user: str | None = None,
    limit: int = 200,
    cursor: str | None = None,
    usage_ids_max: int = USAGE_IDS_MAX,
    usage_ids_of: Pair | None = None,
) -> Document:
    """A page of them in the order of keys; an empty team or user asks for what has none.

    `unallocated` is what nobody bears of all those days, whatever is asked for; `total_cost_usd`
    the sum of what is, on all pages; `pruned` says of which months usage ids are gone.
    `cursor` continues. The usage ids take longest: a caller who shows none asks for 0. Of shared
    cost they are those of all that was divided; with `usage_ids_of` only those of usage that
    belongs to that team or user. Raises RuleUnknown or UnknownPlace.
    """
    with store.read() as transaction:
        found = allocated(transaction, days, terms)
        if rule_id is not None:
            _require_rule(transaction, rule_id, found)
        wanted = _selected(found.rows, rule_id=rule_id, team=team, user=user)
        page, next_cursor = cut(wanted, _key, AllocationKey, limit=limit, cursor=cursor)
        ids = first_usage_ids(transaction, found, page, terms, most=usage_ids_max, of=usage_ids_of)
        return {
            "period_start": days.start,
            "period_end": days.end,
            "allocations": allocation_documents(page, days, ids),
            "total_cost_usd": Amount(sum(row.cost for row in wanted)),
            "unallocated": Amount(found.unallocated),
            "stored": found.stored,
            "pruned": pruned_of_days(transaction, days),
            "next_cursor": next_cursor,
        }


def _selected(
    rows: Iterable[Allocation],
    *,
    rule_id: str | None = None,
    team: str | None = None,
    user: str | None = None,
) -> list[Allocation]:
    """Those of a rule, team and user; an empty team or user asks for what has none."""
    return [
        row
        for row in rows
        if (rule_id is None or row.key.rule_id == rule_id)
        and (team is None or row.key.pair.team == (team or None))
        and (user is None or row.key.pair.user == (user or None))
    ]


def allocation_documents(
    rows: Iterable[Allocation],
    days: BillingRange,
    usage_ids: Mapping[AllocationKey, Sequence[str]],
) -> list[Document]:
    return [_document(row, days, usage_ids[row.key]) for row in rows]


def _key(row: Allocation) -> AllocationKey:
    return row.key


def _require_rule(transaction: Transaction, rule_id: str, found: Allocated) -> None:
    """A deleted rule is known by what it has allocated."""
    known = {RESERVED_ID, *(row.key.rule_id for row in found.rows)}
    if rule_id not in known:
        rules.current(rules.histories(transaction), rule_id)


def _document(row: Allocation, days: BillingRange, usage_ids: Sequence[str]) -> Document:
    key = row.key
    return {
        "allocation_id": row.allocation_id,
        "rule_id": key.rule_id,
        "rule_version": key.version,
        "period_start": days.start,
        "period_end": days.end,
        "team_id": key.pair.team,
        "user_id": key.pair.user,
        "total_cost_usd": Amount(row.cost),
        "usage_records": usage_ids,
        "usage_record_count": row.records,
        "allocation_details": _details(row),
        "created_at": None if row.created_us is None else format_us(row.created_us),
    }


def _details(row: Allocation) -> Document:
    parts = sorted(row.by_resource_type.items())
    shares = {borne.share for _, borne in parts}
    share = shares.pop() if len(shares) == 1 else None
    details: Document = {
        "rule": row.key.cited,
        "kind": row.kind,
        "share": None if share is None else str(share),
        "by_resource_type": {resource_type: _part(borne) for resource_type, borne in parts},
    }
    if row.key.origin is not None:
        details["origin_period"] = str(row.key.origin)
    return details


def _part(borne: Borne) -> Document:
    """As on an invoice, what came by a split has no quantity."""
    part: dict[str, Any] = {
        "cost": Amount(borne.cost),
        "quantity": None if borne.shared else Amount(borne.quantity),
        "shared": borne.shared,
        "share": None if borne.share is None else str(borne.share),
    }
    if borne.cause is not None:
        part["cause"] = borne.cause
    return part
