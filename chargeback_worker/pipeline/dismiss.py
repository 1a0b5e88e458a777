"""Giving up on a quarantined event: its bytes are erased, its digest and reason stay."""

from chargeback_worker.store import Store, audit, quarantine
from chargeback_worker.store.audit import Act
from chargeback_worker.store.quarantine import Quarantined


def dismiss(store: Store, quarantine_id: int, act: Act) -> Quarantined:
    """Erase one held event. Raises ReasonMissing, QuarantineUnknown or AlreadyResolved."""
    act.require_reason("dismiss a quarantined event")
    with store.begin() as transaction:
        before = quarantine.get(transaction, quarantine_id)
        quarantine.dismiss(transaction, quarantine_id, act.now_us)
        audit.append(
            transaction,
            act,
            "dismiss",
            f"quarantine:{quarantine_id}",
            before={"state": before.state.value, "reason": before.reason},
            after={"state": quarantine.Held.DISMISSED.value},
        )
        return quarantine.get(transaction, quarantine_id)
