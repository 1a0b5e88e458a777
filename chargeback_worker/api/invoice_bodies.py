"""The bodies of invoices: who is to be billed for what, and what an invoice is to become."""

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Requested
from chargeback_worker.allocation.writing.faults import FaultKind
from chargeback_worker.allocation.writing.place import Place
from chargeback_worker.allocation.writing.values import fraction
from chargeback_worker.api.bodies import Fields
from chargeback_worker.api.parameters import range_of
from chargeback_worker.invoicing.invoice import Status
from chargeback_worker.period import Period
from chargeback_worker.pipeline.create_invoice import DUE_DAYS_MAX

_INVOICE = (
    "team_id",
    "user_id",
    "period",
    "period_start",
    "period_end",
    "tax_rate",
    "due_days",
)


def asked_invoice(body: bytes) -> tuple[Period, Requested]:
    """Raises BodyUnreadable, BodyRefused, ParameterRefused, and NotOnePeriod."""
    fields = Fields.read(body, _INVOICE)
    receiver = Pair(fields.text("team_id") or None, fields.text("user_id") or None)
    bounds = [fields.text(name) for name in ("period", "period_start", "period_end")]
    rate = fields.get("tax_rate", fraction)
    days = fields.whole("due_days", DUE_DAYS_MAX)
    if days is not None and days < 0:
        fields.given["due_days"].refuse(FaultKind.OUT_OF_RANGE, "must not be negative")
    fields.end()
    return range_of(*bounds).period(), Requested(receiver, rate, days)


def asked_status(body: bytes) -> tuple[Status, str | None]:
    """Raises BodyUnreadable, and BodyRefused."""
    fields = Fields.read(body, ("status", "reason"))
    fields.require("status", f"is missing; it is one of {', '.join(Status)}")
    found = fields.get("status", _status)
    reason = fields.text("reason")
    fields.end()
    assert found is not None
    return found, reason


def _status(place: Place) -> Status | None:
    if isinstance(place.value, str) and place.value in list(Status):
        return Status(place.value)
    place.refuse(FaultKind.NOT_ONE_OF, f"must be one of {', '.join(Status)}")
    return None
