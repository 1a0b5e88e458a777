"""API keys: made, known by a digest, revoked; and all of it in the audit."""

import pytest
import sqlalchemy as sa

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.pipeline.keep_answer import KEPT_US, keep_answers
from chargeback_worker.pipeline.keys import (
    BadScope,
    KeyTooWeak,
    bootstrap_key,
    create_key,
    read_scope,
    revoke_key,
)
from chargeback_worker.reports.keys import find_answers, find_key, list_keys
from chargeback_worker.store import Store, audit
from chargeback_worker.store.api_answers import Answered, StoredAnswer
from chargeback_worker.store.api_keys import AlreadyRevoked, KeyIdUnknown, Role
from chargeback_worker.store.tables import api_answer, metadata
from tests.support.ledger import NOW_US, act

GIVEN = "0123456789abcdef" * 2


def test_a_key_is_found_by_itself_alone_until_it_is_revoked(store: Store) -> None:
    assert find_key(store, "anything") == (None, False)
    made = create_key(store, "ada", Role.OPERATE, Pair(team="T"), act())
    found, any_made = find_key(store, made.secret)
    assert found == made.key
    assert any_made
    assert find_key(store, made.secret[:-1]) == (None, True)
    assert find_key(store, None) == (None, True)

    revoked = revoke_key(store, made.key.key_id, act())
    assert revoked.revoked_us == NOW_US
    assert find_key(store, made.secret) == (None, True), "a locked door does not open again"
    with pytest.raises(AlreadyRevoked):
        revoke_key(store, made.key.key_id, act())
    with pytest.raises(KeyIdUnknown):
        revoke_key(store, "nobody", act())


def test_the_key_itself_is_kept_nowhere(store: Store) -> None:
    made = create_key(store, "", Role.READ, None, act())
    secret = made.secret.rpartition("_")[2]
    with store.read() as transaction:
        for table in metadata.sorted_tables:
            for row in transaction.execute(sa.select(table)):
                assert secret not in str(tuple(row))
        (told,) = audit.listed(transaction)
    assert (told.action, told.subject) == ("key.create", f"key:{made.key.key_id}")
    assert secret not in str(list_keys(store))


def test_two_keys_are_never_the_same(store: Store) -> None:
    secrets = {create_key(store, "", Role.READ, None, act()).secret for _ in range(5)}
    assert len(secrets) == 5
    assert min(map(len, secrets)) >= 43


def test_a_given_key_is_taken_as_the_first_one_only(store: Store) -> None:
    with pytest.raises(KeyTooWeak):
        bootstrap_key(store, "secret", act())
    first = bootstrap_key(store, GIVEN, act())
    assert first is not None
    assert first.role is Role.ADMIN
    assert find_key(store, GIVEN) == (first, True)
    assert bootstrap_key(store, GIVEN, act()) is None
    assert bootstrap_key(store, GIVEN + "other", act()) is None
    assert len(list_keys(store)["keys"]) == 1


def test_scopes_are_a_team_or_a_user() -> None:
    assert read_scope("team:A:b") == Pair(team="A:b")
    assert read_scope("user:u") == Pair(user="u")
    for wrong in ("", "team", "team:", "A", "org:x", "team:\n"):
        with pytest.raises(BadScope):
            read_scope(wrong)


def test_each_role_may_what_those_before_it_may() -> None:
    reached = [[wanted for wanted in Role if role.reaches(wanted)] for role in Role]
    assert reached == [
        [Role.READ],
        [Role.READ, Role.OPERATE],
        [Role.READ, Role.OPERATE, Role.ADMIN],
    ]


def test_an_answer_is_kept_for_its_owner_and_its_time(store: Store) -> None:
    one = StoredAnswer(b"d", 201, {"etag": '"1"'}, b"{}")
    other = StoredAnswer(b"e", 200, {}, b"[]")
    keep_answers(store, [Answered("a", "k", one)], NOW_US)
    keep_answers(store, [Answered("a", "k", other)], NOW_US + 1)
    assert find_answers(store, [("a", "k")], NOW_US) == [one], "the first one stands"
    assert find_answers(store, [("b", "k"), ("a", "k")], 0) == [None, one]
    assert find_answers(store, [("a", "k")], NOW_US + 1) == [None]

    later = NOW_US + KEPT_US + 10
    both = [Answered("b", "k", one), Answered("a", "k", other)]
    keep_answers(store, both, later)
    assert find_answers(store, [("a", "k"), ("b", "k"), ("a", "b")], NOW_US) == [other, one, None]
    keep_answers(store, [Answered("c", "k", one)], later + KEPT_US + 10)
    with store.read() as transaction:
        kept = transaction.execute(sa.select(api_answer.c.owner)).scalars().all()
    assert kept == ["c"], "what has had its time is forgotten"
