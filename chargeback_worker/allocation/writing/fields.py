"""Which fields a written rule has, and where each of them belongs."""

from chargeback_worker.allocation.writing.match import MATCH_FIELDS

METADATA = "allocation_metadata"
FIELDS = (
    "rule_id",
    "name",
    "description",
    "rule_type",
    "enabled",
    "priority",
    "effective_from",
    "effective_to",
    "team_id",
    "user_ids",
    "split_percentages",
    METADATA,
)
METADATA_FIELDS = ("match", "receivers", "entity_type", "driver", "driver_match")
IGNORED = (
    "version",
    "created_at",
    "updated_at",
    "deleted",
    "warnings",
    "resolved",
    "in_words",
)
"""What a rule is shown with besides its fields, so that it can be written again as it is shown."""
IN_METADATA = dict.fromkeys(METADATA_FIELDS, f"under {METADATA}")
IN_MATCH = dict.fromkeys(MATCH_FIELDS, f"under {METADATA}.match")
BESIDE = dict.fromkeys(FIELDS, f"beside {METADATA}, not in it")
"""Where a field belongs that stands somewhere else."""
