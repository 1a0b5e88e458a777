import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.invoice import Invoice, Status
from chargeback_worker.invoicing.message import (
    MessageType,
    OutboxMessage,
    PeriodClosed,
    Told,
    issued,
    period_closed,
    status_changed,
    told,
)
from chargeback_worker.money import NANO
from chargeback_worker.period import Period
from tests.support.pure_ledger import Ledger, usage

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def an_invoice() -> Invoice:
    ledger = Ledger()
    ledger.ingest([usage(NANO, team="Tü")])
    (invoice,) = ledger.close(Period(2025, 10), Snapshot()).invoices
    return invoice


def test_an_issued_message_says_sent_to_whoever_reads_it() -> None:
    invoice = replace(an_invoice(), published_at=NOW)
    value = json.loads(issued(invoice, 1, NOW).payload)
    assert (value["status"], value["published_at"]) == ("sent", None)
    assert value["invoice_id"] == invoice.invoice_id


def test_its_headers_are_a_cloudevent_and_its_place_in_the_order() -> None:
    invoice = an_invoice()
    message = issued(invoice, 7, NOW)
    assert message.key == "team:Tü"
    assert message.seq == 7
    assert message.headers == (
        ("ce_specversion", "1.0"),
        ("ce_id", f"{invoice.invoice_id}:7"),
        ("ce_type", "chargeback.invoice.issued.v1"),
        ("ce_source", "/chargeback"),
        ("ce_time", "2026-01-02T03:04:05.678000Z"),
        ("content-type", "application/json"),
        ("seq", "7"),
    )
    assert message.ce_id == dict(message.headers)["ce_id"]


def test_a_changed_status_is_told_as_it_is() -> None:
    message = status_changed(replace(an_invoice(), status=Status.PAID), 2, NOW)
    assert message.type is MessageType.INVOICE_STATUS_CHANGED
    assert json.loads(message.payload)["status"] == "paid"


def test_a_closed_period_is_told_under_its_own_key() -> None:
    closed = PeriodClosed(
        Period(2025, 10),
        revision=2,
        invoices=3,
        subtotal=12_340_000_000,
        uninvoiced=0,
        unallocated=-10_000_000,
        awaiting_approval=0,
        closed_at=NOW,
    )
    message = period_closed(closed, 2)
    assert (message.ce_id, message.key, message.seq) == ("2025-10:2", "2025-10", 2)
    assert message.payload == (
        b'{"period":"2025-10","revision":2,"invoices":3,"subtotal_usd":12.34,"uninvoiced_usd":0,'
        b'"unallocated_usd":-0.01,"awaiting_approval":0,"closed_at":"2026-01-02T03:04:05.678000Z"}'
    )


def test_a_close_that_follows_closes_nobody_here_knows_has_an_id_of_its_own() -> None:
    closed = PeriodClosed(Period(2025, 10), 1, 0, 0, 0, 0, 0, closed_at=NOW)
    ids = [period_closed(closed, seq).ce_id for seq in (1, 2, 3)]
    assert ids == ["2025-10:1", "2025-10:1:2", "2025-10:1:3"]
    assert told(_sent(period_closed(closed, 3))) == Told("2025-10:1:3", 3, None)


def test_a_message_on_the_topic_says_which_it_is() -> None:
    message = issued(an_invoice(), 7, NOW)
    assert told(_sent(message)) == Told(message.ce_id, 7, an_invoice().invoice_id)


@pytest.mark.parametrize("change", [("ce_source", b"/else"), ("seq", b"x"), ("seq", b"9" * 19)])
def test_what_others_wrote_is_none_of_ours(change: tuple[str, bytes]) -> None:
    headers = dict(_sent(issued(an_invoice(), 7, NOW)))
    assert told({**headers, change[0]: change[1]}.items()) is None
    assert told(()) is None


def _sent(message: OutboxMessage) -> list[tuple[str, bytes | None]]:
    return [(name, text.encode()) for name, text in message.headers]
