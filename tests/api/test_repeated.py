"""A POST tried again with the same Idempotency-Key is answered as before, and not done twice."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.api.refusals import StillUnderWay
from chargeback_worker.api.repeated import BATCH, ONE, _alone, _under_way, made_id
from chargeback_worker.api.routes import rules as rule_routes
from chargeback_worker.pipeline.keys import create_key
from chargeback_worker.pipeline.save_rules import create_rule
from chargeback_worker.reports.verify import verify
from chargeback_worker.store.api_keys import Role
from tests.support.http_api import Api, Reply
from tests.support.http_late import Late
from tests.support.ledger import act

BARE = {"cost_usd": 1, "team_id": "A"}
RENT = {"rule_id": "rent", "rule_type": "equal_split", "team_id": "A"}


def test_the_same_request_is_answered_as_before(api: Api) -> None:
    keyed = api.having(Idempotency_Key="k-1")
    first, again = keyed.post("usage", BARE), keyed.post("usage", BARE)
    assert (first.status, again.status) == (201, 201)
    assert first.body == again.body
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert api.ok("GET", "usage/summary", period=first.json["usage_record"]["billing_period"])[
        "summary"
    ]["record_count"] == "1"  # fmt: skip
    made = keyed.having(Idempotency_Key="k-2").post("allocation-rules", RENT)
    repeated = keyed.having(Idempotency_Key="k-2").post("allocation-rules", RENT)
    assert (made.status, repeated.status, repeated.headers["etag"]) == (201, 201, '"1"')
    assert api.post("allocation-rules", RENT).status == 409


def test_a_key_is_for_one_request(api: Api) -> None:
    keyed = api.having(Idempotency_Key="k-1")
    assert keyed.post("usage", BARE).status == 201
    assert keyed.post("usage", {**BARE, "cost_usd": 2}).problem == (422, "key-reused")
    assert keyed.post("allocation-rules", RENT).problem == (422, "key-reused")


def test_what_was_refused_may_be_tried_again_when_it_is_right(api: Api) -> None:
    keyed = api.having(Idempotency_Key="k-1")
    late = {"status": "paid"}
    assert late
    assert keyed.post("periods/2026-09/reopen", {"reason": "x"}).problem == (409, "not-closed")
    api.ok("POST", "usage", {**BARE, "timestamp": "2026-09-03T12:00:00Z"})
    api.ok("POST", "periods/2026-09/close")
    assert keyed.post("periods/2026-09/reopen", {"reason": "x"}).status == 200
    assert keyed.post("periods/2026-09/reopen", {"reason": "x"}).status == 200


def test_a_key_is_its_senders_own(api: Api) -> None:
    first = create_key(api.store, "one", Role.OPERATE, Pair(team="A"), act()).secret
    second = create_key(api.store, "two", Role.OPERATE, None, act()).secret
    event = {**BARE, "usage_id": "u", "timestamp": "2026-09-03T12:00:00Z"}
    one = api.with_key(first).having(Idempotency_Key="same").post("usage", event)
    other = api.with_key(second).having(Idempotency_Key="same").post("usage", event)
    assert (one.status, other.status) == (201, 200)
    assert "idempotency-replayed" not in other.headers


def test_usage_without_an_id_is_another_for_another_sender(api: Api) -> None:
    first = create_key(api.store, "one", Role.OPERATE, Pair(team="A"), act()).secret
    second = create_key(api.store, "two", Role.OPERATE, None, act()).secret
    event = {**BARE, "timestamp": "2026-09-03T12:00:00Z"}
    keyed = [api.with_key(secret).having(Idempotency_Key="same") for secret in (first, second)]
    replies = [sender.post("usage", event) for sender in keyed]
    assert [reply.status for reply in replies] == [201, 201]
    assert len({reply.json["usage_record"]["usage_id"] for reply in replies}) == 2
    with api.store.begin() as transaction:
        transaction.connection.exec_driver_sql("DELETE FROM api_answer")
    assert [sender.post("usage", event).status for sender in keyed] == [200, 200]


def test_usage_of_this_machine_has_the_id_that_it_always_had() -> None:
    assert made_id("local", ONE, "job-7") == "6e4a5cef-2e98-5f9b-bff5-eb0afd70e939"


def test_ids_tell_apart_who_sends_what_where_under_which_key() -> None:
    told = [
        ("local", ONE, "k", 0),
        ("local", BATCH, "k", 0),
        ("local", BATCH, "k", 1),
        ("key:1", ONE, "k", 0),
        ("key:1", ONE, "l", 0),
        ("key:1", BATCH, "k", 0),
        ("key:2", BATCH, "k", 0),
    ]
    assert len({made_id(*one) for one in told}) == len(told)


def test_the_same_key_at_once_is_done_once(api: Api) -> None:
    keyed, replies = api.having(Idempotency_Key="k-1"), list[Reply]()
    threads = [
        threading.Thread(target=lambda: replies.append(keyed.post("usage", BARE))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {reply.status for reply in replies} == {201}
    assert len({reply.body for reply in replies}) == 1
    assert verify(api.store).mismatches == ()


def test_a_write_that_is_given_up_goes_on_and_who_tries_again_gets_its_answer(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Late(monkeypatch)
    monkeypatch.setattr(rule_routes, "create_rule", late.held(create_rule))
    keyed = api.having(Idempotency_Key="k-1")
    first = keyed.post("allocation-rules", RENT)
    assert first.problem == (503, "still-under-way")
    assert int(first.headers["retry-after"]) > 0
    late.release()
    # It waits for the first, whether that has ended by now or not.
    again = keyed.post("allocation-rules", RENT)
    assert (again.status, again.headers["idempotency-replayed"]) == (201, "true")
    assert api.ok("GET", "allocation-rules/rent")["rule"]["version"] == "1"


def test_who_waits_for_the_same_key_waits_no_longer_than_a_request_may_take() -> None:
    name = (0, "local", "k-1")

    async def waits() -> None:
        async with _alone(name, 60):
            with pytest.raises(StillUnderWay):
                async with _alone(name, 0):
                    raise AssertionError("two at once")
        async with _alone(name, 0):
            assert _under_way.keys() == {name}
        assert not _under_way

    asyncio.run(waits())


def test_different_keys_at_once_are_answered_each_with_its_own(api: Api) -> None:
    def ask(number: int) -> Reply:
        event = {**BARE, "agent_id": f"{number}"}
        return api.having(Idempotency_Key=f"k-{number}").post("usage", event)

    with ThreadPoolExecutor(16) as clients:
        first, again = list(clients.map(ask, range(16))), list(clients.map(ask, range(16)))
    assert [reply.body for reply in first] == [reply.body for reply in again]
    assert {reply.headers.get("idempotency-replayed") for reply in first} == {None}
    assert {reply.headers.get("idempotency-replayed") for reply in again} == {"true"}
    assert [reply.json["usage_record"]["agent_id"] for reply in again] == [*map(str, range(16))]
    assert verify(api.store).mismatches == ()


def test_an_answer_that_was_lost_is_made_again_without_counting_twice(api: Api) -> None:
    """As after a kill between the commit and the answer that is kept of it."""
    keyed = api.having(Idempotency_Key="k-1")
    first = keyed.post("usage", BARE)
    with api.store.begin() as transaction:
        transaction.connection.exec_driver_sql("DELETE FROM api_answer")
    again = keyed.post("usage", BARE)
    assert (again.status, again.json) == (200, first.json)


def test_a_key_that_is_none_is_refused(sqlite_api: Api) -> None:
    for key in ("", "x" * 256, "ä"):
        reply = sqlite_api.ask(
            "POST",
            "usage",
            BARE,
            headers={"Idempotency-Key": key.encode("latin-1").decode("latin-1")},
        )
        assert reply.problem == (400, "parameter-refused"), key
