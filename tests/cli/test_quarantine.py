"""Refused events are looked at safely, tried again, and given up with a reason."""

import sys

import pytest
import typer

from chargeback_worker.cli import question
from tests.support.command import Command

OLD = b'{"usage_id": "u1", "timestamp": "2026-09-14T10:00:00Z", "team_id": "A", "cost_usd": 1}\n'
EVIL = b'{"usage_id": "u2", "agent_id": "\x1b]0;title\x07\x1b[31mred"\n'


@pytest.fixture
def held(chargeback: Command) -> Command:
    """The first is refused as too old, the second is no JSON and means harm to terminals."""
    strict = chargeback.having("--set", "ingest.max_age=1d")
    assert strict("ingest", "-", stdin=OLD + EVIL).code == 5
    return chargeback


def test_refused_events_are_listed_with_their_reasons(held: Command) -> None:
    rows = held.ok("quarantine", "list", "-o", "json").json["quarantine"]
    assert [(row["quarantine_id"], row["reason"]) for row in rows] == [
        ("2", "not_json"),
        ("1", "too_old"),
    ]
    (one,) = held.ok("quarantine", "list", "--reason", rows[1]["reason"], "-o", "json").json[
        "quarantine"
    ]
    assert one["quarantine_id"] == "1"
    page = held.ok("quarantine", "list", "--limit", "1")
    assert "There are more: --cursor 2" in page.err
    assert held.ok("quarantine", "list", "--cursor", "2", "-o", "json").json["quarantine"] == [one]


def test_an_event_that_is_named_twice_is_replayed_once(held: Command) -> None:
    done = held.ok("quarantine", "replay", "1", "1", "-o", "json").json["replayed"]
    assert done == [{"quarantine_id": "1", "outcome": "accepted"}]


def test_a_reason_that_there_is_not_is_refused(held: Command) -> None:
    ended = held("quarantine", "list", "--reason", "to_old")
    assert ended.code == 2
    assert "too_old" in ended.err


def test_a_payload_cannot_reach_the_terminal(held: Command) -> None:
    for command in (["show", "2"], ["list"], ["show", "2", "-o", "json"]):
        assert "\x1b" not in held.ok("quarantine", *command).out
    assert "\\x1b]0;title\\x07" in held.ok("quarantine", "show", "2").out


def test_what_can_be_read_now_is_counted(held: Command) -> None:
    done = held.ok("quarantine", "replay", "-o", "json").json["replayed"]
    assert {row["quarantine_id"]: row["outcome"] for row in done} == {
        "1": "accepted",
        "2": "quarantined",
    }
    summary = held.ok("usage", "summary", "--period", "2026-09", "-o", "json").json["summary"]
    assert summary["total_cost_usd"] == "1"
    again = held("quarantine", "replay", "1")
    assert again.code == 5
    assert "already replayed" in again.err
    assert held("quarantine", "replay", "2").code == 5
    held.ok("verify")


def test_what_is_given_up_is_erased_and_stays_known(held: Command) -> None:
    held.ok("quarantine", "dismiss", "2", "--reason", "nobody knows it")
    assert "It was erased" in held.ok("quarantine", "show", "2").out
    states = {
        row["quarantine_id"]: row["state"]
        for row in held.ok("quarantine", "list", "--all", "-o", "json").json["quarantine"]
    }
    assert states == {"1": "held", "2": "dismissed"}
    (act,) = held.ok("audit", "-o", "json").json["audit"]
    assert (act["action"], act["reason"]) == ("dismiss", "nobody knows it")


class _Terminal:
    def isatty(self) -> bool:
        return True


def test_a_person_at_a_terminal_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sys, "stdin", _Terminal())
    monkeypatch.setattr(sys, "stderr", _Terminal())
    monkeypatch.setattr(typer, "confirm", lambda text, **_: asked.append(text))
    question.ask("Really?", yes=True)
    assert asked == []
    question.ask("Really?", yes=False)
    assert asked == ["Really?"]
