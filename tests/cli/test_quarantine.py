"""Refused events are looked at safely, tried again, and given up with a reason."""

import sys
from datetime import timedelta

import pytest
import typer

from chargeback_worker import app
from chargeback_worker.cli import quarantine as commands
from chargeback_worker.cli import question
from chargeback_worker.pipeline.dismiss import dismiss
from chargeback_worker.pipeline.ingest import Outcome
from chargeback_worker.reports.verify import verify
from chargeback_worker.settings import Database, Settings
from chargeback_worker.store.quarantine import AlreadyResolved, Quarantined
from chargeback_worker.usage.event import (
    Grain,
    RawEvent,
    Reader,
    Received,
    RefusedEvent,
    UsageEvent,
)
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


def test_of_many_the_first_are_listed_and_all_are_counted(
    chargeback: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = chargeback.having("--set", "ingest.max_age=1d")
    lines = b"".join(OLD.replace(b'"u1"', b'"u%d"' % number) for number in range(7))
    assert strict("ingest", "-", stdin=lines + EVIL).code == 5
    # Several transactions, of which the last is not full.
    monkeypatch.setattr(app, "_REPLAYED_AT_ONCE", 3)
    monkeypatch.setattr(commands, "REPLAYED_SHOWN_MAX", 4)
    ended = chargeback.ok("quarantine", "replay", "-o", "json")
    assert [row["quarantine_id"] for row in ended.json["replayed"]] == ["1", "2", "3", "4"]
    tally = {"accepted": "7", "duplicate": "0", "conflict": "0", "quarantined": "1"}
    assert ended.json["tally"] == tally
    assert "Only the first 4 are listed. All 8: 7 accepted, 0 duplicate" in ended.err
    chargeback.ok("verify")
    again = chargeback("quarantine", "replay", "-o", "json")
    assert (again.code, again.json["tally"]["quarantined"]) == (5, "1")


def test_what_another_resolves_meanwhile_is_left_out_and_the_rest_is_replayed(
    ready_url: str,
) -> None:
    grain, settings = Grain("UTC"), Settings(database=Database(url=ready_url))

    class Overtaken(Reader):
        """Somebody else gives the first event up while it is read."""

        def read(
            self, raw: RawEvent, now_us: int, received: Received | None = None
        ) -> UsageEvent | RefusedEvent:
            if not given_up:
                given_up.append(dismiss(opened.store, 1, opened.act("not ours")))
            return super().read(raw, now_us, received)

    given_up: list[Quarantined] = []
    with app.opened(settings) as opened:
        opened.__dict__["reader"] = Reader(grain, max_age=timedelta(days=1))
        lines = [OLD.replace(b'"u1"', b'"u%d"' % number) for number in range(3)]
        assert [result.tally.quarantined for result in opened.ingest_file("f", lines)] == [3]
        opened.__dict__["reader"] = Overtaken(grain)
        accepted = Outcome.ACCEPTED
        assert list(opened.replay()) == [[(2, accepted), (3, accepted)]]
        assert verify(opened.store).mismatches == ()
        with pytest.raises(AlreadyResolved, match="event 1 is already dismissed"):
            list(opened.replay([1]))


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
