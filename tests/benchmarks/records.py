"""Stored records behind the totals of a month, made by the server itself.

They add up to their totals, so that the month could be recomputed from them. There are no keys and
no positions, which no report reads.
"""

import sqlalchemy as sa

from chargeback_worker.store import Store
from tests.benchmarks.child import Found

_RECORDS = """
INSERT INTO usage_record (
    identity, total_key, period, day, time_us, cost_nano, quantity_whole, quantity_nano,
    cursor_id, position, received_us, source, usage_id, team_id, user_id, agent_id,
    resource_type, labels)
SELECT
    md5(total_key::text || number)::uuid, total_key, period, day,
    extract(epoch FROM to_date(day::text, 'YYYYMMDD'))::bigint * 1000000,
    (cost_whole * 1000000000 + cost_nano) / :records, quantity_whole / :records, 0,
    0, 0, 0, '', md5(total_key::text || number), team_id, user_id, agent_id,
    resource_type, labels
FROM usage_total, generate_series(1, CAST(:records AS int)) AS number
"""


def put(url: str, records: int) -> Found:
    """So many behind each total of a database that holds totals of as many."""
    store = Store(url)
    autocommit = store.engine.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection:
        stored = connection.execute(sa.text(_RECORDS), {"records": records}).rowcount
        wrong = connection.exec_driver_sql(
            "SELECT count(*) FROM usage_total AS t JOIN (SELECT total_key, count(*) AS records,"
            " sum(cost_nano) AS cost FROM usage_record GROUP BY total_key) AS r USING (total_key)"
            " WHERE t.records <> r.records OR t.cost_whole * 1000000000 + t.cost_nano <> r.cost"
        ).scalar_one()
        connection.exec_driver_sql("VACUUM ANALYZE usage_record")
        connection.exec_driver_sql("CHECKPOINT")
    store.close()
    assert wrong == 0, f"{wrong} totals are not those of their records"
    return {"records": stored}
