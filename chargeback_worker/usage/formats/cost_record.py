"""CostRecord: what CostTracker publishes for a call of a model.

Provider, model and token counts are not known here by name: like all else they become metadata.
"""

from chargeback_worker.usage.fields import MISSING, Fields
from chargeback_worker.usage.json_object import JsonObject


def read(event: JsonObject) -> Fields | None:
    """None where it has a `usage_id`, or nothing that only a CostRecord has.

    In a CloudEvent, and over HTTP, it may lack an id of its own; then the names of other fields
    give it away.
    """
    if event.get("usage_id") not in MISSING or (
        event.get("call_id") in MISSING and not _told_by_other_fields(event)
    ):
        return None
    take = event.pop
    return Fields(
        take("call_id", None),
        take("timestamp", None),
        take("team_id", None),
        take("user_id", None),
        take("agent_id", None),
        take("operation_type", None),
        take("resource_id", None),
        take("total_tokens", None),
        take("cost_usd", None),
        take("metadata", None),
        event,
    )


def _told_by_other_fields(event: JsonObject) -> bool:
    # A UsageRecord may bring any besides its own, whose amounts they must not displace.
    return ("total_tokens" in event or "operation_type" in event) and (
        event.get("resource_type") in MISSING and event.get("quantity") is None
    )
