"""What a consumer of the invoices topic may rely on, whatever happened to the books behind it."""

from collections.abc import Sequence

import msgspec

from chargeback_worker.broker import Message
from chargeback_worker.invoicing.message import told
from tests.support.topic_shapes import require_described


def assert_consistent(messages: Sequence[Message]) -> None:
    """An id and a place in a key's order is one message, and a number one invoice, for ever."""
    require_described(messages)
    by_id: dict[str, bytes | None] = {}
    by_place: dict[tuple[bytes | None, int], str] = {}
    numbered: dict[str, bytes | None] = {}
    reached: dict[bytes | None, int] = {}
    for message in messages:
        said = told(message.headers)
        assert said is not None
        assert by_id.setdefault(said.ce_id, message.value) == message.value, said.ce_id
        place = (message.key, said.seq)
        assert by_place.setdefault(place, said.ce_id) == said.ce_id, place
        # Repeats may come at any time; what is new follows what is there.
        assert said.seq <= reached.get(message.key, 0) + 1, place
        reached[message.key] = max(said.seq, reached.get(message.key, 0))
        if dict(message.headers)["ce_type"] == b"chargeback.invoice.issued.v1":
            number = msgspec.json.decode(message.value or b"")["invoice_number"]
            assert numbered.setdefault(number, message.value) == message.value, number


def last_told(messages: Sequence[Message]) -> dict[str, str]:
    """The status of each invoice, as who goes by `seq` knows it."""
    statuses: dict[str, tuple[int, str]] = {}
    for message in messages:
        said = told(message.headers)
        assert said is not None
        if said.invoice_id is not None:
            status = msgspec.json.decode(message.value or b"")["status"]
            known = statuses.get(said.invoice_id, (0, ""))
            statuses[said.invoice_id] = max(known, (said.seq, status))
    return {invoice_id: status for invoice_id, (_, status) in statuses.items()}
