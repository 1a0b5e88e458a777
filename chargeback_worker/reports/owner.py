"""What a team, a user or a cost centre used, was allocated and was billed, side by side.

Used goes by the recorded team and the day of the usage; allocated by the pair that bears it, which
the directory and the rules decide; billed by the invoices of the months that the days touch. So
the three agree only where nothing is shared, moved or late.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.errors import NotFound
from chargeback_worker.invoicing.document import Amount, Document, invoice_document
from chargeback_worker.invoicing.invoice import Invoice, InvoiceLine, Status
from chargeback_worker.period import BillingRange
from chargeback_worker.reports.allocated import Allocated, Allocation, AllocationKey, allocated
from chargeback_worker.reports.allocations import USAGE_IDS_MAX, allocation_documents
from chargeback_worker.reports.pruned import pruned_of_days
from chargeback_worker.reports.usage_ids import first_usage_ids
from chargeback_worker.reports.usage_summary import summary_of
from chargeback_worker.store import Store, Transaction, billed, directories, invoices

_NOT_BILLED = (Status.DRAFT, Status.CANCELLED)
_NAMED_MAX = 10


class CostCentreUnknown(NotFound):
    """No team of the directory has it."""

    def __init__(self, cost_centre: str, known: Iterable[str]) -> None:
        names = sorted(set(known))
        near = get_close_matches(cost_centre, names, n=2)
        meant = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        there = ", ".join(names[:_NAMED_MAX]) or "none"
        more = ", …" if len(names) > _NAMED_MAX else ""
        super().__init__(
            f"No team of the directory has the cost centre {cost_centre!r}.{meant}",
            f"There are: {there}{more}. See: chargeback directory show",
        )


@dataclass(frozen=True, slots=True)
class _Owned:
    """What one owner was allocated and billed. `lines` are those billed; not of drafts, and not
    of cancelled invoices."""

    allocations: Sequence[Allocation]
    invoices: Sequence[Invoice]
    lines: Sequence[InvoiceLine]

    @property
    def allocated(self) -> int:
        return sum(row.cost for row in self.allocations)

    @property
    def billed(self) -> int:
        return sum(line.total_price for line in self.lines)


def team_report(
    store: Store,
    days: BillingRange,
    terms: Snapshot,
    team: str,
    *,
    usage_ids_max: int = USAGE_IDS_MAX,
    usage_ids_of: Pair | None = None,
) -> Document:
    """Of a team that nobody knows it is zeros: it may be in the directory only. `usage_ids_of` is
    as for a list of allocations."""
    with store.read() as transaction:
        found = allocated(transaction, days, terms, [Pair(team=team)])
        owned = _of_team(transaction, found, team)
        ids = first_usage_ids(
            transaction, found, owned.allocations, terms, most=usage_ids_max, of=usage_ids_of
        )
        summary = summary_of(transaction, days, team=team)
        gone = pruned_of_days(transaction, days)
    report = _report(found, summary, owned, ids)
    return {"report": {"team_id": team, **report, "pruned": gone}}


def user_report(
    store: Store,
    days: BillingRange,
    terms: Snapshot,
    user: str,
    *,
    usage_ids_max: int = USAGE_IDS_MAX,
    usage_ids_of: Pair | None = None,
) -> Document:
    """A user's pairs in whatever team. `billed_shares` are their lines of invoices to teams, and
    `usage_ids_of` is as for a list of allocations."""
    with store.read() as transaction:
        found = allocated(transaction, days, terms, [Pair(user=user)])
        rows = found.rows
        ids = first_usage_ids(transaction, found, rows, terms, most=usage_ids_max, of=usage_ids_of)
        own = _invoices(transaction, days, invoices.selected(user=user))
        to_teams = _invoices(transaction, days, billed.to_teams_for(user, days.periods()))
        summary = summary_of(transaction, days, user=user)
        gone = pruned_of_days(transaction, days)
    shares = [(invoice, _lines_of(invoice, user)) for invoice in to_teams]
    lines = [line for invoice in _issued(own) for line in invoice.lines]
    lines += [line for invoice, of_user in shares if _is_issued(invoice) for line in of_user]
    report = _report(found, summary, _Owned(rows, own, lines), ids)
    report["billed_shares"] = [_share(*share) for share in shares]
    return {"report": {"user_id": user, **report, "pruned": gone}}


def cost_centre_report(
    store: Store,
    days: BillingRange,
    terms: Snapshot,
    cost_centre: str,
    *,
    usage_ids_max: int = USAGE_IDS_MAX,
) -> Document:
    """The teams that the directory of now gives that cost centre. Raises CostCentreUnknown."""
    with store.read() as transaction:
        teams = _teams(transaction, cost_centre)
        found = allocated(transaction, days, terms, [Pair(team=team) for team in teams])
        by_team = {team: _of_team(transaction, found, team) for team in teams}
        ids = first_usage_ids(transaction, found, found.rows, terms, most=usage_ids_max)
        summaries = {team: summary_of(transaction, days, team=team) for team in teams}
        gone = pruned_of_days(transaction, days)
    owned = _Owned(
        found.rows,
        [invoice for of_team in by_team.values() for invoice in of_team.invoices],
        [line for of_team in by_team.values() for line in of_team.lines],
    )
    report = _report(found, _sum_of_summaries(list(summaries.values())), owned, ids)
    report["teams"] = [
        {
            "team_id": team,
            "name": name,
            "used_usd": summaries[team]["total_cost_usd"],
            "allocated_usd": Amount(by_team[team].allocated),
            "billed_usd": Amount(by_team[team].billed),
        }
        for team, name in teams.items()
    ]
    return {"report": {"cost_centre": cost_centre, **report, "pruned": gone}}


def _of_team(transaction: Transaction, found: Allocated, team: str) -> _Owned:
    billed_to = _invoices(transaction, found.days, invoices.selected(team=team))
    lines = [line for invoice in _issued(billed_to) for line in invoice.lines]
    return _Owned([row for row in found.rows if row.key.pair.team == team], billed_to, lines)


def _teams(transaction: Transaction, cost_centre: str) -> dict[str, str | None]:
    """The names of the teams of a cost centre, by id in order."""
    stored = directories.current(transaction)
    entries: list[Document] = [] if stored is None else stored.document.get("teams", [])
    teams = {
        entry["team_id"]: entry.get("name")
        for entry in entries
        if entry.get("cost_centre") == cost_centre
    }
    if not teams:
        centres = (entry.get("cost_centre") for entry in entries)
        raise CostCentreUnknown(cost_centre, [centre for centre in centres if centre])
    return dict(sorted(teams.items()))


def _invoices(transaction: Transaction, days: BillingRange, wanted: list[Any]) -> list[Invoice]:
    """All of them: what is billed is their sum."""
    return invoices.listed(transaction, *billed.in_periods(days.periods()), *wanted)


def _is_issued(invoice: Invoice) -> bool:
    return invoice.status not in _NOT_BILLED


def _issued(found: Iterable[Invoice]) -> list[Invoice]:
    return [invoice for invoice in found if _is_issued(invoice)]


def _lines_of(invoice: Invoice, user: str) -> list[InvoiceLine]:
    return [line for line in invoice.lines if line.key.pair.user == user]


def _report(
    found: Allocated,
    summary: Document,
    owned: _Owned,
    usage_ids: Mapping[AllocationKey, Sequence[str]],
) -> Document:
    days = found.days
    months = days.periods()
    report: Document = {"period_start": days.start, "period_end": days.end}
    if months[0].days() == days:
        report["period"] = str(months[0])
    return {
        **report,
        "usage_summary": summary,
        "allocations": allocation_documents(owned.allocations, days, usage_ids),
        "invoices": [invoice_document(invoice) for invoice in owned.invoices],
        "total_cost_usd": Amount(owned.allocated),
        "billed_usd": Amount(owned.billed),
        "stored": found.stored,
        "by_resource_type": _side_by_side(summary, owned),
    }


def _side_by_side(summary: Document, owned: _Owned) -> Document:
    used = {name: sums["cost"].nano for name, sums in summary["by_resource_type"].items()}
    borne: dict[str, int] = {}
    for row in owned.allocations:
        for name, part in row.by_resource_type.items():
            borne[name] = borne.get(name, 0) + part.cost
    billed_for: dict[str, int] = {}
    for line in owned.lines:
        name = line.key.resource_type
        billed_for[name] = billed_for.get(name, 0) + line.total_price
    return {
        name: {
            "used_usd": Amount(used.get(name, 0)),
            "allocated_usd": Amount(borne.get(name, 0)),
            "billed_usd": Amount(billed_for.get(name, 0)),
        }
        for name in sorted({*used, *borne, *billed_for})
    }


def _share(invoice: Invoice, lines: Sequence[InvoiceLine]) -> Document:
    """The invoice without the lines of others."""
    numbers = {line.line for line in lines}
    document = invoice_document(invoice)
    return {
        "invoice_id": document["invoice_id"],
        "invoice_number": document["invoice_number"],
        "status": document["status"],
        "receiver": document["receiver"],
        "period": document["period"],
        "line_items": [line for line in document["line_items"] if line["line"] in numbers],
        "subtotal_usd": Amount(sum(line.total_price for line in lines)),
    }


def _sum_of_summaries(summaries: Sequence[Document]) -> Document:
    """The usage of several teams as that of one; of no team and no user by name."""
    breakdowns = [name for name in summaries[0] if name.startswith("by_") and name != "by_label"]
    whole: Document = {**summaries[0], "team_id": None, "user_id": None}
    whole["total_cost_usd"] = _sum(found["total_cost_usd"] for found in summaries)
    whole["total_quantity"] = _sum(found["total_quantity"] for found in summaries)
    whole["record_count"] = sum(found["record_count"] for found in summaries)
    for name in breakdowns:
        whole[name] = _merged([found[name] for found in summaries])
    if "by_label" in whole:
        whole["by_label"] = {
            label: _merged([found["by_label"][label] for found in summaries])
            for label in whole["by_label"]
        }
    whole["mixed_units"] = len(whole["by_resource_type"]) > 1
    return whole


def _merged(breakdowns: Sequence[Document]) -> Document:
    keys = sorted({key for found in breakdowns for key in found})
    return {
        key: {
            of: _sum(found[key][of] for found in breakdowns if key in found)
            for of in ("cost", "quantity")
        }
        for key in keys
    }


def _sum(amounts: Iterable[Amount]) -> Amount:
    return Amount(sum(amount.nano for amount in amounts))
