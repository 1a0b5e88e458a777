"""What the database itself refuses, whoever asks: the list that both dialects turn into triggers.

A condition is plain SQL over NEW and OLD that both understand; where it holds, the statement fails.
"""

from dataclasses import dataclass

_CLOSED = (
    "(SELECT state FROM billing_period WHERE period = {row}.{column}) IN ('closing', 'closed')"
)
# A period may have no row; what compares with NULL is never true, and would let it pass.
_NOT_CLOSING = (
    "(SELECT state FROM billing_period WHERE period = {row}.{column}) IS DISTINCT FROM 'closing'"
)
_NOT_CLOSED = _NOT_CLOSING.replace("'closing'", "'closed'")
_INVOICE_STATUS = "(SELECT status FROM invoice WHERE invoice_id = OLD.invoice_id)"
# A join, as that of all lines of a statement is one with the invoices.
_ISSUED_BEFORE = (
    "EXISTS (SELECT 1 FROM invoice i LEFT JOIN billing_period p ON p.period = i.period"
    " WHERE i.invoice_id = NEW.invoice_id AND i.status <> 'draft'"
    " AND p.state IS DISTINCT FROM 'closing')"
)

# What of a total is in its key: a total that had another would be another one's.
_TOTAL_KEY = (
    "total_key",
    "period",
    "day",
    "team_id",
    "user_id",
    "agent_id",
    "resource_type",
    "labels",
)
_FROZEN_INVOICE = [
    "invoice_id",
    "number",
    "period",
    "revision",
    "ordinal",
    "kind",
    "receiver",
    "team_id",
    "user_id",
    "currency",
    "subtotal_whole",
    "subtotal_nano",
    "tax_whole",
    "tax_nano",
    "total_whole",
    "total_nano",
    "due_day",
    "created_us",
    "issued_us",
    "final",
    "replaces",
    '"references"',
    "metadata",
]
_FROZEN_MESSAGE = [
    "message_id",
    "ce_id",
    "key",
    "seq",
    "type",
    "headers",
    "payload",
    "period",
    "revision",
    "invoice_id",
]
_FROZEN_RECORD = [
    "identity",
    "total_key",
    "period",
    "day",
    "time_us",
    "cost_nano",
    "quantity_whole",
    "quantity_nano",
    "cursor_id",
    "position",
    "received_us",
    "source",
    "usage_id",
    "team_id",
    "user_id",
    "agent_id",
    "resource_type",
    "labels",
]


@dataclass(frozen=True, slots=True)
class Guard:
    """One refusal: the events of one table in which `condition` must not hold.

    `per_statement` asks for one check a statement where the dialect can, because many rows are
    written at once; its condition then looks at NEW of an insert, and at OLD of any other event.
    `unique` are the keys of a table whose rows stay: SQLite's INSERT OR REPLACE removes a row that
    has one of them in common with the new row, and fires no trigger for that.
    """

    name: str
    table: str
    events: tuple[str, ...]
    condition: str
    message: str
    per_statement: bool = False
    unique: tuple[tuple[str, ...], ...] = ()


def _changed(columns: list[str]) -> str:
    return " OR ".join(f"NEW.{name} IS DISTINCT FROM OLD.{name}" for name in columns)


def _never(table: str, *events: str, unique: tuple[tuple[str, ...], ...] = ()) -> Guard:
    return Guard(
        f"guard_{table}_kept",
        table,
        events,
        "1 = 1",
        f"rows of {table} are never changed or removed",
        unique=unique,
    )


