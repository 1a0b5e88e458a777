"""Batches: each event ends by itself, counted once however often the batch is sent."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.api import batches, bodies
from chargeback_worker.api.batches import Batch
from chargeback_worker.app.recording import Recorder
from chargeback_worker.errors import Unavailable
from chargeback_worker.pipeline.keys import create_key
from chargeback_worker.reports.verify import verify
from chargeback_worker.store.api_keys import Role
from tests.support.http_api import Api, Reply
from tests.support.http_directory import counted
from tests.support.http_late import Late
from tests.support.ledger import act

AT = "2026-09-03T12:00:00Z"
LINES = "application/x-ndjson"


def _event(number: int, **more: Any) -> dict[str, Any]:
    return {"usage_id": f"u{number}", "timestamp": AT, "cost_usd": 1, "team_id": "A", **more}


def _lines(events: list[Any]) -> bytes:
    return b"\n".join(json.dumps(event).encode() for event in events)


def _send(api: Api, body: bytes, media_type: str = LINES) -> Reply:
    return api.having(Content_Type=media_type).post("usage/batch", body)


def _counts(reply: Reply) -> dict[str, int]:
    assert reply.status == 200, reply
    document = json.loads(reply.body)
    return {name: document[name] for name in ("accepted", "duplicate", "conflict", "refused")}


def _used(api: Api) -> str:
    return str(api.ok("GET", "usage/summary", period="2026-09")["summary"]["record_count"])


@pytest.mark.parametrize("media_type", [LINES, "application/jsonl", "application/json"])
def test_each_event_ends_by_itself(api: Api, media_type: str) -> None:
    events = [
        _event(1),
        _event(1),
        _event(1, cost_usd=2),
        {"cost_usd": 1},
        _event(2, cost_usd="x"),
        _event(3),
        [],
    ]
    body = json.dumps(events).encode() if media_type == "application/json" else _lines(events)
    reply = _send(api, body, media_type)
    assert _counts(reply) == {"accepted": 2, "duplicate": 1, "conflict": 1, "refused": 3}
    told = [(row["index"], row["outcome"], row["usage_id"]) for row in reply.json["results"]]
    assert told == [
        ("0", "accepted", "u1"),
        ("1", "duplicate", "u1"),
        ("2", "conflict", "u1"),
        ("3", "refused", None),
        ("4", "refused", None),
        ("5", "accepted", "u3"),
        ("6", "refused", None),
    ]
    assert all(
        ("error" in row) == (row["outcome"] in ("conflict", "refused"))
        for row in reply.json["results"]
    )
    assert _used(api) == "2"
    assert verify(api.store).mismatches == ()


@pytest.mark.parametrize("at_once", [7, 5_000])
def test_the_same_batch_counts_once(
    api: Api, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Also where it takes several transactions, of which each names what brings no id."""
    monkeypatch.setattr(batches, "EVENTS_AT_ONCE", at_once)
    body = _lines([{"cost_usd": number, "timestamp": AT} for number in range(20)])
    keyed = api.having(Idempotency_Key="b-1")
    assert _counts(_send(keyed, body))["accepted"] == 20
    assert _counts(_send(keyed, body))["duplicate"] == 20
    other = _send(api.having(Idempotency_Key="b-2"), body)
    assert _counts(other)["accepted"] == 20, "another key means other usage"
    assert _counts(_send(api, body))["refused"] == 20, "without a key nothing names them"
    assert _used(api) == "40"


BARE = {"cost_usd": 1, "timestamp": AT, "team_id": "A"}


def _keyed(api: Api, key: str = "b-1") -> Api:
    return api.having(Idempotency_Key=key)


def test_another_batch_under_the_same_key_is_refused_and_nothing_of_it_is_stored(api: Api) -> None:
    one = _lines([BARE])
    assert _counts(_send(_keyed(api), one))["accepted"] == 1
    for others in ([BARE, BARE], [{**BARE, "agent_id": "x"}], [_event(1)]):
        reply = _send(_keyed(api), _lines(others))
        assert reply.problem == (422, "key-reused"), others
        assert "by itself" in reply.json["hint"]
    assert _used(api) == "1"
    assert _counts(_send(_keyed(api), one))["duplicate"] == 1
    assert verify(api.store).mismatches == ()


def test_another_batch_is_refused_from_the_piece_on_that_differs(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "EVENTS_AT_ONCE", 3)
    body = [{**BARE, "agent_id": str(number)} for number in range(8)]
    assert _counts(_send(_keyed(api), _lines(body)))["accepted"] == 8
    other = [*body[:4], {**body[4], "cost_usd": 2}, *body[5:]]
    assert _send(_keyed(api), _lines(other)).problem == (422, "key-reused")
    assert _used(api) == "8"
    assert _counts(_send(_keyed(api), _lines(body)))["duplicate"] == 8


