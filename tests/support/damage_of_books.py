"""Kinds of damage to periods, bookings, invoices and messages."""

from tests.support.damage import Damage, payload, sql

_FIRST = "number = 'INV-202610-0001'"
_ID = f"invoice_id = (SELECT invoice_id FROM invoice WHERE {_FIRST})"
_LINE = f"line = 1 AND {_ID}"
_BOOKING = (
    "allocation_id = (SELECT min(allocation_id) FROM booking"
    " WHERE billing_period = 202610 AND team_id = 'A')"
)

OF_BOOKS: dict[str, Damage] = {
    "a period is put back to open": Damage(
        sql("UPDATE billing_period SET state = 'open' WHERE period = 202610"),
        "periods booked",
        "2026-10 (open)",
    ),
    "a period is closed by hand": Damage(
        sql("UPDATE billing_period SET state = 'closed' WHERE period = 202612"),
        "periods booked settlement",
        "2026-12 (closed)",
    ),
    "a period ends at another time": Damage(
        sql("UPDATE billing_period SET ends_us = ends_us + 1 WHERE period = 202610"),
        "periods",
        "2026-10: its end",
    ),
    "a period is deleted": Damage(
        sql("DELETE FROM billing_period WHERE period = 202610"), "periods booked", "2026-10"
    ),
    "a close is deleted": Damage(
        sql("DELETE FROM period_close WHERE period = 202610"),
        "periods snapshots booked messages",
        "2026-10 (closed): its closes",
    ),
    "a close says another sum": Damage(
        sql("UPDATE period_close SET booked_whole = booked_whole + 1 WHERE period = 202610"),
        "booked rebuilt",
        "booked by close 1 of 2026-10",
    ),
    "a close is not in the audit": Damage(
        sql("DELETE FROM audit WHERE subject = 'period:2026-10'"),
        "periods",
        "2026-10: closes in the audit",
    ),
    "a snapshot is altered": Damage(
        sql("UPDATE snapshot SET content = replace(content, 'UTC', 'GMT') WHERE period = 202610"),
        "snapshots",
        "snapshot of 2026-10, close 1: digest",
    ),
    "a snapshot bills someone else": Damage(
        sql(
            "UPDATE snapshot SET content = replace(content, '\"team\"', '\"user\"')"
            " WHERE period = 202610"
        ),
        "snapshots bookings rebuilt",
        "receiver",
    ),
    "a snapshot cannot be read": Damage(
        sql("UPDATE snapshot SET content = '{' WHERE period = 202610"),
        "snapshots",
        "snapshot of 2026-10, close 1",
    ),
    "a snapshot is lost": Damage(
        sql("DELETE FROM snapshot WHERE period = 202610"),
        "snapshots",
        "snapshot of 2026-10, close 1",
    ),
    "a version of a rule is altered": Damage(
        sql("UPDATE rule_version SET content = replace(content, '1000', '999') WHERE version = 1"),
        "rules",
        "rent@1 in the snapshot of 2026-10, close 1",
    ),
    "a rule that no close has used is altered": Damage(
        sql("UPDATE rule_version SET content = replace(content, 'by_user', 'by_team')"),
        "rules",
        "later@1: as it was written",
    ),
    "a version of a rule is said to be of somebody else": Damage(
        sql("UPDATE rule_version SET actor = 'eve' WHERE rule_id = 'later'"),
        "rules",
        "later@1: as it was written",
    ),
    "a rule is added by hand": Damage(
        sql(
            "INSERT INTO rule_version (rule_id, version, content, created_us, actor)"
            " SELECT 'zz', version, replace(content, '\"later\"', '\"zz\"'), created_us, actor"
            " FROM rule_version WHERE rule_id = 'later'"
        ),
        "rules",
        "rule zz: its versions",
    ),
    "a version of a rule is put under another id": Damage(
        sql("UPDATE rule_version SET rule_id = 'zz' WHERE rule_id = 'later'"),
        "rules",
        "the stored rules",
    ),
    "a version of a rule is lost": Damage(
        sql("DELETE FROM rule_version WHERE rule_id = 'people' AND version = 1"),
        "rules",
        "rule people: its versions",
    ),
    "a version of a rule cannot be read": Damage(
        sql("UPDATE rule_version SET content = '{' WHERE rule_id = 'rent'"),
        "rules",
        "the stored rules",
    ),
    "the directory is altered": Damage(
        sql("UPDATE directory_version SET content = replace(content, '\"x\"', '\"w\"')"),
        "rules",
        "directory 1 of 2026-10, close 1",
    ),
    "the directory is lost": Damage(
        sql("DELETE FROM directory_version"), "rules", "directory 1 of 2026-10, close 1"
    ),
    "a booking is altered": Damage(
        sql(f"UPDATE booking SET cost_nano = cost_nano + 1 WHERE {_BOOKING}"),
        "booked settlement rebuilt",
        "booked in 2026-10",
    ),
    "a booking goes to another team": Damage(
        sql(f"UPDATE booking SET team_id = 'Z' WHERE {_BOOKING}"),
        "bookings settlement rebuilt",
        "2026-10: rent@1, team:Z",
    ),
    "a booking has another receiver": Damage(
        sql(f"UPDATE booking SET receiver = 'team:Z' WHERE {_BOOKING}"), "bookings", "receiver"
    ),
    "a booking has another share": Damage(
        sql("UPDATE booking SET share = '1/7' WHERE share IS NOT NULL AND billing_period = 202611"),
        "settlement",
        ": share",
    ),
    "a booking counts another record": Damage(
        sql("UPDATE booking SET records = records + 1 WHERE billing_period = 202611"),
        "settlement",
        ": records",
    ),
    "a booking is lost": Damage(
        sql(f"DELETE FROM booking WHERE {_BOOKING}"),
        "booked settlement rebuilt",
        "booked for 2026-10",
    ),
    "an adjustment is lost": Damage(
        sql("DELETE FROM booking WHERE billing_period = 202611 AND origin_period = 202610"),
        "booked settlement rebuilt",
        "booked for 2026-10",
    ),
    "two bookings are altered and their sum is not": Damage(
        sql(
            "UPDATE booking SET cost_whole = cost_whole + 1 WHERE billing_period = 202610"
            " AND team_id = 'A' AND user_id = 'z' AND resource_type = 'query'",
            "UPDATE booking SET cost_whole = cost_whole - 1 WHERE billing_period = 202610"
            " AND team_id = 'B' AND user_id = 'z' AND resource_type = 'query'",
        ),
        "settlement rebuilt",
        "2026-10: rent@1, team:A/user:z, query",
    ),
    "an invoice line is altered": Damage(
        sql(f"UPDATE invoice_line SET total_price_whole = total_price_whole + 1 WHERE {_LINE}"),
        "invoices rebuilt messages",
        "INV-202610-0001, line 1: total_price",
    ),
    "an invoice line's exact cost is altered": Damage(
        sql(f"UPDATE invoice_line SET exact_whole = exact_whole + 1 WHERE {_LINE}"),
        "rebuilt messages",
        "INV-202610-0001, line 1: exact",
    ),
    "an invoice line's text is altered": Damage(
        sql(f"UPDATE invoice_line SET description = 'a gift' WHERE {_LINE}"),
        "messages",
        "message of INV-202610-0001: line_items",
    ),
    "an invoice line is lost": Damage(
        sql(f"DELETE FROM invoice_line WHERE {_LINE}"),
        "invoices rebuilt messages",
        "INV-202610-0001: lines",
    ),
    "an invoice total is changed": Damage(
        sql(f"UPDATE invoice SET total_whole = total_whole + 1 WHERE {_FIRST}"),
        "invoices rebuilt messages",
        "INV-202610-0001: total",
    ),
    "an invoice's total and tax are changed": Damage(
        sql(
            "UPDATE invoice SET total_whole = total_whole + 1, tax_whole = tax_whole + 1"
            f" WHERE {_FIRST}"
        ),
        "invoices rebuilt messages",
        "INV-202610-0001: tax",
    ),
    "an invoice goes to another team": Damage(
        sql(f"UPDATE invoice SET team_id = 'Z', receiver = 'team:Z' WHERE {_FIRST}"),
        "invoices rebuilt messages",
        "INV-202610-0001: id",
    ),
    "an invoice is due later": Damage(
        sql(f"UPDATE invoice SET due_day = 20301231 WHERE {_FIRST}"),
        "rebuilt messages",
        "INV-202610-0001: due_date",
    ),
    "an invoice has no known status": Damage(
        sql(f"UPDATE invoice SET status = 'forgotten' WHERE {_FIRST}"),
        "invoices rebuilt replaced messages",
        "INV-202610-0001: status",
    ),
    "a sent invoice is pending again": Damage(
        sql(f"UPDATE invoice SET status = 'pending' WHERE {_FIRST}"),
        "messages",
        "INV-202610-0001: status",
    ),
    "an invoice number is skipped": Damage(
        sql("UPDATE invoice SET number = 'INV-202610-0009' WHERE number = 'INV-202610-0002'"),
        "numbers rebuilt messages",
        "INV-202610-0002",
    ),
    "a number is given out to nobody": Damage(
        sql("UPDATE invoice_series SET last = last + 1 WHERE period = 202610"),
        "numbers",
        "INV-202610-",
    ),
    "a series of numbers is lost": Damage(
        sql("DELETE FROM invoice_series WHERE period = 202610"), "numbers", "INV-202610-0001"
    ),
    "an invoice is lost": Damage(
        sql(f"DELETE FROM invoice_line WHERE {_ID}", f"DELETE FROM invoice WHERE {_FIRST}"),
        "numbers rebuilt messages",
        "INV-202610-0001",
    ),
    "an invoice is lost and its lines are not": Damage(
        sql(f"DELETE FROM invoice WHERE {_FIRST}"),
        "invoices numbers rebuilt messages",
        "lines of ",
    ),
    "a message says another amount": Damage(
        payload(b'"total_usd":', b'"total_usd":1'), "messages", ": total_usd"
    ),
    "a message says the same in other bytes": Damage(
        payload(b'":', b'": '), "messages", "message of "
    ),
    "a message lacks what it must say": Damage(
        payload(b'"total_usd"', b'"sum_usd"'), "messages", ": total_usd"
    ),
    "a message cannot be read": Damage(payload(b"{", b""), "messages", "message of "),
    "a message is lost": Damage(
        sql(f"DELETE FROM outbox WHERE {_ID}"),
        "messages order",
        "INV-202610-0001: message",
    ),
    "the message of a close is lost": Damage(
        sql("DELETE FROM outbox WHERE key = '2026-10'"),
        "messages order",
        "close 1 of 2026-10: message",
    ),
    "a message is marked as not published": Damage(
        sql(f"UPDATE outbox SET published_us = NULL WHERE {_ID}"),
        "messages order",
        "message of INV-202610-0001: published",
    ),
    "a number of a message is skipped": Damage(
        sql("UPDATE outbox SET seq = seq + 5 WHERE key = 'team:A' AND seq = 2"),
        "messages order",
        "messages to team:A",
    ),
    "a sequence of messages is lost": Damage(
        sql("DELETE FROM outbox_sequence WHERE key = 'team:A'"), "order", "messages to team:A"
    ),
}
