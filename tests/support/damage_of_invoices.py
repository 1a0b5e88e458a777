"""Damage done to what became of invoices after they were issued, and to drafts."""

from tests.support.damage import Damage, sql


def _of(number: str) -> str:
    return f"invoice_id = (SELECT invoice_id FROM invoice WHERE number = '{number}')"


_REPLACEMENT = _of("INV-202611-0005")

OF_INVOICES: dict[str, Damage] = {
    "a replacement bills another amount": Damage(
        sql(f"UPDATE invoice_line SET exact_whole = exact_whole + 1 WHERE {_REPLACEMENT}"),
        "replaced messages",
        "INV-202611-0005: what it bills",
    ),
    "a replacement names another invoice": Damage(
        sql("UPDATE invoice SET replaces = 'INV-202611-0003' WHERE number = 'INV-202611-0005'"),
        "replaced messages",
        "INV-202611-0005: replaces",
    ),
    "a cancelled invoice was never billed": Damage(
        sql("UPDATE invoice SET final = 0 WHERE number = 'INV-202611-0003'"),
        "rebuilt",
        "close 1 of 2026-11: invoices",
    ),
    "an invoice is paid and nobody was told": Damage(
        sql(
            "UPDATE invoice SET status = 'paid', paid_day = 20261203"
            " WHERE number = 'INV-202611-0004'"
        ),
        "messages",
        "INV-202611-0004: status",
    ),
    "a paid invoice has no day of payment": Damage(
        sql("UPDATE invoice SET paid_day = NULL WHERE number = 'INV-202611-0001'"),
        "invoices",
        "INV-202611-0001: paid date",
    ),
    "a line is taxed by another rate": Damage(
        sql(
            "UPDATE invoice_line SET tax_rate = 70000000"
            f" WHERE line = 1 AND {_of('INV-202610-0001')}"
        ),
        "invoices rebuilt messages",
        "INV-202610-0001: tax",
    ),
    "a draft is sent without being issued": Damage(
        sql("UPDATE invoice SET status = 'sent' WHERE status = 'draft'"),
        "invoices",
        "DRAFT-202612-7a804619-31f0: status",
    ),
    "a draft has a number": Damage(
        sql("UPDATE invoice SET number = 'INV-202612-0001' WHERE status = 'draft'"),
        "numbers",
        "INV-202612-0001",
    ),
    "a change of status says another one": Damage(
        sql(
            "UPDATE outbox SET payload = (SELECT payload FROM outbox o WHERE o.type"
            " = 'chargeback.invoice.issued.v1' AND o.invoice_id = outbox.invoice_id)"
            " WHERE type = 'chargeback.invoice.status_changed.v1'"
        ),
        "messages",
        "INV-202611-0001: status",
    ),
}
