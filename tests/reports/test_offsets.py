"""How far each door has come, as people and programs are shown it."""

from chargeback_worker.invoicing.document import encode
from chargeback_worker.reports.offsets import offsets
from chargeback_worker.store import Store
from chargeback_worker.store.cursors import Door
from tests.support.feed import Feed, usage


def test_every_door_is_listed_with_its_tally(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a"), usage("a"), usage("a", "2"), b"poison")
    feed.door(Door.FILE, "digest")
    file, topic = offsets(store)["offsets"]
    assert (file["door"], file["name"], file["partition"]) == ("file", "digest", None)
    assert (topic["door"], topic["name"], topic["partition"]) == ("topic", "usage-events", 0)
    outcomes = ("accepted", "duplicate", "conflict", "quarantined")
    assert [topic[outcome] for outcome in outcomes] == [1, 1, 1, 1]
    assert (topic["consumed"], topic["skipped"], topic["next_position"]) == (4, 0, 4)
    assert encode(offsets(store))


def test_one_kind_of_door_can_be_asked_for(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a"))
    feed.door(Door.FILE, "digest")
    (topic,) = offsets(store, kind=Door.TOPIC)["offsets"]
    assert topic["door"] == "topic"


def test_lag_is_shown_where_the_end_is_known(store: Store) -> None:
    first, second = Feed(store, partition=0), Feed(store, partition=1)
    first.send(usage("a"))
    second.send(usage("b"))
    rows = offsets(store, ends={("usage-events", 0): 5})["offsets"]
    assert [(row["end_position"], row["lag"]) for row in rows] == [(5, 4), (None, None)]
