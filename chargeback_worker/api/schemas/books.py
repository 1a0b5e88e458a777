"""Shapes of what stands around the money: months, the directory, quarantine, audit, verify."""

from typing import Any, Literal

from pydantic import Field

from chargeback_worker.api.schemas.common import (
    AnyObject,
    Date,
    GivenId,
    Instant,
    Money,
    Month,
    NextCursor,
    Open,
    Shape,
)


class Period(Shape):
    """A month: its state, what it waits for, and where its money went."""

    period: Month
    state: Literal["open", "closing", "closed", "reopened"]
    revision: int
    starts_at: Instant
    ends_at: Instant
    due_at: Instant
    closed_at: Instant | None
    waits_for: list[str]
    usage_cost_usd: Money
    booked_usd: Money
    invoiced_usd: Money
    uninvoiced_usd: Money
    unallocated_usd: Money
    invoices: int
    awaiting_approval: int
    late_records: int
    unpublished_messages: int
    parked_messages: int
    failures: int
    failure: str | None


class PeriodAnswer(Shape):
    period: Period


class PeriodsAnswer(Shape):
    periods: list[Period]
    next_cursor: NextCursor


class CloseBody(Shape):
    force: bool | None = Field(None, description="Before all usage is ingested; needs a reason.")
    reason: str | None = None


class ReopenBody(Shape):
    reason: str | None = None


class Close(Shape):
    period: Month
    revision: int
    booked_usd: Money
    subtotal_usd: Money
    unallocated_usd: Money
    invoices: int
    closed_at: Instant
    actor: str
    forced: bool
    reason: str | None
    closed_before: bool
    dry_run: bool


class CloseAnswer(Shape):
    close: Close


class Would(Shape):
    would_usd: Money
    beside_usd: Money | None
    difference_usd: Money | None


class PreviewRow(Would):
    team_id: str | None
    user_id: str | None
    by_rule: dict[str, Would]


class Beside(Shape):
    period_start: Date
    period_end: Date
    with_: str = Field(alias="with")
    created_at: Instant | None


class Preview(Shape):
    """Who would bear what, beside what was run or booked."""

    period_start: Date
    period_end: Date
    rules: Literal["stored", "given"]
    beside: list[Beside]
    total: Would
    unallocated: Would
    rows: list[PreviewRow]
    next_cursor: NextCursor


class PreviewAnswer(Shape):
    preview: Preview


class PreviewBody(Shape):
    """The rules to look at it by, all of them, each as in POST /allocation-rules."""

    rules: list[AnyObject]


class ExplanationAnswer(Shape):
    """Each step sums to the one above, to the nano-dollar."""

    explanation: AnyObject
    next_cursor: NextCursor


class UsageBehind(Shape):
    usage_id: str
    source: str
    timestamp: Instant
    team_id: str | None
    user_id: str | None
    agent_id: str | None
    resource_type: str
    resource_id: str | None
    quantity: Money
    cost_usd: Money
    billing_period: Month
    late: bool


class AllocationUsageAnswer(Shape):
    allocation_id: str
    usage_records: list[UsageBehind]
    pruned: list[AnyObject]
    next_cursor: NextCursor


class Member(Open):
    user_id: GivenId


class Team(Open):
    team_id: GivenId
    members: list[Member] | None = None


class DirectoryBody(Open):
    """The whole directory; it takes the place of the one before."""

    teams: list[Team]


class Directory(Shape):
    version: int
    updated_at: Instant | None
    teams: list[AnyObject]


class DirectoryAnswer(Shape):
    directory: Directory


class Quarantined(Shape):
    """A refused event; what it holds is shown for one of them, to keys that may operate."""

    quarantine_id: int
    state: Literal["held", "replayed", "dismissed"]
    reason: str
    detail: str
    door: str
    name: str
    partition: int | None
    position: int
    received_at: Instant
    size_bytes: int
    digest: str
    replayable: bool
    outcome: str | None
    resolved_at: Instant | None


class QuarantinedEvent(Quarantined):
    event: AnyObject | None = Field(description="Null once it was erased.")


class QuarantineAnswer(Shape):
    quarantine: list[Quarantined]
    next_cursor: NextCursor


class QuarantinedAnswer(Shape):
    quarantined: QuarantinedEvent


class Replayed(Shape):
    quarantine_id: int
    outcome: str


class ReplayAnswer(Shape):
    replayed: list[Replayed]
    tally: dict[str, int]


class DismissBody(Shape):
    reason: str | None = None


class Audited(Shape):
    audit_id: int
    at: Instant
    actor: str
    action: str
    subject: str
    before: Any
    after: Any
    reason: str | None


class AuditAnswer(Shape):
    audit: list[Audited]
    next_cursor: NextCursor


class VerifyAnswer(Shape):
    """Everything computed again from the records; `clean` where nothing differs."""

    verify: AnyObject


class Health(Shape):
    healthy: bool
    faults: dict[str, str]


class Ready(Shape):
    ready: bool
    faults: dict[str, str]
