"""Shapes of allocations, invoices and reports."""

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from chargeback_worker.api.schemas.common import (
    DECIMAL,
    AnyObject,
    Date,
    GivenWhole,
    Id,
    Instant,
    Money,
    Month,
    NextCursor,
    Quantity,
    Shape,
)
from chargeback_worker.api.schemas.usage import UsageSummary

_Status = Literal["draft", "pending", "sent", "paid", "overdue", "cancelled"]
_Bound = Annotated[str | None, Field(max_length=64)]
_Pruned = Annotated[list[AnyObject], Field(description="Months whose usage records are dropped.")]


class AllocateBody(Shape):
    """Which days to allocate, either by `period` or by `period_start` and `period_end`."""

    period: _Bound = Field(None, description="A month, or days as 2026-10-01/2026-11-01.")
    period_start: _Bound = None
    period_end: _Bound = None
    rule_id: Id | None = Field(None, description="Show only what this rule allocates.")
    team_id: Id | None = Field(None, description="Show only what this team bears.")
    user_id: Id | None = Field(None, description="Show only what this user bears.")


class Allocation(Shape):
    """What one pair bears by one rule; with neither team nor user nobody does."""

    allocation_id: str | None = Field(description="Null where it is computed only.")
    rule_id: str
    rule_version: int
    period_start: Date
    period_end: Date
    team_id: str | None
    user_id: str | None
    total_cost_usd: Money
    usage_records: list[str] = Field(
        description="The first 100 usage ids behind it; for a key with a scope those of its own"
        " usage alone."
    )
    usage_record_count: int
    allocation_details: AnyObject
    created_at: Instant | None


class AllocationsAnswer(Shape):
    period_start: Date
    period_end: Date
    allocations: list[Allocation]
    total_cost_usd: Money
    unallocated: Money | None = Field(
        description="What nobody bears of all those days; null for a key with a scope."
    )
    stored: bool
    pruned: _Pruned
    next_cursor: NextCursor


class InvoiceBody(Shape):
    """Who is to be billed for which month."""

    team_id: Id | None = None
    user_id: Id | None = None
    period: _Bound = Field(None, description="A month, as 2026-10.")
    period_start: _Bound = None
    period_end: _Bound = None
    tax_rate: Annotated[
        Any,
        WithJsonSchema(
            {
                "type": ["number", "string", "null"],
                "pattern": DECIMAL,
                "minimum": 0,
                "maximum": 1,
                "description": "At most 9 decimals; 0.19 is 19 %.",
            }
        ),
    ] = None
    due_days: GivenWhole = Field(None, description="0 to 3650.")


class InvoiceLine(Shape):
    line: int
    kind: Literal["usage", "shared", "adjustment"]
    description: str
    resource_type: str
    quantity: Quantity | None
    unit_price: Money | None
    total_price: Money
    exact_usd: Money
    allocation_id: str
    rule: str
    metadata: AnyObject


class Invoice(Shape):
    invoice_id: str
    invoice_number: str
    kind: Literal["regular", "correction", "credit"]
    status: _Status
    receiver: str
    team_id: str | None
    user_id: str | None
    period: Month
    period_start: Date
    period_end: Date
    revision: int
    currency: str
    line_items: list[InvoiceLine]
    subtotal_usd: Money
    tax_usd: Money
    total_usd: Money
    issued_at: Instant | None
    due_date: Date | None
    paid_date: Date | None
    published_at: Instant | None
    references: list[str]
    replaces: str | None
    created_at: Instant
    updated_at: Instant
    metadata: AnyObject


class InvoiceAnswer(Shape):
    invoice: Invoice


class InvoicesAnswer(Shape):
    invoices: list[Invoice]
    next_cursor: NextCursor


class StatusBody(Shape):
    status: _Status
    reason: str | None = Field(None, description="Needed to cancel an issued one.")


class StatusAnswer(Shape):
    message: str
    invoice: Invoice


class SideBySide(Shape):
    used_usd: Money
    allocated_usd: Money
    billed_usd: Money


class BilledShare(Shape):
    invoice_id: str
    invoice_number: str
    status: _Status
    receiver: str
    period: Month
    line_items: list[InvoiceLine]
    subtotal_usd: Money


class Report(Shape):
    period_start: Date
    period_end: Date
    period: Month | None = Field(None, description="Where the days are one month.")
    usage_summary: UsageSummary
    allocations: list[Allocation]
    invoices: list[Invoice]
    total_cost_usd: Money = Field(description="The sum of the allocations.")
    billed_usd: Money
    stored: bool
    by_resource_type: dict[str, SideBySide]
    pruned: _Pruned


class TeamReport(Report):
    team_id: str


class UserReport(Report):
    user_id: str
    billed_shares: list[BilledShare]


class TeamReportAnswer(Shape):
    report: TeamReport


class UserReportAnswer(Shape):
    report: UserReport
