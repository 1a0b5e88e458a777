"""Months and invoices over HTTP: closed, corrected, drafted, paid; each refusal by its name."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest

from chargeback_worker.api.routes import books as books_routes
from chargeback_worker.reports.pages import written
from chargeback_worker.reports.verify import verify
from chargeback_worker.store.invoice_order import InvoicePlace
from chargeback_worker.usage.fields import TEXT_MAX
from tests.support.http_api import Api

SEPTEMBER = {"period": "2026-09"}


@pytest.fixture
def used(api: Api) -> Api:
    """A month with usage of two teams and of nobody."""
    for number, (team, user, cost) in enumerate(
        [("A", "ada", "10"), ("A", "bob", "20"), ("B", "cy", "5"), (None, None, "4")]
    ):
        event = {
            "usage_id": f"u{number}",
            "timestamp": "2026-09-03T12:00:00Z",
            "team_id": team,
            "user_id": user,
            "cost_usd": float(cost),
        }
        api.ok("POST", "usage", event)
    return api


@pytest.fixture
def closed(used: Api) -> Api:
    used.ok("POST", "periods/2026-09/close")
    return used


def _number(api: Api, receiver: str) -> str:
    found = api.ok("GET", "invoices", **SEPTEMBER)["invoices"]
    return str(next(row["invoice_number"] for row in found if row["receiver"] == receiver))


def test_a_month_is_closed_once_and_tells_what_it_booked(used: Api) -> None:
    shown = used.get("periods/2026-09")
    assert shown.headers["etag"] == '"open-1"'
    first = used.having(If_Match='"open-1"').ok("POST", "periods/2026-09/close")["close"]
    assert (first["booked_usd"], first["subtotal_usd"], first["unallocated_usd"]) == (
        "39",
        "35",
        "4",
    )
    assert (first["invoices"], first["closed_before"], first["actor"]) == ("2", False, "local")
    again = used.ok("POST", "periods/2026-09/close")["close"]
    assert again == {**first, "closed_before": True}
    told = used.books.metrics.exposition().decode()
    assert "chargeback_allocation_seconds_count 1.0\n" in told
    assert "chargeback_invoicing_seconds_count 1.0\n" in told
    assert used.get("periods/2026-09").headers["etag"] == '"closed-1"'
    assert verify(used.store).mismatches == ()


def test_a_month_is_refused_by_name_while_it_cannot_be_closed(used: Api) -> None:
    ahead = f"{date.today() + timedelta(days=40):%Y-%m}"
    reply = used.post(f"periods/{ahead}/close")
    assert reply.problem == (409, "period-not-over")
    assert ahead in reply.json["detail"]
    assert "chargeback close" in reply.json["hint"]
    stale = used.having(If_Match='"closed-1"').post("periods/2026-09/close")
    assert stale.problem == (412, "not-as-expected")
    forced = used.post("periods/2026-09/close", {"force": True})
    assert forced.problem == (422, "reason-missing")
    for wrong in ({"force": "yes"}, {"forced": True}, {"reason": 5}):
        assert used.post("periods/2026-09/close", wrong).problem == (400, "body-refused")
    assert used.post("periods/2026-13/close").problem == (400, "parameter-refused")
    assert used.get("periods/1999-12").problem == (400, "parameter-refused")
    assert used.get("periods/2020-01").problem == (404, "period-unknown")
    used.ok("POST", "periods/2026-09/close", {"force": True, "reason": "the books are needed"})


def test_a_month_is_reopened_with_a_reason_and_bills_what_differs(closed: Api) -> None:
    assert closed.post("periods/2026-09/reopen").problem == (422, "reason-missing")
    shown = closed.post("periods/2026-09/reopen", {"reason": "usage was missing"})
    assert (shown.status, shown.headers["etag"]) == (200, '"reopened-2"')
    again = closed.post("periods/2026-09/reopen", {"reason": "once more"})
    assert again.problem == (409, "not-closed")
    event = {"cost_usd": 7, "team_id": "B", "timestamp": "2026-09-09T12:00:00Z"}
    assert closed.ok("POST", "usage", event)["usage_record"]["late"] is False
    assert closed.ok("POST", "periods/2026-09/close")["close"]["booked_usd"] == "7"
    kinds = [row["kind"] for row in closed.ok("GET", "invoices", team_id="B")["invoices"]]
    assert kinds == ["correction", "regular"]
    assert verify(closed.store).mismatches == ()


def test_a_share_is_billed_apart(used: Api) -> None:
    team = used.post("invoices", {"team_id": "A", **SEPTEMBER})
    assert (team.status, team.json["invoice"]["total_usd"]) == (201, "30")
    user = used.post("invoices", {"user_id": "ada", **SEPTEMBER, "due_days": 7})
    assert (user.status, user.json["invoice"]["total_usd"]) == (201, "10")
    again = used.post("invoices", {"team_id": "A", **SEPTEMBER})
    assert (again.status, again.json["invoice"]["total_usd"]) == (200, "20")
    assert again.json["invoice"]["invoice_id"] == team.json["invoice"]["invoice_id"]
    nothing = used.post("invoices", {"team_id": "Z", **SEPTEMBER})
    assert (nothing.status, nothing.json["invoice"]["total_usd"]) == (201, "0")


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        ({"period": "2026-09"}, 422, "no-receiver"),
        ({"team_id": "A"}, 400, "parameter-refused"),
        ({"team_id": "A", "period": "2026-09-01/2026-09-15"}, 422, "not-one-period"),
        ({"team_id": "A", "period": "2026"}, 400, "parameter-refused"),
        ({"team_id": "A", "period": "2026-09", "tax_rate": 1.5}, 400, "body-refused"),
        ({"team_id": "A", "period": "2026-09", "tax_rate": 0.1234567891}, 400, "body-refused"),
        ({"team_id": "A", "period": "2026-09", "tax_rate": "0.1234567891"}, 400, "body-refused"),
        ({"team_id": "A", "period": "2026-09", "tax_rate": -0.1}, 400, "body-refused"),
        ({"team_id": "A", "period": "2026-09", "due_days": -1}, 400, "body-refused"),
        ({"team_id": "A", "period": "2026-09", "invoice_number": "1"}, 400, "body-refused"),
        ({"team_id": 5, "period": "2026-09"}, 400, "body-refused"),
        ({"team_id": "x" * 513, "period": "2026-09"}, 400, "bad-receiver"),
        (
            {"team_id": "東" * 512, "user_id": "京" * 512, "period": "2026-09"},
            400,
            "receiver-too-long",
        ),
    ],
)
def test_an_invoice_that_cannot_be_asked_for(
    sqlite_api: Api, body: dict[str, object], status: int, name: str
) -> None:
    assert sqlite_api.post("invoices", body).problem == (status, name)


@pytest.mark.parametrize(
    ("rate", "code", "sentence"),
    [
        (0.1234567891, "out_of_range", "must have at most 9 decimals"),
        (1.0000000001, "out_of_range", "must be a fraction from 0 to 1 (0.19 is 19 %) of at most"),
        ("19%", "wrong_type", "must be a fraction from 0 to 1 (0.19 is 19 %)"),
    ],
)
def test_a_tax_rate_is_refused_as_the_directory_refuses_it(
    sqlite_api: Api, rate: object, code: str, sentence: str
) -> None:
    asked = {"team_id": "A", "period": "2026-09", "tax_rate": rate}
    told = {"teams": [{"team_id": "A", "tax_rate": rate}]}
    replies = [sqlite_api.post("invoices", asked), sqlite_api.put("directory", told)]
    faults = [reply.json["errors"][0] for reply in replies]
    assert [fault["code"] for fault in faults] == [code, code]
    assert all(sentence in fault["detail"] for fault in faults)


def test_of_a_closed_month_the_invoice_that_there_is(closed: Api) -> None:
    reply = closed.post("invoices", {"team_id": "A", **SEPTEMBER})
    assert (reply.status, reply.json["invoice"]["status"]) == (200, "pending")
    assert closed.post("invoices", {"team_id": "Z", **SEPTEMBER}).problem == (409, "nothing-billed")
    apart = closed.post("invoices", {"user_id": "ada", **SEPTEMBER})
    assert apart.problem == (409, "billed-already")


def test_an_invoice_lives_as_its_statuses_allow(closed: Api) -> None:
    path = f"invoices/{_number(closed, 'team:A')}/status"
    assert closed.put(path, {}).problem == (400, "body-refused")
    assert closed.put(path, {"status": "gone"}).problem == (400, "body-refused")
    assert closed.put(path, {"status": "overdue"}).problem[0] == 409
    assert closed.ok("PUT", path, {"status": "sent"})["invoice"]["status"] == "sent"
    assert closed.put(path, {"status": "overdue"}).problem == (409, "not-overdue")
    assert closed.put(path, {"status": "cancelled"}).problem == (422, "reason-missing")
    same = closed.ok("PUT", path, {"status": "sent"})
    assert "nothing was changed" in same["message"]
    cancelled = {"status": "cancelled", "reason": "wrong team"}
    assert closed.ok("PUT", path, cancelled)["invoice"]["status"] == "cancelled"
    assert closed.put(path, {"status": "paid"}).problem == (409, "change-refused")
    replaced = closed.post("invoices", {"team_id": "A", **SEPTEMBER})
    assert (replaced.status, replaced.json["invoice"]["replaces"]) == (201, path.split("/")[1])
    assert closed.put("invoices/nobody/status", {"status": "paid"}).problem == (
        404,
        "invoice-unknown",
    )


def test_a_draft_of_an_open_month_is_not_sent(used: Api) -> None:
    draft = used.ok("POST", "invoices", {"team_id": "A", **SEPTEMBER})["invoice"]
    reply = used.put(f"invoices/{draft['invoice_id']}/status", {"status": "sent"})
    assert reply.problem == (409, "not-closed-yet")
    assert "2026-09" in reply.json["detail"]
    assert "chargeback close 2026-09" in reply.json["hint"]


def test_invoices_are_listed_by_what_they_are(closed: Api) -> None:
    one = closed.ok("GET", "invoices", limit=1)
    two = closed.ok("GET", "invoices", limit=1, cursor=one["next_cursor"])
    both = one["invoices"] + two["invoices"]
    assert [row["receiver"] for row in both] == ["team:B", "team:A"]
    assert two["next_cursor"] is None
    assert closed.ok("GET", "invoices", status="paid")["invoices"] == []
    assert len(closed.ok("GET", "invoices", status="pending", team_id="A")["invoices"]) == 1
    assert closed.get("invoices", status="gone").problem == (400, "parameter-refused")
    for cursor in ("nowhere", one["invoices"][0]["invoice_id"]):
        assert closed.get("invoices", cursor=cursor).problem == (400, "unknown-place")
    longest = "\N{GRINNING FACE}" * TEXT_MAX
    cursor = written(InvoicePlace(0, longest, longest, one["invoices"][0]["invoice_id"]))
    assert closed.ok("GET", "invoices", cursor=cursor)["invoices"] == []
    assert closed.get("invoices/INV-0").problem == (404, "invoice-unknown")


def test_an_invoice_is_explained_and_rendered(closed: Api) -> None:
    number = _number(closed, "team:A")
    lines = closed.ok("GET", f"invoices/{number}/explain")["explanation"]["lines"]
    assert [line["total_price"] for line in lines] == ["10", "20"]
    one = closed.ok("GET", f"invoices/{number}/explain", line=1)["explanation"]
    assert one["line"]["exact_usd"] == "10"
    assert closed.get(f"invoices/{number}/explain", line=9).problem == (404, "line-unknown")
    for form, begins in {"html": b"<!", "csv": b"", "json": b"{", "pdf": b"%PDF"}.items():
        made = closed.get(f"invoices/{number}/document", format=form)
        assert made.status == 200, made
        assert made.body.startswith(begins)
        assert number in made.headers["content-disposition"]
    wrong = closed.get(f"invoices/{number}/document", format="docx")
    assert wrong.problem == (400, "parameter-refused")


def test_an_allocation_run_is_stored_for_an_open_month_alone(used: Api) -> None:
    assert used.ok("GET", "allocations", **SEPTEMBER)["stored"] is False
    run = used.ok("POST", "allocate", SEPTEMBER)
    assert (run["stored"], run["unallocated"]) == (True, "4")
    nobody = [row for row in run["allocations"] if not row["team_id"] and not row["user_id"]]
    assert [row["total_cost_usd"] for row in nobody] == ["4"]
    assert [row["rule_id"] for row in run["allocations"]] == ["default"] * 4
    assert used.ok("GET", "allocations", **SEPTEMBER)["stored"] is True
    part = used.ok("POST", "allocate", {"period": "2026-09-01/2026-09-10", "team_id": "A"})
    assert (part["stored"], len(part["allocations"])) == (False, 2)
    assert used.post("allocate", {**SEPTEMBER, "rule_id": "x"}).problem == (404, "rule-unknown")
    assert used.post("allocate", {}).problem == (400, "parameter-refused")
    assert used.post("allocate", {"perod": "2026-09"}).problem == (400, "body-refused")
    used.ok("POST", "periods/2026-09/close")
    assert used.ok("POST", "allocate", SEPTEMBER)["total_cost_usd"] == "39"


def test_rules_are_tried_without_being_written(used: Api) -> None:
    rules = {"rules": [{"rule_id": "even", "rule_type": "equal_split", "user_ids": ["ada", "bob"]}]}
    found = used.ok("POST", "preview", rules, **SEPTEMBER)["preview"]
    assert found["rules"] == "given"
    assert {
        row["user_id"]: row["would_usd"] for row in found["rows"] if row["would_usd"] != "0"
    } == {
        "ada": "19.5",
        "bob": "19.5",
    }
    assert used.ok("GET", "allocation-rules")["rules"] == []
    wrong = {"rules": [{"rule_id": "even", "rule_type": "by_magic"}]}
    reply = used.post("preview", wrong, **SEPTEMBER)
    assert reply.problem == (400, "rules-refused")
    assert reply.json["errors"][0]["pointer"] == "#/rules/0/rule_type"
    assert used.ok("GET", "preview", **SEPTEMBER)["preview"]["rules"] == "stored"


def test_the_directory_is_replaced_whole(used: Api) -> None:
    assert used.ok("GET", "directory")["directory"]["version"] == "0"
    teams = {"teams": [{"team_id": "A", "members": [{"user_id": "ada", "name": "Ada"}]}]}
    put = used.put("directory", teams)
    assert (put.status, put.headers["etag"]) == (200, '"1"')
    assert used.put("directory", put.json["directory"] | {"version": 1}).headers["etag"] == '"1"'
    reply = used.put("directory", {"teams": [{"team_id": "A"}, {"team_id": "A"}]})
    assert reply.problem == (400, "directory-refused")
    assert reply.json["errors"][0]["pointer"] == "#/teams/1/team_id"


def test_refused_events_are_looked_at_tried_again_and_given_up(used: Api) -> None:
    list(used.books.ingest_file("digest", [b"{", b'{"usage_id": "x"}']))
    held = used.ok("GET", "quarantine")["quarantine"]
    assert [row["reason"] for row in held] == ["missing_timestamp", "not_json"]
    one, two = (row["quarantine_id"] for row in held)
    assert (
        used.ok("GET", f"quarantine/{one}")["quarantined"]["event"]["value"] == '{"usage_id": "x"}'
    )
    again = used.ok("POST", f"quarantine/{one}/replay")
    assert again["replayed"] == [{"quarantine_id": one, "outcome": "quarantined"}]
    assert used.post(f"quarantine/{two}/dismiss").problem == (422, "reason-missing")
    gone = used.ok("POST", f"quarantine/{two}/dismiss", {"reason": "a test"})["quarantined"]
    assert (gone["state"], gone["event"]) == ("dismissed", None)
    for act in ("dismiss", "replay"):
        reply = used.post(f"quarantine/{two}/{act}", {"reason": "x"} if act == "dismiss" else {})
        assert reply.problem == (409, "already-resolved")
        reply = used.post(f"quarantine/999/{act}", {"reason": "x"} if act == "dismiss" else {})
        assert reply.problem == (404, "quarantine-unknown")
    assert len(used.ok("GET", "quarantine", state="dismissed")["quarantine"]) == 1
    assert used.get("quarantine", cursor="x").problem == (400, "parameter-refused")


def test_who_did_what_is_told_and_everything_is_verified(closed: Api) -> None:
    told = closed.ok("GET", "audit", limit=1)
    assert (told["audit"][0]["action"], told["audit"][0]["actor"]) == ("close", "local")
    assert closed.ok("GET", "audit", since="2000-01-01T00:00:00Z")["audit"]
    assert closed.get("audit", since="yesterday").problem == (400, "parameter-refused")
    assert closed.ok("GET", "verify")["verify"]["clean"] is True
    assert closed.ok("GET", "verify", period="2026-09")["verify"]["period"] == "2026-09"


def test_one_request_at_a_time_verifies_and_others_are_answered_meanwhile(
    closed: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), threading.Event()

    def slow(*asked: Any) -> Any:
        begun.set()
        assert ended.wait(60)
        return verify(*asked)

    monkeypatch.setattr(books_routes, "verify", slow)
    with ThreadPoolExecutor(1) as beside:
        first = beside.submit(closed.get, "verify")
        assert begun.wait(60)
        refused = [closed.get("verify") for _ in range(10)]
        closed.ok("GET", "audit")
        ended.set()
        assert first.result().json["verify"]["clean"] is True
    assert {reply.problem for reply in refused} == {(503, "verify-under-way")}
    assert int(refused[0].headers["retry-after"]) > 0
    closed.ok("GET", "verify")


def test_months_are_paged_newest_first(used: Api) -> None:
    used.ok("POST", "usage", {"cost_usd": 1, "timestamp": "2026-07-09T12:00:00Z"})
    one = used.ok("GET", "periods", limit=1)
    rest = used.ok("GET", "periods", cursor=one["next_cursor"])
    assert [row["period"] for row in one["periods"] + rest["periods"]] == ["2026-09", "2026-07"]
    assert rest["next_cursor"] is None


def test_a_get_writes_nothing(closed: Api) -> None:
    number = _number(closed, "team:A")
    before = json.dumps(closed.ok("GET", "audit"))
    for path in ("usage", "usage/summary", "allocations", "preview", "reports/team/A"):
        closed.ok("GET", path, period="2026-10")
    for path in ("periods", "invoices", f"invoices/{number}", "directory", "verify", "quarantine"):
        closed.ok("GET", path)
    assert json.dumps(closed.ok("GET", "audit")) == before
    assert [row["period"] for row in closed.ok("GET", "periods")["periods"]] == ["2026-09"]


def test_the_usage_behind_an_allocation_is_paged(used: Api) -> None:
    late = {"cost_usd": 1, "team_id": "A", "user_id": "ada", "timestamp": "2026-09-05T12:00:00Z"}
    for number in range(4):
        used.ok("POST", "usage", {**late, "usage_id": f"more-{number}"})
    for stored in ("POST", "allocate"), ("POST", "periods/2026-09/close"):
        used.ok(*stored, SEPTEMBER if stored[1] == "allocate" else None)
        rows = used.ok("GET", "allocations", **SEPTEMBER)["allocations"]
        ada = next(row for row in rows if row["user_id"] == "ada")
        seen, cursor = [], None
        while True:
            path = f"allocations/{ada['allocation_id']}/usage"
            page = used.ok("GET", path, limit=2, cursor=cursor)
            seen += [row["usage_id"] for row in page["usage_records"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert sorted(seen) == sorted(ada["usage_records"])
        assert len(seen) == int(ada["usage_record_count"]) == 5
    assert used.get("allocations/nothing/usage").problem == (404, "allocation-unknown")
    path = f"allocations/{ada['allocation_id']}/usage"
    assert used.get(path, cursor="x").problem == (400, "unknown-place")