GUARDS = (
    Guard(
        "guard_billing_period_steps",
        "billing_period",
        ("UPDATE",),
        f"{_changed(['period', 'starts_us', 'ends_us'])} OR OLD.state = 'closed'"
        f" AND (NEW.state NOT IN ('closed', 'reopened')"
        f" OR NEW.state = 'closed' AND ({_changed(['revision', 'closed_us'])}))",
        "a period keeps its boundaries, and a closed one is at most reopened",
    ),
    Guard(
        "guard_billing_period_kept",
        "billing_period",
        ("DELETE",),
        "OLD.state <> 'open'",
        "a period that was closed is never removed",
        unique=(("period",),),
    ),
    *(
        Guard(
            f"guard_usage_total_{event.lower()}",
            "usage_total",
            (event,),
            _CLOSED.format(row="NEW" if event == "INSERT" else "OLD", column="period"),
            "totals of a period that is closing or closed do not change",
            per_statement=True,
        )
        for event in ("INSERT", "UPDATE", "DELETE")
    ),
    Guard(
        "guard_usage_total_key",
        "usage_total",
        # Only then does it cost anything: ingest does not name these columns in an update.
        (f"UPDATE OF {', '.join(_TOTAL_KEY)}",),
        "1 = 1",
        "a total stays where it is",
    ),
    _never("usage_key", "UPDATE", "DELETE"),
    Guard(
        "guard_usage_record_kept",
        "usage_record",
        ("UPDATE",),
        _changed(_FROZEN_RECORD),
        "usage records are never changed",
    ),
    Guard(
        "guard_usage_record_dropped",
        "usage_record",
        ("DELETE",),
        _NOT_CLOSED.format(row="OLD", column="period"),
        "usage records are dropped of closed periods alone",
        per_statement=True,
    ),
    Guard(
        "guard_booking_insert",
        "booking",
        ("INSERT",),
        _NOT_CLOSING.format(row="NEW", column="billing_period"),
        "bookings are written only while their billing period is closing",
        per_statement=True,
    ),
    _never("booking", "UPDATE", "DELETE", unique=(("allocation_id", "resource_type"),)),
    _never("rule_version", "UPDATE", "DELETE", unique=(("rule_id", "version"),)),
    Guard(
        "guard_directory_version_frozen",
        "directory_version",
        # Not of the content: whoever is to be forgotten is taken out of all versions.
        ("UPDATE OF version, created_us, actor",),
        "1 = 1",
        "a version of the directory stays what it is",
    ),
    _never("directory_version", "DELETE", unique=(("version",),)),
    _never("snapshot", "UPDATE", "DELETE", unique=(("period", "revision"),)),
    _never("period_close", "UPDATE", "DELETE", unique=(("period", "revision"),)),
    _never("audit", "UPDATE", "DELETE", unique=(("audit_id",),)),
    Guard(
        "guard_invoice_frozen",
        "invoice",
        ("UPDATE",),
        f"OLD.status <> 'draft' AND ({_changed(_FROZEN_INVOICE)})",
        "an issued invoice never changes but for its status and delivery",
    ),
    Guard(
        "guard_invoice_issued",
        "invoice",
        ("UPDATE",),
        "OLD.status = 'draft' AND NEW.status NOT IN ('draft', 'cancelled')"
        " AND (OLD.final <> 1 OR NEW.number IS NULL)",
        "only what a close has booked is issued, and with a number",
    ),
    Guard(
        "guard_invoice_ended",
        "invoice",
        ("UPDATE",),
        "NEW.status <> OLD.status AND (OLD.status IN ('paid', 'cancelled')"
        " OR NEW.status = 'draft')",
        "an issued invoice is no draft again, and one that is paid or cancelled stays so",
    ),
    Guard(
        "guard_invoice_kept",
        "invoice",
        ("DELETE",),
        "OLD.status <> 'draft'",
        "an issued invoice is never removed",
        unique=(
            ("invoice_id",),
            ("number",),
            ("receiver", "period", "revision", "ordinal"),
        ),
    ),
    Guard(
        "guard_invoice_line_insert",
        "invoice_line",
        ("INSERT",),
        _ISSUED_BEFORE,
        "lines are added only to drafts and by a close",
        per_statement=True,
    ),
    Guard(
        "guard_invoice_line_frozen",
        "invoice_line",
        ("UPDATE", "DELETE"),
        f"{_INVOICE_STATUS} <> 'draft'",
        "lines of an issued invoice never change",
        unique=(("invoice_id", "line"),),
    ),
    Guard(
        "guard_invoice_line_moved",
        "invoice_line",
        ("UPDATE",),
        "NEW.invoice_id <> OLD.invoice_id",
        "a line stays on its invoice",
    ),
    Guard(
        "guard_invoice_series_grows",
        "invoice_series",
        ("UPDATE",),
        "NEW.last < OLD.last OR NEW.period <> OLD.period",
        "an invoice number is never given out twice",
    ),
    _never("invoice_series", "DELETE"),
    Guard(
        "guard_outbox_frozen",
        "outbox",
        ("UPDATE",),
        _changed(_FROZEN_MESSAGE),
        "a message keeps its bytes, its id and its place",
    ),
    _never("outbox", "DELETE", unique=(("message_id",), ("ce_id",), ("key", "seq"))),
)
