"""The worked cases as data: read, acted out by the real steps, and what came out in their words."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from chargeback_worker.allocation.engine import PartKey, allocate
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.snapshot import Requested
from chargeback_worker.allocation.writing.faults import RulesRefused
from chargeback_worker.invoicing.document import encode
from chargeback_worker.invoicing.invoice import Invoice, InvoiceLine
from chargeback_worker.invoicing.settle import Owed
from chargeback_worker.money import fixed
from chargeback_worker.period import Period, to_us
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.pipeline.close import close, dry_run
from chargeback_worker.pipeline.closing.settlement import terms_of
from chargeback_worker.pipeline.create_invoice import create_invoice
from chargeback_worker.pipeline.ingest import Part, ingest, read_events
from chargeback_worker.pipeline.reopen import reopen
from chargeback_worker.pipeline.save_rules import delete_rule, save_rules
from chargeback_worker.reports.invoices import find_invoices
from chargeback_worker.reports.usage_summary import usage_summary
from chargeback_worker.settings import Settings
from chargeback_worker.store import (
    Store,
    bookings,
    closes,
    cursors,
    installation,
    origins,
    quarantine,
    snapshots,
)
from chargeback_worker.store.audit import Act
from chargeback_worker.usage.event import Grain, RawEvent, Reader
from tests.support.stored_totals import totals_of_days

CASES = Path(__file__).parents[1] / "cases"
STEPS = frozenset({"directory", "rules", "delete_rule", "ingest", "close", "reopen", "invoice"})
"""The verbs that there are steps for."""

_NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
_QUARANTINE_BYTES = 1_048_576

Document = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One story; `content` holds its numbers with their very digits."""

    name: str
    content: Document = field(repr=False)

    @cached_property
    def waits_for(self) -> frozenset[str]:
        """The verbs of its steps that there are no steps for yet."""
        verbs = {next(iter(step)) for step in self.content["steps"]}
        return frozenset(verbs - STEPS)

    @property
    def number(self) -> str:
        return self.name[:2]


def read_cases() -> list[Case]:
    """All of them, by number."""
    return [
        Case(
            path.stem,
            json.loads(path.read_text(), parse_float=Decimal, parse_int=Decimal),
        )
        for path in sorted(CASES.glob("*.json"))
    ]


def line_of(event: object) -> bytes:
    """An event as a line of a file, each number in the digits that it was read from.

    Decimal keeps them all, but writes some with an exponent where they had none.
    """
    match event:
        case Decimal():
            return str(event).encode()
        case dict():
            members = (json.dumps(key).encode() + b":" + line_of(event[key]) for key in event)
            return b"{" + b",".join(members) + b"}"
        case list():
            return b"[" + b",".join(map(line_of, event)) + b"]"
    return json.dumps(event).encode()


