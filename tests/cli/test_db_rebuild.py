"""`chargeback db rebuild`: before and after, and what it refuses."""

from tests.support.command import Command
from tests.support.upkeep import damaged, fields


def test_a_rebuild_of_sound_books_says_so(two_months: Command) -> None:
    ended = two_months.ok("db", "rebuild", "--reason", "to be sure")
    assert "Nothing differed; nothing was changed." in ended.err
    assert two_months.ok("audit", "-o", "json").json["audit"][0]["action"] != "rebuild"


def test_a_rebuild_shows_before_and_after(two_months: Command) -> None:
    damaged(
        two_months,
        "UPDATE usage_total SET cost_whole = 9, records = 2 WHERE period <> 202609",
        "UPDATE ingest_cursor SET accepted = 5 WHERE accepted = 1",
    )
    assert two_months("verify").code == 5
    rehearsed = two_months.ok("db", "rebuild", "--dry-run")
    assert "Nothing was written." in rehearsed.err
    assert two_months("verify").code == 5

    document = two_months.ok("db", "rebuild", "--reason", "a total was wrong", "-o", "json").json
    (row,) = document["rebuilt"]["periods"]
    assert (row["state"], row["differing"], row["written"]) == ("open", "1", True)
    assert row["before"] == {"cost_usd": "9", "quantity": "1", "record_count": "2"}
    assert row["after"] == {"cost_usd": "7", "quantity": "1", "record_count": "1"}
    (tally,) = document["rebuilt"]["tallies"]
    assert (tally["before"]["accepted"], tally["after"]["accepted"]) == ("5", "1")
    logged = [row["action"] for row in two_months.ok("audit", "-o", "json").json["audit"]]
    assert logged[:2] == ["rebuild", "rebuild"]
    two_months.ok("verify")


def test_a_rebuild_in_a_table(two_months: Command) -> None:
    damaged(two_months, "UPDATE usage_total SET cost_whole = 9 WHERE period <> 202609")
    lines = fields(two_months.ok("db", "rebuild", "--reason", "a total was wrong").out)
    assert lines[2][1:] == ["open", "1", "yes", "9.000000000", "7.000000000", "1", "1"]


def test_a_closed_month_is_not_rebuilt(two_months: Command) -> None:
    ended = two_months("db", "rebuild", "--period", "2026-09", "--reason", "to be sure")
    assert (ended.code, ended.out) == (5, "")
    assert ended.err.startswith("Error: 2026-09 is closed; its totals are never changed.\n")


def test_a_reopened_month_is_rebuilt_only_by_name(two_months: Command) -> None:
    two_months.ok("reopen", "2026-09", "--reason", "a price was wrong")
    damaged(two_months, "UPDATE usage_total SET cost_whole = cost_whole + 1 WHERE period = 202609")
    left = two_months.ok("db", "rebuild", "--reason", "to be sure")
    assert "2026-09, which is reopened, differ and were left" in left.err
    assert "--period 2026-09" in left.err
    done = two_months.ok("db", "rebuild", "--period", "2026-09", "--reason", "to be sure")
    assert "its next close bills the difference" in done.err
    two_months.ok("close", "2026-09")
    two_months.ok("verify")


def test_a_pruned_month_is_not_rebuilt(two_months: Command) -> None:
    two_months.having("--set", "retention.records=1us").ok("prune")
    two_months.ok("reopen", "2026-09", "--reason", "a price was wrong")
    ended = two_months("db", "rebuild", "--period", "2026-09", "--reason", "to be sure")
    assert ended.code == 5
    assert "were dropped after retention.records" in ended.err
    others = two_months.ok("db", "rebuild", "--reason", "to be sure")
    assert "2026-09 is left out" in others.err


def test_a_reason_is_required(two_months: Command) -> None:
    ended = two_months("db", "rebuild")
    assert (ended.code, ended.out) == (2, "")
    assert "Error: To rebuild totals, a reason is required." in ended.err
