"""A message that the broker refuses for ever, while all others go on, until that is mended."""

import json
from dataclasses import replace

import kafka
import sqlalchemy as sa
from kafka.admin import ConfigResource, ConfigResourceType

from chargeback_worker.money import NANO
from chargeback_worker.period import Period, to_us
from chargeback_worker.simulation import Truth
from chargeback_worker.store.tables import outbox
from tests.faults.billed import Used
from tests.faults.books import FIRST, Books, books, due_at, months_from
from tests.faults.flow import Pace
from tests.faults.scene import Figures, Ground
from tests.support.feed import Feed, usage

# Names and lengths of fields, beside the value.
_AROUND = 1_000
_USERS = 200
_ENOUGH = 8 * 1024 * 1024


def broker_refuses(ground: Ground, pace: Pace) -> Figures:
    """The largest invoice is too large for the topic: its receiver is parked, and with it the end
    of each of `pace.faults` months; the others are published, and `periods` says what waits. Once
    the topic takes more and the receiver is released, all is published, in its order."""
    with books(ground, pace, months_from(FIRST, pace.faults)) as given:
        for month in given.months:
            _use_much(given, month)
        closer = given.worker("closer", "scheduler")
        for month in given.months:
            given.clock.set(due_at(month))
            assert given.closes_in_time(closer, month), closer.last_words
        parked = _limit_the_topic(given, given.months[0])
        publisher = given.worker("publisher", "publisher")
        held = _held(given, parked)
        others = given.unpublished() - len(held)
        if not given.comes_to_rest(closer, len(held)):
            given.wrong.append(f"the others did not go on: {publisher.last_words[-800:]}")
        # It tries no more of that receiver, whatever else comes.
        rounds = len(publisher.lines("round"))
        publisher.wait_until(lambda: len(publisher.lines("round")) > rounds + 3, 30)
        said = sum(line["receivers"] for line in publisher.lines("parked"))
        if said != 1:
            given.wrong.append(f"{said} receivers were said to be parked, not 1")
        given.wrong.extend(_untold(given))
        before = given.figures("refused by the broker", pace.faults, held=held)
        # To mend it is not enough: it was refused for ever.
        _let_the_topic_take(given, _ENOUGH)
        released = given.scene.command("outbox", "release", parked, "--reason", "raised", "--yes")
        if parked not in released or not given.comes_to_rest(closer):
            given.wrong.append(f"it did not go on when released: {publisher.last_words[-800:]}")
        for worker in (closer, publisher):
            assert worker.stop() == 0, worker.last_words
        detail = (
            f"{parked} parked, {others} messages of others published, each month says so;"
            f" {len(held)} more in order when it was released"
        )
        after = given.figures("refused by the broker", pace.faults, detail)
        return replace(after, mismatches=[*before.mismatches, *after.mismatches])


def _use_much(given: Books, month: Period) -> None:
    """Usage of a team with so many users that nobody has a longer invoice."""
    feed = Feed(given.store, partition=1, now_us=to_us(due_at(month)))
    events = []
    for number in range(_USERS):
        name, user = f"{month}-{number}", f"user-{number}"
        day = month.days().start.isoformat()
        events.append(usage(name, day=day, team="large", user_id=user, agent_id="a"))
        truth = Truth("accepted", False, "", name, "large", user, "a", "query", NANO, NANO)
        given.scene.flow.expected.add(truth)
        given.used.append(Used(month, truth))
    feed.send(*events)


def _limit_the_topic(given: Books, month: Period) -> str:
    """Let the topic take all but the messages to whom the largest one of a month is; who it is."""
    size = sa.func.length(outbox.c.payload)
    of_month = sa.select(outbox.c.key, size.label("size")).where(outbox.c.period == month.number)
    with given.store.read() as transaction:
        largest = transaction.execute(of_month.order_by(size.desc()).limit(1)).one()
        # Of any month: who is small in one may be larger in another.
        others = sa.select(sa.func.max(size)).where(outbox.c.key != largest.key)
        limit = transaction.execute(others).scalar_one() + _AROUND
    assert largest.size > limit, (largest, limit)
    _let_the_topic_take(given, limit)
    return str(largest.key)


def _let_the_topic_take(given: Books, size: int) -> None:
    """Messages of so many bytes."""
    admin = kafka.KafkaAdminClient(bootstrap_servers=given.scene.flow.servers)
    try:
        wanted = {"max.message.bytes": str(size)}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, given.topic, wanted)])
    finally:
        admin.close()


def _held(given: Books, key: str) -> list[str]:
    """The messages that a refused one holds up: those behind it, and the ends of their months."""
    with given.store.read() as transaction:
        kept = transaction.execute(sa.select(outbox.c.ce_id, outbox.c.key, outbox.c.period)).all()
    months = {row.period for row in kept if row.key == key}
    ends = {str(Period.from_number(number)) for number in months}
    return [row.ce_id for row in kept if row.key == key or row.key in ends]


def _untold(given: Books) -> list[str]:
    """The months of which `chargeback periods` does not say what their end waits for."""
    found = json.loads(given.scene.command("periods", "-o", "json"))["periods"]
    said = {row["period"]: row for row in found}
    wrong = []
    for number, month in enumerate(given.months):
        row = said[str(month)]
        words = "; ".join(row["waits_for"])
        first = number == 0
        told = "the broker refuses" in words if first else "to be published" in words
        if row["parked_messages"] != int(first) or not told:
            wrong.append(f"periods says of {month}: {words!r}, {row['parked_messages']} parked")
    return wrong
