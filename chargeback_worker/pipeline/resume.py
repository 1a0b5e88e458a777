"""Books that came from a backup go on: no number and no `seq` that is on the topic is used again.

The topic is read back whole. Numbers and `seq` continue after the highest that it holds, and what
was skipped so is written into the audit, by which `verify` knows it. Of invoices that the books
hold and the topic tells more of, their present status is told once more, so that the last message
of each says what the books say. What only the topic knows is told anew by the close that issues it
again: with the same id, a higher `seq` and another number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from chargeback_worker.broker import Message
from chargeback_worker.broker.errors import MissingTopic
from chargeback_worker.broker.ranges import bounds, read_ranges
from chargeback_worker.errors import Conflict
from chargeback_worker.invoicing.invoice import Invoice, Status, read_number
from chargeback_worker.invoicing.message import Told, told
from chargeback_worker.period import Period, from_us
from chargeback_worker.pipeline.closing.issuing import tell
from chargeback_worker.pipeline.holding.older import World, hold_if_older
from chargeback_worker.store import Store, Transaction, audit, holds, invoices, outbox
from chargeback_worker.store.audit import Act
from chargeback_worker.store.holds import Hold, Marks
from chargeback_worker.store.rows import chunks

ACTION = "db.resume"
_MESSAGES_AT_ONCE = 1_000


class UsedTwice(Conflict):
    """Numbers were given out here that the topic holds for something else."""

    def __init__(self, topic: str, what: str) -> None:
        super().__init__(
            f"The topic {topic} holds something else under {what}, which these books have given out"
            " since they were restored; or it is the topic of another installation.",
            "Restore the backup once more and resume before anything is closed or issued, or set"
            " kafka.invoices_topic to a topic of its own.",
        )


@dataclass(frozen=True, slots=True)
class Resumed:
    """What was read back, and what came of it.

    `numbers` are, by month, the last one before and after: those between are void. `keys` counts
    receivers and months whose `seq` was raised, `told` invoices whose status was told once more.
    Of the `messages` of the topic, `unknown` are not of these books, closes (`2026-10:1`) among
    them.
    """

    hold: Hold
    numbers: Mapping[Period, tuple[int, int]]
    keys: int
    messages: int
    unknown: int
    closes: Sequence[str]
    told: int


@dataclass(slots=True)
class _ReadBack:
    """What the topic holds."""

    marks: Marks = field(default_factory=Marks)
    seqs: dict[str, int] = field(default_factory=dict)
    last: dict[Period, int] = field(default_factory=dict)
    messages: int = 0
    unknown: int = 0
    closes: list[str] = field(default_factory=list)
    # Of unknown messages: the first of each key, the invoices they tell of, and by which number.
    first: dict[str, int] = field(default_factory=dict)
    invoice_ids: set[str] = field(default_factory=set)
    numbered: dict[str, str] = field(default_factory=dict)
    clash: str | None = None


class _Payload(msgspec.Struct):
    invoice_number: str = ""


_decoder = msgspec.json.Decoder(_Payload)


def resume(store: Store, world: World, act: Act) -> Resumed | None:
    """Read the topic back, raise what counts, and let closing and publishing go on; None where
    they are not held, nor the books older than their topics.

    Raises ReasonMissing, UsedTwice, MissingTopic, and Unavailable: nothing was changed then.
    """
    act.require_reason("go on with books that are older than their topics")
    # From here on no message is written, and none sent but those that are on their way.
    hold = hold_if_older(store, world, act.now_us)
    if hold is None:
        return None
    read = _read_back(store, world)
    with store.begin() as transaction:
        # Somebody else may have been first.
        if not holds.release(transaction):
            return None
        _refuse_used_twice(transaction, world.invoices_topic, read)
        numbers = invoices.raise_numbers(transaction, read.last)
        seqs = outbox.raise_seqs(transaction, read.seqs)
        holds.mark(transaction, read.marks)
        known = invoices.issued_among(transaction, read.invoice_ids)
        tell(transaction, list(map(_as_told, known)), from_us(act.now_us))
        done = Resumed(
            hold, numbers, len(seqs), read.messages, read.unknown, tuple(read.closes), len(known)
        )
        _audit(transaction, act, world.invoices_topic, done, seqs)
    return done


def _read_back(store: Store, world: World) -> _ReadBack:
    topic, broker = world.invoices_topic, world.broker
    described = broker.describe(topic)
    if described is None:
        raise MissingTopic(topic, "the broker")
    found = _ReadBack()
    committed = broker.committed(world.group_id, world.usage_topic)
    with store.read() as transaction:
        before = holds.marks(transaction)
    reader = broker.reader()
    try:
        there = bounds(reader, topic, described.partitions)
        found.marks = Marks(
            described.topic_id,
            {place.partition: end for place, (_, end) in there.items()},
            {place.partition: offset for place, offset in committed.items()},
        )
        read_before = before.ends if before.topic_id == described.topic_id else {}
        for messages in chunks(read_ranges(reader, there), _MESSAGES_AT_ONCE):
            _note(store, found, messages, read_before)
    finally:
        reader.close()
    return found


def _note(
    store: Store, found: _ReadBack, messages: Sequence[Message], read_before: Mapping[int, int]
) -> None:
    """`read_before` is up to where an earlier resume has read each partition."""
    ours = [(message, said) for message in messages if (said := told(message.headers)) is not None]
    with store.read() as transaction:
        written = outbox.find(transaction, [said.ce_id for _, said in ours])
    for message, said in ours:
        key = (message.key or b"").decode(errors="replace")
        found.messages += 1
        found.seqs[key] = max(said.seq, found.seqs.get(key, 0))
        number = "" if said.invoice_id is None else _number(message.value)
        if (place := read_number(number)) is not None:
            period, n = place
            found.last[period] = max(n, found.last.get(period, 0))
        known = written.get(said.ce_id)
        if known is not None and not known.says(message.value):
            found.clash = f"the id {said.ce_id}"
        if known is None and message.offset >= read_before.get(message.partition.partition, 0):
            _note_unknown(found, key, said, number)


def _note_unknown(found: _ReadBack, key: str, said: Told, number: str) -> None:
    found.unknown += 1
    found.first[key] = min(said.seq, found.first.get(key, said.seq))
    if said.invoice_id is None:
        found.closes.append(said.ce_id)
        return
    found.invoice_ids.add(said.invoice_id)
    if number:
        found.numbered[number] = said.invoice_id


def _number(payload: bytes | None) -> str:
    try:
        return _decoder.decode(payload or b"").invoice_number
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def _refuse_used_twice(transaction: Transaction, topic: str, read: _ReadBack) -> None:
    if read.clash is not None:
        raise UsedTwice(topic, read.clash)
    for key, last in outbox.last_seqs(transaction, read.first).items():
        if last >= read.first[key]:
            raise UsedTwice(topic, f"seq {read.first[key]} of {key}")
    for number, invoice_id in invoices.ids_of(transaction, read.numbered).items():
        if invoice_id != read.numbered[number]:
            raise UsedTwice(topic, number)


def _as_told(invoice: Invoice) -> Invoice:
    """What is not published yet is told as if it were, as its issued message does."""
    return replace(invoice, status=Status.SENT) if invoice.status is Status.PENDING else invoice


def _audit(
    transaction: Transaction,
    act: Act,
    topic: str,
    done: Resumed,
    seqs: Mapping[str, tuple[int, int]],
) -> None:
    def counters(which: int) -> dict[str, Any]:
        return {
            "numbers": {str(period): ends[which] for period, ends in done.numbers.items()},
            "seqs": {key: ends[which] for key, ends in seqs.items()},
        }

    audit.append(
        transaction,
        act,
        ACTION,
        f"topic:{topic}",
        before={"held_since_us": done.hold.since_us, "because": done.hold.because, **counters(0)},
        after={
            "messages": done.messages,
            "unknown": done.unknown,
            "closes": done.closes,
            "told": done.told,
            **counters(1),
        },
    )
