"""From the first draft of an invoice to its replacement, and a corrected month, by commands."""

import json
from typing import Any

import pytest

from tests.support.command import Command

_DAYS = {"a": ("2026-09-03", "A", "ada", "10"), "b": ("2026-09-04", "A", "bob", "20.004")}


def _event(usage_id: str, day: str, team: str, user: str, cost: str) -> bytes:
    event = {
        "usage_id": usage_id,
        "timestamp": f"{day}T12:00:00Z",
        "team_id": team,
        "user_id": user,
        "cost_usd": cost,
    }
    return json.dumps(event).encode() + b"\n"


@pytest.fixture
def used(chargeback: Command) -> Command:
    events = b"".join(_event(name, *facts) for name, facts in _DAYS.items())
    chargeback.ok("ingest", "-", stdin=events)
    return chargeback


def _create(chargeback: Command, *options: str) -> dict[str, Any]:
    arguments = ("invoices", "create", "--period", "2026-09", *options, "-o", "json")
    found: dict[str, Any] = chargeback.ok(*arguments).json["invoice"]
    return found


def test_a_share_is_billed_apart_from_the_first_draft_on(used: Command) -> None:
    draft = _create(used, "--user", "ada", "--tax-rate", "0.19", "--due-days", "7")

    assert draft["invoice_number"].startswith("DRAFT-202609-")
    assert (draft["status"], draft["due_date"]) == ("draft", None)
    assert (draft["subtotal_usd"], draft["tax_usd"], draft["total_usd"]) == ("10", "1.9", "11.9")
    assert _create(used, "--team", "A")["subtotal_usd"] == "20"

    used.ok("close", "2026-09")
    shown = used.ok("invoices", "show", draft["invoice_number"], "-o", "json").json["invoice"]
    assert shown["invoice_id"] == draft["invoice_id"]
    assert (shown["invoice_number"], shown["total_usd"]) == ("INV-202609-0002", "11.9")
    again = used.ok("invoices", "create", "--period", "2026-09", "--user", "ada")
    assert "billed to user:ada before; nothing was changed" in again.err


def test_an_invoice_is_cancelled_with_a_reason_and_replaced(used: Command) -> None:
    used.ok("close", "2026-09")

    refused = used("invoices", "status", "INV-202609-0001", "cancelled")
    assert refused.code == 2
    assert "a reason is required" in refused.err
    used.ok("invoices", "status", "INV-202609-0001", "cancelled", "--reason", "wrong address")
    (month,) = used.ok("periods", "-o", "json").json["periods"]
    assert (month["invoiced_usd"], month["uninvoiced_usd"]) == ("0", "30")
    assert "30.00 USD of 2026-09, close 1, is on no invoice" in used.ok("verify").out

    replacement = _create(used, "--team", "A")
    assert replacement["invoice_number"] == "INV-202609-0002"
    assert replacement["replaces"] == "INV-202609-0001"
    assert "It replaces INV-202609-0001" in used.ok("invoices", "show", "INV-202609-0002").out
    (month,) = used.ok("periods", "-o", "json").json["periods"]
    assert (month["invoiced_usd"], month["uninvoiced_usd"]) == ("30", "0")
    actions = [row["action"] for row in used.ok("audit", "-o", "json").json["audit"]]
    assert actions == ["invoice.replace", "invoice.status", "close"]


def test_a_status_that_does_not_follow_is_refused_and_names_what_does(used: Command) -> None:
    used.ok("close", "2026-09")

    paid = used.ok("invoices", "status", "INV-202609-0001", "paid", "-o", "json").json
    assert paid["message"] == "INV-202609-0001 is paid now; it was pending."
    assert paid["invoice"]["paid_date"] is not None
    refused = used("invoices", "status", "INV-202609-0001", "sent")
    assert refused.code == 5
    assert "INV-202609-0001 is paid and stays what it is, not sent." in refused.err
    unknown = used("invoices", "status", "INV-202609-0001", "payed")
    assert unknown.code == 2
    assert "One of: draft, pending, sent, paid, overdue, cancelled." in unknown.err
    same = used.ok("invoices", "status", "INV-202609-0001", "paid")
    assert "was paid before; nothing was changed" in same.err