class Stage:
    """A store on which a case is acted out."""

    def __init__(self, store: Store, case: Case) -> None:
        self._store = store
        self._case = case
        settings = Settings.model_validate(_plain(case.content["settings"]))
        self._terms = terms_of(settings)
        self._grain = Grain(
            settings.billing.timezone, tuple(settings.grain.labels), settings.ingest.source
        )
        self._reader = Reader(self._grain)
        self._now_us = to_us(_now(case))
        self._ingested: list[Document] = []
        self._closed: list[tuple[Period, int]] = []
        self._refused: list[Document] = []
        self._warnings: list[Document] = []
        self._drafts: list[list[Document]] = []
        with store.begin() as transaction:
            installation.settle_grain(transaction, self._grain)
            installation.settle_first_period(transaction, None, Period(2025, 10))

    def act_out(self) -> None:
        steps: dict[str, Callable[..., None]] = {
            "directory": self._directory,
            "rules": self._rules,
            "delete_rule": self._delete_rule,
            "ingest": self._ingest,
            "close": self._close,
            "reopen": self._reopen,
            "invoice": self._invoice,
        }
        assert steps.keys() == STEPS
        for step in self._case.content["steps"]:
            (verb, what), *more = step.items()
            steps[verb](what, **dict(more))

    @property
    def _act(self) -> Act:
        return Act("case", self._now_us)

    def _directory(self, name: str) -> None:
        apply_directory(self._store, self._case.content["directory"][name], self._act)

    def _rules(self, name: str) -> None:
        try:
            saved = save_rules(self._store, self._case.content["rules"][name], self._act)
        except RulesRefused as refused:
            kinds = {str(fault.kind) for fault in refused.faults}
            self._refused += [{"rules": name, "reason": kind} for kind in sorted(kinds)]
            return
        self._warnings += [
            {"rule": written.rule.cited, "warning": warning.kind.value}
            for written in saved.written
            for warning in written.warnings
        ]

    def _delete_rule(self, rule_id: str) -> None:
        delete_rule(self._store, rule_id, self._act)

    def _ingest(self, name: str) -> None:
        """As `chargeback ingest` of a file does, whose content names its cursor."""
        lines = [line_of(event) for event in self._case.content["events"][name]]
        with self._store.begin() as transaction:
            cursor = cursors.make(
                transaction, cursors.Door.FILE, f"{self._case.name}:{name}", now_us=self._now_us
            )
        raws = [RawEvent(line, position=position) for position, line in enumerate(lines)]
        events = read_events(self._reader, raws, self._now_us)
        result = ingest(
            self._store,
            [Part(cursor.cursor_id, events, 0, len(lines))],
            zone=self._grain.zone(),
            quarantine_bytes_max=_QUARANTINE_BYTES,
            now_us=self._now_us,
        )
        tally = result.tally
        self._ingested.append(
            {
                "events": name,
                "accepted": tally.accepted,
                "duplicate": tally.duplicate,
                "conflict": tally.conflict,
                "quarantined": tally.quarantined,
            }
        )

    def _close(self, month: str) -> None:
        period = Period.parse(month)
        done = close(self._store, period, self._terms, self._act, owner="case")
        if not done.closed_before:
            self._closed.append((period, done.close.revision))

    def _reopen(self, month: str, *, reason: str) -> None:
        reopen(self._store, Period.parse(month), replace(self._act, reason=reason))

    def _invoice(self, month: str, *, team: str | None = None, user: str | None = None) -> None:
        period, asked = Period.parse(month), Requested(Pair(team, user))
        created = create_invoice(self._store, period, asked, self._terms, self._act)
        projected = dry_run(self._store, period, self._terms, self._now_us).books.invoices
        drafts = [_invoice(invoice) for invoice in projected]
        assert _invoice(created.invoice) | {"number": None} in [
            draft | {"number": None} for draft in drafts
        ]
        self._drafts.append(
            [{key: draft[key] for key in draft if key != "number"} for draft in drafts]
        )

    def outcome(self) -> Document:
        """What came out, in the form and the words of `expect`."""
        expected = self._case.content["expect"]
        found: Document = {
            "ingest": self._ingested,
            "usage": {month: self._usage(Period.parse(month)) for month in expected["usage"]},
            "allocations": {
                month: self._allocations(Period.parse(month)) for month in expected["allocations"]
            },
            "closes": [self._booked(*named) for named in self._closed],
            "invoices": self._invoices(),
        }
        with self._store.read() as transaction:
            refused = quarantine.listed(transaction, limit=1_000)
            late = sum(origins.late_records(transaction).values())
        if refused:
            found["quarantined"] = [row.reason for row in reversed(refused)]
        if late:
            found["late_records"] = late
        if self._drafts:
            found["drafts"] = self._drafts
        if self._refused:
            found["refused"] = self._refused
        if self._warnings:
            found["warnings"] = self._warnings
        return found

    def _usage(self, month: Period) -> Document:
        document = json.loads(
            encode(usage_summary(self._store, month.days())), parse_float=Decimal, parse_int=Decimal
        )
        summary = document["summary"]
        return {
            "total_cost_usd": _nine(summary["total_cost_usd"]),
            "total_quantity": _nine(summary["total_quantity"]),
            "record_count": summary["record_count"],
            "mixed_units": summary["mixed_units"],
            "by_resource_type": {
                name: {"cost": _nine(sums["cost"]), "quantity": _nine(sums["quantity"])}
                for name, sums in summary["by_resource_type"].items()
            },
        }

    def _allocations(self, month: Period) -> Document:
        """All usage of a month, by the snapshot of its last close, or by the rules of now."""
        with self._store.read() as transaction:
            snapshot = snapshots.latest(transaction, month)
            if snapshot is None:
                snapshot = snapshots.of_now(transaction, month.days(), self._terms)
            parts = allocate(totals_of_days(transaction, month.days()), snapshot)
        return _by_owner([(part.key, _row(part.key, part.cost)) for part in parts])

    def _booked(self, period: Period, revision: int) -> Document:
        with self._store.read() as transaction:
            rows = [row.owed for row in bookings.of_close(transaction, period, revision)]
            (done,) = (
                close
                for close in closes.listed(transaction)
                if (close.period, close.revision) == (period, revision)
            )
        return {
            "period": str(period),
            "revision": Decimal(revision),
            "booked": fixed(done.booked),
            "unallocated_cents": fixed(done.unallocated, 2),
            **_by_owner([(row.key, _owed(row, period)) for row in rows]),
        }

    def _invoices(self) -> list[Document]:
        found, following = find_invoices(self._store, limit=1_000)
        assert following is None
        by_close = {named: place for place, named in enumerate(self._closed)}
        found.sort(key=lambda row: (by_close[row.period, row.revision], row.invoice_number))
        return [_invoice(invoice) for invoice in found]


