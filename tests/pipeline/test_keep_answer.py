"""Keys that are claimed before their thing is done: of all who do, one was first."""

from concurrent.futures import ThreadPoolExecutor

from chargeback_worker.pipeline.keep_answer import KEPT_US, claim_key
from chargeback_worker.reports.keys import find_answers
from chargeback_worker.store import Store
from chargeback_worker.store.api_answers import Answered, StoredAnswer
from tests.support.ledger import NOW_US


def _claim(store: Store, said: str, *, key: str = "k", owner: str = "o", late_us: int = 0) -> str:
    answered = Answered(owner, key, StoredAnswer(said.encode(), 200, {}, b""))
    return claim_key(store, answered, NOW_US + late_us).digest.decode()


def test_the_first_claim_of_a_key_stands(store: Store) -> None:
    assert [_claim(store, said) for said in ("one", "two", "one")] == ["one"] * 3
    assert _claim(store, "two", key="k2") == "two"
    assert _claim(store, "two", owner="o2") == "two"
    (found,) = find_answers(store, [("o", "k")], NOW_US)
    assert found == StoredAnswer(b"one", 200, {}, b"")


def test_a_claim_is_forgotten_when_answers_are(store: Store) -> None:
    assert _claim(store, "one") == "one"
    assert _claim(store, "two", late_us=KEPT_US) == "one"
    assert _claim(store, "two", late_us=KEPT_US + 1) == "two"


def test_of_several_who_claim_a_key_at_once_all_hear_of_the_same(store: Store) -> None:
    for key in ("a", "b", "c"):
        with ThreadPoolExecutor(6) as those:
            heard = set(those.map(lambda n, key=key: _claim(store, f"{n}", key=key), range(6)))
        assert len(heard) == 1
