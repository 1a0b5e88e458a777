"""What producers send, and what must come of it: known before anything is sent."""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

FIRST_DAY = date(2026, 9, 1)
_NANO = 10**9


@dataclass(frozen=True, slots=True)
class Put:
    """One message for one partition. Those of the same `batch` are one transaction of a producer,
    which `commits` or not; None: by itself."""

    partition: int
    value: bytes
    batch: int | None = None
    commits: bool = True


@dataclass(slots=True)
class Truth:
    """`costs` by usage id, in nano-dollars, and how every message must end."""

    puts: list[Put] = field(default_factory=list)
    costs: dict[str, int] = field(default_factory=dict)
    ends: Counter[str] = field(default_factory=Counter)


def truth(draw: Random, partitions: int, months: int) -> Truth:
    """A small history of usage: late and early, twice and thrice, contradicting itself, broken."""
    made = Truth()
    sent: list[list[Put]] = []
    days = [FIRST_DAY + timedelta(days=n) for n in range(30 * months + 12)]
    # Few days, so that what is early and what is late often belongs to one total.
    days = draw.sample(days, draw.choice((3 * months, 8 * months, len(days))))
    for number in range(draw.randint(20, 50)):
        usage_id = f"u{number}"
        cost = draw.choice((0, 1, 7, draw.randrange(-_NANO, 40 * _NANO), draw.randrange(10**7)))
        fields = _fields(draw, usage_id, draw.choice(days))
        kind = draw.random()
        if kind < 0.04:
            sent.append([Put(draw.randrange(partitions), b'{"usage_id": ' + usage_id.encode())])
            made.ends["quarantined"] += 1
            continue
        copies = 1
        if kind < 0.25:
            copies = draw.randint(2, 3)
        # Others of the same id say another quantity and the same cost, so that whichever is first
        # the sum is known.
        versions = 2 if 0.25 <= kind < 0.35 else 1
        made.costs[usage_id] = cost
        made.ends["accepted"] += 1
        made.ends["duplicate"] += copies - 1
        made.ends["conflict"] += versions - 1
        for version in range(versions):
            value = _value(fields, cost, quantity=version)
            sent.extend([Put(draw.randrange(partitions), value)] for _ in range(copies))
        if kind > 0.95:
            sent.append(_batch(draw, number, partitions, fields, commits=False, cost=cost + 1))
    for number in range(draw.randint(0, 2)):
        name = f"b{number}"
        batch = _batch(draw, 1000 + number, partitions, _fields(draw, name, draw.choice(days)))
        sent.append(batch)
        made.costs[name] = 1
        made.ends["accepted"] += 1
        made.ends["duplicate"] += len(batch) - 1
    draw.shuffle(sent)
    made.puts = [put for together in sent for put in together]
    return made


def _batch(
    draw: Random,
    number: int,
    partitions: int,
    fields: dict[str, str | None],
    *,
    commits: bool = True,
    cost: int = 1,
) -> list[Put]:
    """The same event to one or two partitions in one transaction."""
    value = _value(fields, cost, quantity=0)
    places = range(draw.randint(1, 2))
    return [Put(draw.randrange(partitions), value, number, commits) for _ in places]


def _fields(draw: Random, usage_id: str, day: date) -> dict[str, str | None]:
    return {
        "usage_id": usage_id,
        "timestamp": f"{day}T12:00:00Z",
        "team_id": draw.choice(("A", "B", "C", None)),
        "user_id": draw.choice(("x", "y", "z", None)),
        "resource_type": draw.choice(("query", "compute")),
    }


def _value(fields: dict[str, str | None], cost: int, *, quantity: int) -> bytes:
    sign, (whole, nano) = "-" if cost < 0 else "", divmod(abs(cost), _NANO)
    return (
        f'{json.dumps(fields)[:-1]}, "cost_usd": {sign}{whole}.{nano:09d}, "quantity": {quantity}}}'
    ).encode()