def test_drafts_wait_for_approval_where_a_person_approves(used: Command) -> None:
    manual = used.having("--set", "billing.approval=manual")
    manual.ok("close", "2026-09")

    (month,) = manual.ok("periods", "-o", "json").json["periods"]
    assert month["awaiting_approval"] == "1"
    assert month["waits_for"][0] == "approval of 1 draft"
    refused = manual("reopen", "2026-09", "--reason", "a look")
    assert refused.code == 5
    assert "2026-09 has 1 draft to be approved" in refused.err
    (draft,) = manual.ok("invoices", "list", "--status", "draft", "-o", "json").json["invoices"]
    name = draft["invoice_number"]
    issued = manual.ok("invoices", "status", name, "sent", "-o", "json").json["invoice"]
    assert (issued["invoice_number"], issued["status"]) == ("INV-202609-0001", "sent")
    assert "Everything agrees." in manual.ok("verify").out


def test_a_draft_of_an_open_month_is_not_issued(used: Command) -> None:
    draft = _create(used, "--team", "A")

    refused = used("invoices", "status", draft["invoice_number"], "pending")

    assert refused.code == 5
    assert "is a draft of 2026-09, which is not closed." in refused.err
    assert "chargeback close 2026-09" in refused.err


def test_a_reopened_month_bills_only_what_differs(used: Command) -> None:
    used.ok("close", "2026-09")
    refused = used("reopen", "2026-09")
    assert refused.code == 2

    reopened = used.ok("reopen", "2026-09", "--reason", "usage was missing", "-o", "json").json
    assert (reopened["period"]["state"], reopened["period"]["revision"]) == ("reopened", "2")
    again = used("reopen", "2026-09", "--reason", "once more")
    assert again.code == 5
    assert "2026-09 is reopened; only a closed period is reopened." in again.err
    used.ok("ingest", "-", stdin=_event("c", "2026-09-05", "A", "ada", "-4"))
    used.ok("close", "2026-09")

    correction = used.ok("invoices", "show", "INV-202609-0002", "-o", "json").json["invoice"]
    assert (correction["kind"], correction["total_usd"]) == ("credit", "-4")
    assert correction["references"] == ["INV-202609-0001"]
    assert correction["due_date"] is None
    assert "Everything agrees." in used.ok("verify").out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "An invoice needs somebody to be billed."),
        (("--team", ""), "'' is no team"),
        (("--team", "東" * 512, "--user", "京" * 512), "they take 3,083 bytes, more than 2,400"),
        (("--team", "A", "--tax-rate", "19"), "'19', no fraction from 0 to 1"),
        (("--team", "A", "--tax-rate", "-0.1"), "'-0.1', no fraction from 0 to 1"),
        (("--team", "A", "--tax-rate", "0.1234567891"), "with at most 9 decimals"),
        (("--team", "A", "--tax-rate", "much"), "'much', no fraction from 0 to 1"),
        (("--team", "A", "--due-days", "-1"), "-1 days to pay are out of range"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    used: Command, options: tuple[str, ...], sentence: str
) -> None:
    refused = used("invoices", "create", "--period", "2026-09", *options)

    assert refused.code == 2
    assert sentence in refused.err
    assert used.ok("invoices", "list", "-o", "json").json["invoices"] == []


def test_an_invoice_is_of_exactly_one_month(used: Command) -> None:
    refused = used("invoices", "create", "--period", "2026-09-01/2026-09-15", "--team", "A")

    assert refused.code == 2
    assert "2026-09" in refused.err


def test_a_share_that_was_billed_with_its_team_names_the_invoice(used: Command) -> None:
    used.ok("close", "2026-09")

    refused = used("invoices", "create", "--period", "2026-09", "--user", "ada")
    nothing = used("invoices", "create", "--period", "2026-09", "--team", "Z")

    assert (refused.code, nothing.code) == (5, 5)
    assert "user:ada is billed with INV-202609-0001 for 2026-09" in refused.err
    assert "nothing of it is billed to team:Z" in nothing.err
