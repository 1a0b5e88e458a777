"""UsageRecord: the record of the project's summary."""

from chargeback_worker.usage.fields import Fields
from chargeback_worker.usage.json_object import JsonObject


def read(event: JsonObject) -> Fields:
    """It takes every event, so that one without any known field is refused for what it lacks."""
    take = event.pop
    return Fields(
        take("usage_id", None),
        take("timestamp", None),
        take("team_id", None),
        take("user_id", None),
        take("agent_id", None),
        take("resource_type", None),
        take("resource_id", None),
        take("quantity", None),
        take("cost_usd", None),
        take("metadata", None),
        event,
    )
