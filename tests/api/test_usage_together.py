"""Usage of many senders at once: written together, and answered to each as if it were alone."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from chargeback_worker.api.turns import Turns
from chargeback_worker.app.recording import Recorded, Recorder, SentEvent
from chargeback_worker.errors import Unavailable
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import cursors
from chargeback_worker.store.cursors import Door, Tally
from tests.support.http_api import BASE, Api, Reply, serving

CLIENTS = 32
EVENT = {
    "usage_id": "u-1",
    "timestamp": "2026-10-03T12:00:00Z",
    "team_id": "A",
    "user_id": "ada",
    "cost_usd": 1.5,
    "quantity": 2,
}


@dataclass
class Held:
    """An API whose first turn of usage ends only when `all_there`, in it or behind it."""

    all_there: Callable[[], bool] = lambda: True
    turns: list[list[str]] = field(default_factory=list)
    fails: Callable[[Sequence[str]], Exception | None] = lambda _: None
    found: list[Turns] = field(default_factory=list)

    def there(self) -> int:
        return sum(map(len, self.turns[:1])) + len(self.found[0].usage._waiting)

    def turn(self, sent: Sequence[SentEvent]) -> None:
        ids = [one.event.usage_id for one in sent]
        self.turns.append(ids)
        if len(self.turns) == 1:
            _wait_for(self.all_there)
        if (error := self.fails(ids)) is not None:
            raise error


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    made = Held()
    of, record = Turns.of, Recorder.record

    def captured(recorder: Recorder) -> Turns:
        made.found.append(of(recorder))
        return made.found[-1]

    def recorded(recorder: Recorder, sent: Sequence[SentEvent]) -> list[Recorded]:
        made.turn(sent)
        return record(recorder, sent)

    monkeypatch.setattr(Turns, "of", captured)
    monkeypatch.setattr(Recorder, "record", recorded)
    return made


@pytest.fixture
def api(held: Held, ready_url: str) -> Iterator[Api]:
    with serving(ready_url) as api:
        yield api


def _at_once(api: Api, held: Held, events: Sequence[Mapping[str, Any]]) -> list[Reply]:
    """The answers to all of these, of which two turns are made."""
    held.all_there = lambda: held.there() == len(events)
    with ThreadPoolExecutor(len(events)) as clients:
        return list(clients.map(lambda event: api.post("usage", event), events))


def _tally(api: Api) -> Tally:
    with api.store.read() as transaction:
        return sum((row.tally for row in cursors.listed(transaction, Door.HTTP)), Tally())


def _counted(api: Api) -> str:
    count: str = api.ok("GET", "usage/summary", period="2026-10")["summary"]["record_count"]
    assert verify(api.store).mismatches == ()
    return count


def test_events_of_many_at_once_are_written_together_and_answered_apart(
    api: Api, held: Held
) -> None:
    api.ok("POST", "usage", {**EVENT, "usage_id": "known"})
    held.turns.clear()
    news = [{**EVENT, "usage_id": f"u-{number}", "agent_id": f"{number}"} for number in range(20)]
    again = [{**EVENT, "usage_id": "known"}] * 3
    other = [{**EVENT, "usage_id": "known", "cost_usd": 7}] * 2
    replies = _at_once(api, held, [*news, *again, *other])
    assert len(held.turns) == 2
    assert [reply.status for reply in replies] == [201] * 20 + [200] * 3 + [409] * 2
    answered = [reply.json["usage_record"] for reply in replies[:23]]
    assert [row["usage_id"] for row in answered] == [*(e["usage_id"] for e in news), *["known"] * 3]
    assert [row["agent_id"] for row in answered[:20]] == [event["agent_id"] for event in news]
    assert _tally(api) == Tally(accepted=21, duplicate=3, conflict=2)
    assert _counted(api) == "21"


def test_the_same_event_of_many_at_once_is_accepted_once(api: Api, held: Held) -> None:
    sent = [{**EVENT, "metadata": {"sender": number}} for number in range(CLIENTS)]
    replies = _at_once(api, held, sent)
    assert Counter(reply.status for reply in replies) == {201: 1, 200: CLIENTS - 1}
    assert len({reply.body for reply in replies}) == 1
    assert _tally(api) == Tally(accepted=1, duplicate=CLIENTS - 1)
    assert _counted(api) == "1"


def test_the_same_event_without_a_time_is_accepted_once(api: Api, held: Held) -> None:
    untimed = {field: value for field, value in EVENT.items() if field != "timestamp"}
    replies = _at_once(api, held, [untimed] * CLIENTS)
    assert Counter(reply.status for reply in replies) == {201: 1, 200: CLIENTS - 1}
    assert len({reply.body for reply in replies}) == 1
    assert verify(api.store).mismatches == ()


def test_each_event_without_a_time_is_of_the_time_of_its_own_receipt(api: Api, held: Held) -> None:
    untimed = {field: value for field, value in EVENT.items() if field != "timestamp"}
    replies = _at_once(api, held, [{**untimed, "usage_id": f"u-{n}"} for n in range(CLIENTS)])
    assert {reply.status for reply in replies} == {201}
    assert verify(api.store).mismatches == ()


def test_of_different_events_with_one_id_the_first_stands(api: Api, held: Held) -> None:
    sent = [{**EVENT, "cost_usd": number} for number in range(CLIENTS)]
    replies = _at_once(api, held, sent)
    assert Counter(reply.status for reply in replies) == {201: 1, 409: CLIENTS - 1}
    assert _tally(api) == Tally(accepted=1, conflict=CLIENTS - 1)
    (accepted,) = [reply for reply in replies if reply.status == 201]
    (row,) = api.ok("GET", "usage", period="2026-10")["usage_records"]
    assert row == accepted.json["usage_record"]
    assert _counted(api) == "1"


def test_an_event_that_breaks_its_turn_spares_its_neighbours(api: Api, held: Held) -> None:
    # Two of them: the one that happens to be first is in a turn of its own.
    poison = {"poison-1", "poison-2"}
    held.fails = lambda ids: None if poison.isdisjoint(ids) else ValueError("a fault of ours")
    named = [*(f"u-{number}" for number in range(9)), *sorted(poison)]
    replies = _at_once(api, held, [{**EVENT, "usage_id": name} for name in named])
    assert [reply.status for reply in replies] == [201] * 9 + [500] * 2
    assert _tally(api) == Tally(accepted=9)
    assert _counted(api) == "9"


def test_where_the_database_does_not_answer_all_of_a_turn_hear_of_it(api: Api, held: Held) -> None:
    held.fails = lambda _: Unavailable("The database does not answer.")
    sent = [{**EVENT, "usage_id": f"u-{number}"} for number in range(9)]
    replies = _at_once(api, held, sent)
    assert {reply.problem for reply in replies} == {(503, "unavailable")}
    assert len(held.turns) == 2
    held.fails = lambda _: None
    assert [api.post("usage", event).status for event in sent] == [201] * 9
    assert _counted(api) == "9"


def test_who_hangs_up_while_waiting_costs_nobody_anything(api: Api, held: Held) -> None:
    closed = threading.Event()
    held.all_there = closed.is_set

    def hang_up() -> None:
        connections = [_sent(api, f"gone-{number}") for number in range(4)]
        _wait_for(lambda: held.there() == 10)
        for connection in connections:
            connection.close()
        closed.set()

    gone = threading.Thread(target=hang_up)
    stays = [{**EVENT, "usage_id": f"u-{number}"} for number in range(6)]
    with ThreadPoolExecutor(len(stays)) as clients:
        gone.start()
        replies = list(clients.map(lambda event: api.post("usage", event), stays))
    gone.join()
    assert [reply.status for reply in replies] == [201] * 6
    again = [api.post("usage", {**EVENT, "usage_id": f"gone-{n}"}).status for n in range(4)]
    assert again == [200] * 4, "what was sent is counted, whoever waits for the answer"
    assert _counted(api) == "10"


def _sent(api: Api, usage_id: str) -> http.client.HTTPConnection:
    """A connection on which an event was sent, and no answer was read."""
    connection = http.client.HTTPConnection(api.host, api.port, timeout=60)
    body = json.dumps({**EVENT, "usage_id": usage_id}).encode()
    connection.request("POST", f"{BASE}/usage", body, {"Content-Type": "application/json"})
    return connection
