"""Shapes of usage: events, records, sums, batches."""

from typing import Annotated, Any, Literal

from pydantic import Field, RootModel, WithJsonSchema

from chargeback_worker.api.schemas.common import (
    DECIMAL,
    AnyObject,
    Date,
    Id,
    Instant,
    Money,
    Month,
    NextCursor,
    Open,
    Quantity,
    Shape,
)
from chargeback_worker.usage.fields import TEXT_MAX

_Cost = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": ["number", "string"],
            "pattern": DECIMAL,
            "minimum": -(10**9),
            "maximum": 10**9,
            "description": "USD; the digits are read exactly and rounded half-even to 10⁻⁹.",
        }
    ),
]
_GivenQuantity = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": ["number", "string", "null"],
            "pattern": DECIMAL,
            "minimum": -(10**18),
            "maximum": 10**18,
        }
    ),
]
_MaybeId = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": ["string", "integer", "null"],
            "maxLength": TEXT_MAX,
            "description": "A whole number is read as its text.",
        }
    ),
]
_MaybeText = Annotated[str | None, Field(max_length=TEXT_MAX)]
_MaybeInstant = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "ISO 8601; without a zone UTC. Absent: the time of receipt.",
        }
    ),
]


class UsageEvent(Open):
    """One use. A CostRecord and a structured CloudEvent are read as well, as on the topic; fields
    that are not known count as metadata."""

    usage_id: _MaybeId = Field(None, description="Absent: a UUID is given.")
    timestamp: _MaybeInstant = None
    team_id: _MaybeId = None
    user_id: _MaybeId = None
    agent_id: _MaybeId = None
    resource_type: _MaybeText = Field(None, description="Absent: `query`.")
    resource_id: _MaybeId = None
    quantity: _GivenQuantity = None
    cost_usd: _Cost
    metadata: AnyObject | None = None


class UsageRecord(Shape):
    """An event as it is stored."""

    usage_id: str
    timestamp: Instant
    team_id: str | None
    user_id: str | None
    agent_id: str | None
    resource_type: str
    quantity: Quantity
    cost_usd: Money
    metadata: AnyObject
    source: str
    resource_id: str | None
    billing_period: Month
    late: bool = Field(description="Whether another month than its own bills it.")


class UsageRecordAnswer(Shape):
    usage_record: UsageRecord


class UsageRecordsAnswer(Shape):
    period_start: Date
    period_end: Date
    usage_records: list[UsageRecord]
    next_cursor: NextCursor


class Used(Shape):
    cost: Money
    quantity: Quantity


class UsageSummary(Shape):
    """Sums of usage; the key of what has no agent or label is the empty text."""

    team_id: str | None
    user_id: str | None
    period_start: Date
    period_end: Date
    total_cost_usd: Money
    total_quantity: Quantity
    mixed_units: bool = Field(description="Whether the quantity adds unlike units.")
    record_count: int
    by_resource_type: dict[str, Used]
    by_agent: dict[str, Used]
    by_label: dict[str, dict[str, Used]] | None = Field(
        None, description="Only where grain.labels names any."
    )


class UsageSummaryAnswer(Shape):
    summary: UsageSummary


class BatchBody(RootModel[list[Any]]):
    """Events as in POST /usage; what is none of them ends as refused. As JSON lines, each is on a
    line of its own."""


class BatchItem(Shape):
    index: int
    outcome: Literal["accepted", "duplicate", "conflict", "refused"]
    usage_id: Id | None
    error: str | None = Field(None, description="Why it was refused, or conflicts.")


class BatchAnswer(Shape):
    """How each event of a batch ended; what is refused is not kept."""

    accepted: int
    duplicate: int
    conflict: int
    refused: int
    results: list[BatchItem]
