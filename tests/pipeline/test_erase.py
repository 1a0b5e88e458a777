"""A person is forgotten: their name is nowhere any more, and no amount changes."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.pipeline import erase as step
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.pipeline.erase import NameInReason, Person, UserUnknown, erase
from chargeback_worker.pipeline.keep_answer import keep_answers
from chargeback_worker.pipeline.save_rules import save_rules
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store, audit, directories, quarantine
from chargeback_worker.store.api_answers import Answered, StoredAnswer
from chargeback_worker.store.audit import ReasonMissing
from chargeback_worker.store.tables import heartbeat
from chargeback_worker.usage.event import RawEvent
from tests.support.billing import asked, sound
from tests.support.feed import Feed, held, usage
from tests.support.laws import law
from tests.support.ledger import AFTER_NOVEMBER_US, act, closed
from tests.support.upkeep import dumped, file_bytes, money
from tests.support.whole_books import whole_books

_NAME = 'Zoë "Q" O\'Näme'
_ACT = act(AFTER_NOVEMBER_US, "request 4711")
_HEARTBEAT = {"instance": _NAME, "role": "r", "started_us": 1, "at_us": 1, "detail": _NAME}
# What erasing may change.
_CHANGED = ("audit", "directory_version", "quarantine", "usage_conflict", "usage_record")


def _directory(name: str | None = _NAME, **more: Any) -> dict[str, Any]:
    zoe = {"user_id": "zoe", "name": name}
    bob = {"user_id": "bob", "name": "Bob"}
    teams: list[dict[str, Any]] = [
        {"team_id": "T", "members": [zoe, bob]},
        {"team_id": "S", "members": [zoe]},
    ]
    return {"teams": [{**team, **more} for team in teams]}


def _event(usage_id: str, user: str, cost: str = "1", **more: Any) -> bytes:
    return usage(usage_id, cost, user_id=user, **more)


@pytest.fixture
def books(store: Store) -> Store:
    """Zoe and Bob used things, and each has events that were refused and that conflict."""
    feed = Feed(store)
    apply_directory(store, _directory(), _ACT)
    apply_directory(store, _directory(cost_centre="C-1"), _ACT)
    save_rules(store, {"rule_id": "zoes", "rule_type": "by_user", "user_ids": ["zoe"]}, _ACT)
    by_zoe: dict[str, Any] = {"metadata": {"asked_by": _NAME, "model": "m"}}
    feed.send(
        _event("z1", "zoe", "3", **by_zoe),
        _event("z2", "zoe", day="2026-11-02", **by_zoe),
        _event("b1", "bob", "5", metadata={"asked_by": "Bob"}),
    )
    feed.send(
        _event("z1", "zoe", "4", **by_zoe),
        _event("b1", "bob", "6"),
        _refused(user_id="zoe", cost_usd="x"),
        _refused(cost_usd=_NAME),
        b"{ zoe called, as " + _NAME.encode() + b" does",
        _refused(user_id="bob", cost_usd="x"),
        RawEvent(b"not json", ((b"ce_subject".decode(), b"zoe"),)),
    )
    closed(store)
    return store


def _refused(**fields: Any) -> bytes:
    return json.dumps({"usage_id": "r", "timestamp": "2026-10-03T12:00:00Z", **fields}).encode()


def _holds_name(dump: dict[str, list[tuple[Any, ...]]]) -> list[str]:
    """The tables in which the name stands in whatever form."""
    found = []
    for table, rows in dump.items():
        texts = [_opened(value) for row in rows for value in row]
        if any(form in text for text in texts for form in _forms()):
            found.append(table)
    return found


def _forms() -> list[str]:
    return [_NAME, json.dumps(_NAME)[1:-1], json.dumps(_NAME, ensure_ascii=False)[1:-1]]


def _opened(value: Any) -> str:
    """A value of a row as text; a kept message unpacked."""
    if not isinstance(value, bytes | memoryview):
        return str(value)
    try:
        raw = quarantine.unpack(bytes(value), 0)
    except Exception:
        return bytes(value).decode(errors="replace")
    return f"{(raw.value or b'').decode(errors='replace')} {raw.headers!r} {raw.key!r}"


def test_the_name_is_nowhere_any_more_and_no_amount_changes(books: Store) -> None:
    assert set(_holds_name(dumped(books))) == {
        "directory_version",
        "quarantine",
        "usage_conflict",
        "usage_record",
    }
    before, rest, used = money(books), dumped(books, but=_CHANGED), held(books)

    done = erase(books, "zoe", _ACT)

    assert _holds_name(dumped(books)) == []
    assert done.holding_name == {}
    assert (done.versions, done.quarantined, done.conflicts, done.records) == (2, 4, 1, 2)
    assert money(books) == before
    assert dumped(books, but=_CHANGED) == rest
    assert (held(books).keys, held(books).totals) == (used.keys, used.totals)
    assert sound(books)


def test_no_byte_of_its_files_has_the_name(books: Store) -> None:
    if books.dialect.name != "sqlite":
        assert any("VACUUM" in sentence for sentence in erase(books, "zoe", _ACT).left)
        return
    with books.begin() as transaction:
        # What was removed before leaves its bytes in the free space of a page.
        transaction.connection.exec_driver_sql("PRAGMA secure_delete = OFF")
        transaction.execute(sa.insert(heartbeat).values(_HEARTBEAT))
        transaction.execute(sa.delete(heartbeat))
    plain = "Zoë".encode()
    assert plain in file_bytes(books)
    erase(books, "zoe", _ACT)
    assert plain not in file_bytes(books)
    assert b"O'N" not in file_bytes(books)


def test_what_is_of_others_stays(books: Store) -> None:
    erase(books, "zoe", _ACT)
    with books.read() as transaction:
        stored = directories.current(transaction)
        events = [quarantine.get(transaction, number) for number in range(1, 6)]
    assert stored is not None
    names = {m["user_id"]: m["name"] for team in stored.document["teams"] for m in team["members"]}
    assert names == {"bob": "Bob", "zoe": None}
    kept = [event.quarantine_id for event in events if event.raw is not None]
    assert kept == [4]
    assert [(event.state.value, event.outcome) for event in events][:2] == [
        ("dismissed", "erased"),
        ("dismissed", "erased"),
    ]
    assert (events[3].state.value, events[3].replayable) == ("held", True)
    texts = repr(dumped(books)["usage_record"])
    assert "asked_by" in texts
    assert texts.count("asked_by") == 1


def test_the_answer_counts_what_still_holds_the_id(books: Store) -> None:
    done = erase(books, "zoe", _ACT)
    assert done.holding_id == {
        "usage_record": 2,
        "usage_total": 2,
        "rule_version": 1,
        "directory_version": 2,
        "snapshot": 1,
        "booking": 1,
        "invoice_line": 1,
        "audit": 3,
        "outbox": 1,
    }
    assert all(sentence.endswith(".") for sentence in done.left)
    assert done.left


def test_whose_id_is_like_a_share_billed_apart_is_not_taken_for_another(store: Store) -> None:
    Feed(store).send(_event("a", "A/user:x"), usage("b", team="B/user:x", user_id=None))
    save_rules(store, {"rule_id": "r", "rule_type": "by_user", "user_ids": ["A/user:x"]}, _ACT)
    asked(store, "T", "A/user:x")
    closed(store, now_us=AFTER_NOVEMBER_US)

    done = erase(store, "A/user:x", _ACT)

    assert done.holding_id == {
        "usage_record": 1,
        "usage_total": 1,
        "rule_version": 1,
        "snapshot": 1,
        "invoice_request": 1,
        "booking": 1,
        "invoice": 1,
        "invoice_line": 1,
        "outbox": 1,
        "outbox_sequence": 1,
        # The rule, the draft of the request, and twice this.
        "audit": 4,
    }
    with pytest.raises(UserUnknown):
        erase(store, "x", _ACT)


def test_a_name_in_a_text_that_is_not_erased_is_told(books: Store) -> None:
    save_rules(books, {"rule_id": "r", "rule_type": "by_user", "name": f"What {_NAME} uses"}, _ACT)
    done = erase(books, "zoe", _ACT)
    assert done.holding_name == {"rule_version": 1, "audit": 1}


def test_it_is_audited_without_the_name(books: Store) -> None:
    erase(books, "zoe", _ACT)
    with books.read() as transaction:
        last, begun, *_ = audit.listed(transaction)
    assert (begun.action, begun.subject, begun.reason) == (
        "erase.begin",
        "user:zoe",
        "request 4711",
    )
    assert (last.action, last.subject) == ("erase", "user:zoe")
    assert last.after == {
        "directory_versions": 2,
        "quarantined": 4,
        "conflicts": 1,
        "usage_records": 2,
    }


def test_erasing_twice_is_erasing_once(books: Store) -> None:
    first = erase(books, "zoe", _ACT)
    before = dumped(books, but=("audit",))
    again = erase(books, "zoe", _ACT)
    assert (again.versions, again.quarantined, again.conflicts, again.records) == (0, 0, 0, 0)
    assert dumped(books, but=("audit",)) == before
    assert {**again.holding_id, "audit": 0} == {**first.holding_id, "audit": 0}


@pytest.mark.parametrize("at", ["_erase_kept", "_erase_metadata"])
def test_broken_off_it_is_gone_on_with(
    books: Store, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:

        def killed(*_: object) -> int:
            raise KeyboardInterrupt

        patched.setattr(step, at, killed)
        with pytest.raises(KeyboardInterrupt):
            erase(books, "zoe", _ACT)
    assert sound(books)
    erase(books, "zoe", _ACT)
    assert _holds_name(dumped(books)) == []
    assert sound(books)


def test_the_same_directory_without_the_name_makes_no_version(books: Store) -> None:
    erase(books, "zoe", _ACT)
    assert not apply_directory(books, _directory(None, cost_centre="C-1"), _ACT).changed
    assert apply_directory(books, _directory(cost_centre="C-1"), _ACT).changed
    assert sound(books)


def test_what_was_erased_is_not_replayed_and_still_counted(books: Store) -> None:
    erase(books, "zoe", _ACT)
    with books.read() as transaction:
        assert quarantine.count_replayable(transaction) == 1
    assert verify(books).mismatches == ()


@pytest.mark.parametrize("user", ["nobody", "Zoe", "zo", "T", "user:zoe"])
def test_a_user_that_nobody_knows_is_refused(books: Store, user: str) -> None:
    before = dumped(books)
    with pytest.raises(UserUnknown, match="Nothing is stored of a user"):
        erase(books, user, _ACT)
    assert dumped(books) == before


def test_a_reason_is_required_and_must_not_hold_the_name(books: Store) -> None:
    before = dumped(books)
    with pytest.raises(ReasonMissing):
        erase(books, "zoe", act())
    with pytest.raises(NameInReason):
        erase(books, "zoe", act(reason=f"{_NAME} asked for it"))
    assert dumped(books) == before


def test_a_name_that_two_people_have_stays_that_of_the_other(store: Store) -> None:
    Feed(store).send(b"Bob was here", _refused(user_id="bob2", cost_usd="x"))
    members = [{"user_id": "bob", "name": "Bob"}, {"user_id": "bob2", "name": "Bob"}]
    apply_directory(store, {"teams": [{"team_id": "T", "members": members}]}, _ACT)
    done = erase(store, "bob2", _ACT)
    assert (done.versions, done.quarantined) == (1, 1)
    with store.read() as transaction:
        assert quarantine.get(transaction, 1).raw is not None


def test_books_with_everything_in_them_stay_sound(
    store_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    where = request.getfixturevalue("postgresql") if store_kind == "postgresql" else tmp_path
    with whole_books(where) as store:
        before = money(store)
        done = erase(store, "z", _ACT)
        assert done.versions == 1
        assert verify(store).mismatches == ()
        assert money(store) == before


_PERSON = Person("ada", ("Ada L.",))
_OF_ADA = {
    "as a user": b'{"user_id": "ada"}',
    "under another word": b'{"userId": "ada"}',
    "within": b'{"metadata": {"people": ["bob", "ada"]}}',
    "escaped": b'{"user_id": "\\u0061da"}',
    "by name": b'{"note": "asked by ada l. today"}',
    "in base64": json.dumps(
        {"data_base64": base64.b64encode(b'{"user_id": "ada"}').decode()}
    ).encode(),
    "in broken JSON": b'{"user_id": "ada",',
    "in a text": b"ada, again",
    "in no UTF-8": b'\xff "ada"',
    "as a name of a field": b'{"ada": 1}',
}
_OF_OTHERS = {
    "a team": b'{"team_id": "ada", "user_id": "bob"}',
    "a resource": b'{"resource_type": "ada"}',
    "an id": b'{"usage_id": "ada"}',
    "a longer id": b'{"user_id": "ada-2"}',
    "a longer word": b"adamant",
    "a longer id in a text": b"ada-2",
    "nothing": b"",
    "base64 that is none": b'{"data_base64": "ada="}',
    "a part of a text": b'{"note": "what ada is"}',
}


@pytest.mark.parametrize("name", _OF_ADA)
def test_a_message_is_of_a_person(name: str) -> None:
    assert _PERSON.in_message(quarantine.pack(RawEvent(_OF_ADA[name])))


@pytest.mark.parametrize("name", _OF_OTHERS)
def test_a_message_is_of_somebody_else(name: str) -> None:
    assert not _PERSON.in_message(quarantine.pack(RawEvent(_OF_OTHERS[name])))


@law()
@given(st.binary(max_size=60), st.text(max_size=6))
def test_any_message_can_be_looked_at(value: bytes, user: str) -> None:
    person = Person(user or "x", ())
    person.in_message(quarantine.pack(RawEvent(value)))
    person.in_message(value)


def test_what_was_answered_to_requests_is_forgotten_too(books: Store) -> None:
    body = json.dumps({"metadata": {"asked_by": _NAME}}).encode()
    answered = Answered("key:a", "k", StoredAnswer(b"d", 201, {}, body))
    keep_answers(books, [answered], _ACT.now_us)
    assert "api_answer" in _holds_name(dumped(books))
    erase(books, "zoe", _ACT)
    assert _holds_name(dumped(books)) == []