def _now(case: Case) -> datetime:
    text = case.content.get("now")
    return datetime.fromisoformat(text) if text else _NOW


def _plain(settings: Mapping[str, Any]) -> Document:
    return {
        section: {key: str(v) if isinstance(v, Decimal) else v for key, v in values.items()}
        for section, values in settings.items()
    }


def _nine(number: Decimal) -> str:
    return format(number, ".9f")


def _by_owner(rows: Sequence[tuple[PartKey, Document]]) -> Document:
    return {
        "allocations": [row for key, row in rows if key.pair != UNALLOCATED],
        "unallocated": [row for key, row in rows if key.pair == UNALLOCATED],
    }


def _row(key: PartKey, cost: int) -> Document:
    owner = {} if key.pair == UNALLOCATED else {"team": key.pair.team, "user": key.pair.user}
    return {
        "rule": key.cited,
        **owner,
        "resource_type": key.resource_type,
        "cost": fixed(cost),
    }


def _owed(row: Owed, period: Period) -> Document:
    adjusts = {"origin": str(row.origin), "cause": row.cause} if row.origin != period else {}
    return {**_row(row.key, row.cost), **adjusts}


def _line(line: InvoiceLine, period: Period) -> Document:
    row = _row(line.key, line.exact) | {"total_price": fixed(line.total_price, 2)}
    if line.origin != period:
        row |= {
            "origin": str(line.origin),
            "cause": line.cause,
            "original_invoice": line.original_invoice,
        }
    return row


def _invoice(invoice: Invoice) -> Document:
    return {
        "number": invoice.invoice_number,
        "period": str(invoice.period),
        "revision": Decimal(invoice.revision),
        "kind": invoice.kind,
        "receiver": invoice.receiver.key,
        "subtotal": fixed(invoice.subtotal, 2),
        "tax": fixed(invoice.tax, 2),
        "total": fixed(invoice.total, 2),
        "references": list(invoice.references),
        "lines": [_line(line, invoice.period) for line in invoice.lines],
    }
