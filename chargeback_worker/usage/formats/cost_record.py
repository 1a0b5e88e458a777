"""CostRecord: what CostTracker publishes for a call of a model.

Provider, model and token counts are not known here by name: like all else they become metadata.
"""

from chargeback_worker.usage.fields import MISSING, Fields
from chargeback_worker.usage.json_object import JsonObject


def read(event: JsonObject) -> Fields | None:
    """None where it has a `usage_id`, or nothing that only a CostRecord has.

    In a CloudEvent it may lack an id of its own; then the names of other fields give it away.
    """
    if event.get("usage_id") not in MISSING or (
        event.get("call_id") in MISSING
        and "total_tokens" not in event
        and "operation_type" not in event
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