def test_a_batch_whose_answers_were_forgotten_counts_once_all_the_same(api: Api) -> None:
    """And it is known again from then on."""
    body = _lines([BARE, BARE])
    assert _counts(_send(_keyed(api), body))["accepted"] == 2
    with api.store.begin() as transaction:
        transaction.connection.exec_driver_sql("DELETE FROM api_answer")
    assert _counts(_send(_keyed(api), body))["duplicate"] == 2
    assert _send(_keyed(api), _lines([BARE])).problem == (422, "key-reused")


def test_a_piece_that_may_be_stored_is_held_against_what_comes_in_its_place(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a commit that was not heard of, or a kill before it."""
    monkeypatch.setattr(batches, "EVENTS_AT_ONCE", 2)
    store, tries = Recorder.store, iter((True, False))

    def stores(*arguments: Any) -> Any:
        if not next(tries, True):
            raise Unavailable("gone")
        return store(*arguments)

    monkeypatch.setattr(Recorder, "store", stores)
    body = [{**BARE, "agent_id": str(number)} for number in range(5)]
    assert _send(_keyed(api), _lines(body)).status == 503
    assert _send(_keyed(api), _lines([*body[:2], *body[:2]])).problem == (422, "key-reused")
    counts = _counts(_send(_keyed(api), _lines(body)))
    assert (counts["duplicate"], counts["accepted"]) == (2, 3)
    assert _used(api) == "5"


def test_of_two_batches_with_one_key_at_once_one_is_refused(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended, store = threading.Event(), threading.Event(), Recorder.store

    def stores(*arguments: Any) -> Any:
        begun.set()
        assert ended.wait(60)
        return store(*arguments)

    monkeypatch.setattr(Recorder, "store", stores)
    with ThreadPoolExecutor(1) as beside:
        first = beside.submit(_send, _keyed(api), _lines([BARE]))
        assert begun.wait(60)
        second = _send(_keyed(api), _lines([BARE, BARE]))
        ended.set()
        assert _counts(first.result())["accepted"] == 1
    assert second.problem == (422, "key-reused")
    assert _used(api) == "1"


def test_a_key_under_which_nothing_was_stored_is_free(sqlite_api: Api) -> None:
    assert _counts(_send(_keyed(sqlite_api), _lines([{**BARE, "cost_usd": "x"}])))["refused"] == 1
    assert _counts(_send(_keyed(sqlite_api), _lines([BARE])))["accepted"] == 1


def test_one_key_is_another_at_each_sender_and_each_route(sqlite_api: Api) -> None:
    assert _counts(_send(_keyed(sqlite_api), _lines([BARE])))["accepted"] == 1
    assert _keyed(sqlite_api).post("usage", BARE).status == 201
    for name in ("one", "two"):
        key = create_key(sqlite_api.store, name, Role.OPERATE, None, act()).secret
        sender = _keyed(sqlite_api.with_key(key))
        assert sender.post("usage", BARE).status == 201
        assert _counts(_send(sender, _lines([BARE])))["accepted"] == 1
    assert _used(sqlite_api.with_key(key)) == "6"


def test_without_a_key_nothing_is_kept_of_a_batch(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "EVENTS_AT_ONCE", 3)
    body = _lines([_event(number) for number in range(7)])
    for sender, kept in ((sqlite_api, 0), (_keyed(sqlite_api, "x" * 255), 3)):
        _send(sender, body)
        with sqlite_api.store.read() as transaction:
            query = "SELECT count(*) FROM api_answer"
            assert transaction.connection.exec_driver_sql(query).scalar() == kept


def test_blank_lines_and_ends_of_lines_do_not_count(api: Api) -> None:
    body = b"\r\n\n" + _lines([_event(1)]) + b"\r\n\n   \n" + _lines([_event(2)]) + b"\n\n"
    reply = _send(api, body)
    assert [row["index"] for row in reply.json["results"]] == ["0", "1"]
    assert _counts(_send(api, b"")) == {"accepted": 0, "duplicate": 0, "conflict": 0, "refused": 0}
    assert _send(api, b"[]", "application/json").json["results"] == []


def test_one_line_that_is_no_event_stops_no_other(api: Api) -> None:
    long = json.dumps(_event(9, metadata={"x": "y" * 400_000})).encode()
    body = b"\n".join([b"{", long, b"\xff\xfe", _lines([_event(1)]), b"null"])
    assert _counts(_send(api, body)) == {
        "accepted": 1,
        "duplicate": 0,
        "conflict": 0,
        "refused": 4,
    }


def test_a_body_that_is_no_batch_is_refused_whole(sqlite_api: Api) -> None:
    for body in (b"", b"{}", b"[1", b"[1] 2", b'"x"'):
        assert _send(sqlite_api, body, "application/json").problem == (400, "body-unreadable")
    assert _send(sqlite_api, b"x", "text/plain").problem == (415, "not-json")
    large = b"[" + b" " * bodies.BODY_BYTES_MAX + b"]"
    assert _send(sqlite_api, large, "application/json").problem == (413, "body-too-large")


def test_a_batch_has_a_limit_and_what_was_before_it_is_stored(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "EVENTS_MAX", 7)
    monkeypatch.setattr(batches, "EVENTS_AT_ONCE", 3)
    reply = _send(sqlite_api, _lines([_event(number) for number in range(8)]))
    assert reply.problem == (413, "too-many-items")
    assert _used(sqlite_api) == "7"
    assert _counts(_send(sqlite_api, _lines([_event(n) for n in range(7)])))["duplicate"] == 7


def test_a_transaction_that_is_given_up_is_stored_and_a_duplicate_when_it_comes_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "EVENTS_AT_ONCE", 3)
    late, told = Late(monkeypatch), threading.Event()
    tell = Batch._tell

    def tells(*arguments: Any) -> None:
        tell(*arguments)
        told.set()

    monkeypatch.setattr(Batch, "_tell", tells)
    monkeypatch.setattr(Recorder, "store", late.held(Recorder.store))
    body = _lines([_event(number) for number in range(8)])
    assert _send(api, body).problem == (503, "still-under-way")
    late.release()
    assert told.wait(60), "its results could not be told"
    assert _used(api) == "3"
    counts = _counts(_send(api, body))
    assert (counts["accepted"], counts["duplicate"]) == (5, 3)


def test_a_key_with_a_scope_records_its_own_alone(sqlite_api: Api) -> None:
    key = create_key(sqlite_api.store, "a", Role.OPERATE, Pair(team="A"), act()).secret
    body = _lines([_event(1), _event(2, team_id="B"), _event(3, team_id=None)])
    reply = _send(sqlite_api.with_key(key), body)
    assert [row["outcome"] for row in reply.json["results"]] == ["accepted", "refused", "refused"]
    assert "team:A" in reply.json["results"][1]["error"]


def test_a_key_of_a_user_is_held_against_the_directory_once_a_transaction(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "EVENTS_AT_ONCE", 4)
    sqlite_api.ok("PUT", "directory", {"teams": [{"team_id": "A", "members": [{"user_id": "x"}]}]})
    key = create_key(sqlite_api.store, "x", Role.OPERATE, Pair(user="x"), act()).secret
    read = counted(monkeypatch)
    teams = ["A", "B", "A", None, None, None, None, None, "B", "A"]
    events = [_event(number, user_id="x", team_id=team) for number, team in enumerate(teams)]
    reply = _send(sqlite_api.with_key(key), _lines([*events, _event(10, user_id="y")]))
    told = [row["outcome"] for row in reply.json["results"]]
    assert told == ["refused" if team == "B" else "accepted" for team in (*teams, "B")]
    assert len(read) == 2, "nothing of the second four names a team"
    for said in ("user:x", "'B'", "2026-09-03", "Leave team_id out"):
        assert said in reply.json["results"][1]["error"]


def test_a_connection_that_breaks_leaves_whole_transactions(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "EVENTS_AT_ONCE", 10)
    body = _lines([_event(number) for number in range(35)])
    with socket.create_connection((api.host, api.port), 30) as connection:
        connection.sendall(
            b"POST /api/chargeback/usage/batch HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: application/x-ndjson\r\n"
            + f"Content-Length: {len(body) * 2}\r\n\r\n".encode()
            + body
        )
    # What the server has stored of it by now, it has in tens.
    counts = _counts(_send(api, body))
    assert counts["accepted"] + counts["duplicate"] == 35
    assert _used(api) == "35"
    assert verify(api.store).mismatches == ()


@pytest.mark.timeout(240)
def test_a_hundred_thousand_events_take_bounded_memory_and_count_once(api: Api) -> None:
    """The server is in this very process, and so is the client: the body is sent as it is made."""
    total = 100_000
    before = _peak_kib()
    first = _streamed(api, total)
    assert (first["accepted"], len(first["results"])) == (total, total)
    grown = _peak_kib() - before
    assert grown < 160 * 1024, f"{grown} KiB, with the client's own results"
    again = _streamed(api, total)
    assert again["duplicate"] == total
    assert _used(api) == str(total)


def _streamed(api: Api, total: int) -> Any:
    def lines() -> Iterator[bytes]:
        for number in range(total):
            yield json.dumps(_event(number, agent_id=f"a{number % 50}")).encode() + b"\n"

    connection = http.client.HTTPConnection(api.host, api.port, timeout=200)
    headers = {"Content-Type": LINES, "Transfer-Encoding": "chunked"}
    path = "/api/chargeback/usage/batch"
    connection.request("POST", path, lines(), headers, encode_chunked=True)
    document = json.loads(connection.getresponse().read())
    connection.close()
    return document


def _peak_kib() -> int:
    """The most memory that this process has ever held."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
