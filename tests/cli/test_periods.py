"""How every month stands: what it waits for, and where its money is."""

from tests.support.command import Command

WHAT_IS_SHOWN = {
    "state": "State",
    "due_at": "Due",
    "waits_for": "Waits for",
    "revision": "Revision",
    "booked_usd": "Booked USD",
    "invoiced_usd": "Invoiced USD",
    "uninvoiced_usd": "Uninvoiced USD",
    "unallocated_usd": "Unallocated USD",
    "late_records": "Late records",
}


def test_each_month_is_shown_with_its_state_and_its_money(two_months: Command) -> None:
    """Of September 8 is booked, and the invoice of it was cancelled."""
    two_months.ok("invoices", "status", "INV-202609-0001", "cancelled", "--reason", "wrong")
    following, closed = two_months.ok("periods", "-o", "json").json["periods"]
    assert {name: closed[name] for name in WHAT_IS_SHOWN} == {
        "state": "closed",
        "due_at": "2026-10-03T00:00:00Z",
        "waits_for": ["3 messages to be published"],
        "revision": "1",
        "booked_usd": "8",
        "invoiced_usd": "0",
        "uninvoiced_usd": "8",
        "unallocated_usd": "0",
        "late_records": "0",
    }
    assert (following["period"], following["late_records"]) == ("2026-10", "1")


def test_people_and_spreadsheets_see_the_same(two_months: Command) -> None:
    table, csv = (two_months.ok("periods", "-o", form).out for form in ("table", "csv"))
    heading = next(line for line in table.splitlines() if "Period" in line)
    assert [words for words in WHAT_IS_SHOWN.values() if words not in heading] == []
    assert set(WHAT_IS_SHOWN) <= set(csv.splitlines()[0].split(","))
