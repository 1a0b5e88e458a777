"""Kinds of damage to records, keys, totals, cursors and what was kept apart."""

from tests.support.damage import Damage, sql

_RECORD = "usage_id = 'oct-3'"
_KEY = f"identity = (SELECT identity FROM usage_record WHERE {_RECORD})"
_TOTAL = "total_key = (SELECT total_key FROM usage_record WHERE usage_id = '11-3')"
_CURSOR = "kind = 'topic' AND partition = 0"

OF_USAGE: dict[str, Damage] = {
    "a record is deleted": Damage(
        sql(f"DELETE FROM usage_record WHERE {_RECORD}"), "keys totals tallies booked"
    ),
    "a record costs something else": Damage(
        sql(f"UPDATE usage_record SET cost_nano = cost_nano + 1 WHERE {_RECORD}"),
        "records totals booked",
        "'oct-3': content",
    ),
    "a record is another team's": Damage(
        sql(f"UPDATE usage_record SET team_id = 'Z' WHERE {_RECORD}"),
        "records",
        "'oct-3': content",
    ),
    "a record has another id": Damage(
        sql(f"UPDATE usage_record SET usage_id = 'other' WHERE {_RECORD}"),
        "records",
        "'other': identity",
    ),
    "a record is of another day": Damage(
        sql(f"UPDATE usage_record SET day = 20261031 WHERE {_RECORD}"),
        "records",
        "'oct-3': billing day",
    ),
    "a record is billed in another period": Damage(
        sql(f"UPDATE usage_record SET period = 202612 WHERE {_RECORD}"),
        "records booked",
        "'oct-3': billing period",
    ),
    "a record is put into another total": Damage(
        sql(
            "UPDATE usage_record SET total_key = (SELECT total_key FROM usage_record"
            f" WHERE usage_id = 'oct-4') WHERE {_RECORD}"
        ),
        "records totals",
        "'oct-3': total key",
    ),
    "a record is there twice": Damage(
        sql(f"INSERT INTO usage_record SELECT * FROM usage_record WHERE {_RECORD}"),
        "keys totals tallies places booked",
    ),
    "a record and its key are deleted": Damage(
        sql(
            f"DELETE FROM usage_key WHERE {_KEY}",
            f"DELETE FROM usage_record WHERE {_RECORD}",
        ),
        "totals tallies booked",
    ),
    "a key is deleted": Damage(
        sql(f"DELETE FROM usage_key WHERE {_KEY}"), "records", "'oct-3': its key"
    ),
    "a key has other content": Damage(
        sql(f"UPDATE usage_key SET content = identity WHERE {_KEY}"),
        "records",
        "'oct-3': content",
    ),
    "a total is changed": Damage(
        sql(f"UPDATE usage_total SET cost_nano = cost_nano + 1 WHERE {_TOTAL}"),
        "totals settlement",
        "compute: cost",
    ),
    "a total's quantity is changed": Damage(
        sql(f"UPDATE usage_total SET quantity_whole = quantity_whole + 1 WHERE {_TOTAL}"),
        "totals settlement",
        "compute: quantity",
    ),
    "a total's count is changed": Damage(
        sql(f"UPDATE usage_total SET records = records + 1 WHERE {_TOTAL}"),
        "totals settlement",
        "compute: records",
    ),
    "a total is deleted": Damage(
        sql(f"DELETE FROM usage_total WHERE {_TOTAL}"), "totals settlement", "total "
    ),
    "a total loses its records": Damage(
        sql("UPDATE usage_record SET total_key = identity WHERE usage_id = 'open'"),
        "records totals",
        "total of 2026-12",
    ),
    "a total is another team's": Damage(
        sql(f"UPDATE usage_total SET team_id = 'Z' WHERE {_TOTAL}"),
        "totals settlement",
        "compute: key",
    ),
    "an offset is moved on": Damage(
        sql(f"UPDATE ingest_cursor SET next_position = next_position + 1 WHERE {_CURSOR}"),
        "tallies",
        "usage-events:0: positions",
    ),
    "an offset is moved back": Damage(
        sql(f"UPDATE ingest_cursor SET next_position = next_position - 1 WHERE {_CURSOR}"),
        "tallies places",
        "usage-events:0: positions",
    ),
    "an offset and its tally are moved back": Damage(
        sql(
            "UPDATE ingest_cursor SET next_position = next_position - 1, accepted = accepted - 1"
            f" WHERE {_CURSOR}"
        ),
        "tallies places",
        "usage-events:0: accepted",
    ),
    "the first position is moved": Damage(
        sql(
            "UPDATE ingest_cursor SET first_position = first_position + 1,"
            f" accepted = accepted - 1 WHERE {_CURSOR}"
        ),
        "tallies places",
        "usage-events:0: accepted",
    ),
    "a tally is changed": Damage(
        sql(f"UPDATE ingest_cursor SET duplicate = duplicate + 1 WHERE {_CURSOR}"),
        "tallies",
        "usage-events:0: positions",
    ),
    "the tally of the replay is changed": Damage(
        sql("UPDATE ingest_cursor SET duplicate = 1 WHERE kind = 'replay'"),
        "tallies",
        "the replay: duplicate",
    ),
    "a cursor is deleted": Damage(
        sql("DELETE FROM ingest_cursor WHERE kind = 'file'"), "places", "cursor "
    ),
    "two events stand at one position": Damage(
        sql(
            "UPDATE usage_record SET position = (SELECT position FROM usage_record"
            f" WHERE usage_id = 'oct-4') WHERE {_RECORD}"
        ),
        "places",
        "usage-events:0, ",
    ),
    "a quarantined event is removed": Damage(
        sql("DELETE FROM quarantine WHERE quarantine_id = 1"),
        "tallies",
        "usage-events:0: quarantined",
    ),
    "a quarantined event holds other bytes": Damage(
        sql(
            "UPDATE quarantine SET payload = (SELECT payload FROM quarantine"
            " WHERE quarantine_id = 3) WHERE quarantine_id = 1"
        ),
        "quarantine",
        "quarantined event 1: digest",
    ),
    "a quarantined event holds nothing": Damage(
        sql("UPDATE quarantine SET payload = NULL WHERE quarantine_id = 1"),
        "quarantine",
        "quarantined event 1",
    ),
    "a held event is called replayed": Damage(
        sql(
            "UPDATE quarantine SET state = 'replayed', outcome = 'accepted' WHERE quarantine_id = 1"
        ),
        "tallies",
        "the replay: accepted",
    ),
    "a conflict is removed": Damage(
        sql("DELETE FROM usage_conflict"), "tallies", "usage-events:0: conflict"
    ),
    "a conflict names another event": Damage(
        sql("UPDATE usage_conflict SET usage_id = 'oct-1'"), "conflicts", "identity"
    ),
    "a conflict is none": Damage(
        sql(
            "UPDATE usage_conflict SET content = (SELECT content FROM usage_key"
            " WHERE usage_key.identity = usage_conflict.identity)"
        ),
        "conflicts",
    ),
}
