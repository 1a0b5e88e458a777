"""Every refused event is quarantined alone, with its reason, and holds nothing good up."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import sqlalchemy as sa

from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store, schema
from chargeback_worker.store.tables import quarantine
from chargeback_worker.usage.event import RawEvent
from tests.support.feed import Feed, usage
from tests.support.poison import CORPUS, Poison
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def poisoned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Feed]:
    """One partition to which all of the corpus is sent."""
    with ExitStack() as opened:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('poisoned') / 'books.db'}"
        else:
            server: PostgresServer = request.getfixturevalue("postgresql")
            url = opened.enter_context(server.database())
        store = Store(url)
        opened.callback(store.close)
        schema.upgrade(store)
        yield Feed(store)


def _good(name: str) -> bytes:
    return usage(name, day="2026-10-31")


@pytest.mark.parametrize("poison", CORPUS, ids=lambda poison: poison.name)
def test_poison_is_quarantined_alone(poisoned: Feed, poison: Poison) -> None:
    name, raw, reason = poison
    outcomes = poisoned.send(_good(f"before {name}"), raw, _good(f"after {name}"))
    assert outcomes == ["accepted", "quarantined", "accepted"]
    with poisoned.store.read() as transaction:
        row = transaction.execute(
            sa.select(quarantine).order_by(quarantine.c.quarantine_id.desc()).limit(1)
        ).one()
    assert row.reason == reason.value
    assert row.detail
    assert row.position == poisoned.cursor.next_position - 2


def test_after_all_poison_the_books_agree(poisoned: Feed) -> None:
    assert verify(poisoned.store).mismatches == ()


def test_all_poison_in_one_batch_ends_as_one_by_one(store: Store) -> None:
    feed = Feed(store)
    values: list[bytes | RawEvent] = []
    for poison in CORPUS:
        values += [poison.raw, _good(f"beside {poison.name}")]
    assert feed.send(*values) == ["quarantined", "accepted"] * len(CORPUS)
    assert verify(store).mismatches == ()
