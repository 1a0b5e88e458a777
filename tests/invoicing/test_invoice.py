from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.invoicing.invoice import (
    TRANSITIONS,
    Status,
    allocation_id,
    invoice_id,
    invoice_number,
    read_number,
)
from chargeback_worker.period import Period

OCTOBER, NOVEMBER = Period(2025, 10), Period(2025, 11)
KEY = PartKey("default", 1, Pair("T1", "u1"), "query")


def test_numbers_have_at_least_four_digits() -> None:
    assert invoice_number(OCTOBER, 1) == "INV-202510-0001"
    assert invoice_number(OCTOBER, 12_345) == "INV-202510-12345"


def test_a_number_is_read_as_it_is_written() -> None:
    for period, n in ((Period(2026, 10), 1), (Period(2026, 1), 9_999), (Period(2026, 12), 10_000)):
        assert read_number(invoice_number(period, n)) == (period, n)
    for text in ("", "INV-202613-0001", "INV-202610-1", "DRAFT-202610-0001", "INV-202610-0001 "):
        assert read_number(text) is None


def test_ids_are_final() -> None:
    """Stored and published for ever: these may never come out otherwise."""
    assert invoice_id(Pair("T1"), OCTOBER, 1) == "2877fe27-bd98-5052-9922-8f9caccd9c5b"
    assert invoice_id(Pair("T1"), OCTOBER, 2) == "ec5c894a-e943-5c70-b181-2a31f49f48e2"
    assert allocation_id(OCTOBER, NOVEMBER, 1, KEY) == "691c1b7d-569f-5a0d-9036-d32310ea9b7e"


def test_every_fact_of_an_invoice_goes_into_its_id() -> None:
    ids = {
        invoice_id(Pair("T1"), OCTOBER, 1),
        invoice_id(Pair(None, "T1"), OCTOBER, 1),
        invoice_id(Pair("T1", "u1"), OCTOBER, 1),
        invoice_id(Pair("T1/user:u1"), OCTOBER, 1),
        invoice_id(Pair("T1"), NOVEMBER, 1),
        invoice_id(Pair("T1"), OCTOBER, 2),
        invoice_id(Pair("T1"), OCTOBER, 1, ordinal=1),
    }
    assert len(ids) == 7


def test_an_allocation_is_the_same_for_all_its_resource_types() -> None:
    other = KEY._replace(resource_type="compute")
    assert allocation_id(OCTOBER, OCTOBER, 1, KEY) == allocation_id(OCTOBER, OCTOBER, 1, other)


def test_every_fact_of_an_allocation_goes_into_its_id() -> None:
    ids = {
        allocation_id(OCTOBER, OCTOBER, 1, KEY),
        allocation_id(OCTOBER, NOVEMBER, 1, KEY),
        allocation_id(NOVEMBER, NOVEMBER, 1, KEY),
        allocation_id(OCTOBER, OCTOBER, 2, KEY),
        allocation_id(OCTOBER, OCTOBER, 1, KEY._replace(version=2)),
        allocation_id(OCTOBER, OCTOBER, 1, KEY._replace(rule_id="default@1")),
        allocation_id(OCTOBER, OCTOBER, 1, KEY._replace(pair=Pair("T1"))),
        allocation_id(OCTOBER, OCTOBER, 1, KEY._replace(pair=Pair("T1", ""))),
    }
    assert len(ids) == 8


def test_every_status_has_its_transitions_and_two_end() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert {status for status, after in TRANSITIONS.items() if not after} == {
        Status.PAID,
        Status.CANCELLED,
    }


def test_nothing_goes_back_and_all_unpaid_can_be_cancelled() -> None:
    for status, after in TRANSITIONS.items():
        assert status not in after
        assert Status.DRAFT not in after
        assert not after or Status.CANCELLED in after
