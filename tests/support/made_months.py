"""Usage and rules of one year in a store: each example of a law has a year of its own there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Receiver, Rule
from chargeback_worker.invoicing.document import Amount
from chargeback_worker.money import NANO
from chargeback_worker.period import Period, to_us
from chargeback_worker.store import Store, rules
from chargeback_worker.store.tables import metadata
from tests.support import made_rules
from tests.support.feed import Feed, usage
from tests.support.ledger import act

COSTS = ("0.000000001", "-3.3", "7", "0.004", "10.000000007")
FAR_US = to_us(datetime(9000, 1, 1, tzinfo=UTC))
"""A clock after all those years."""
_years: Iterator[int] = count(2001)


@dataclass(frozen=True)
class Used:
    """One event of the first or second month of its year."""

    month: int
    day: int
    team: str | None
    user: str | None
    resource_type: str
    cost: str


def events(*, max_size: int = 10, month: int | None = None) -> st.SearchStrategy[list[Used]]:
    one = st.builds(
        Used,
        st.integers(1, 2) if month is None else st.just(month),
        st.integers(1, 28),
        st.sampled_from([None, "A", "B"]),
        st.sampled_from([None, "x", "y"]),
        st.sampled_from(["compute", "query"]),
        st.sampled_from(COSTS),
    )
    return st.lists(one, max_size=max_size)


def some_rules() -> st.SearchStrategy[list[Rule]]:
    return st.lists(made_rules.versions(), max_size=3)


def new_year() -> int:
    return next(_years)


def of_year(found: Sequence[Rule], year: int, *, word: str = "r") -> tuple[Rule, ...]:
    """Rules that hold in that year alone, under ids of their own."""
    return tuple(
        replace(
            rule,
            rule_id=f"{year}-{word}{place}",
            version=1,
            effective_from=date(year, 1, 1),
            effective_to=date(year + 1, 1, 1),
            closed=(),
            ended=False,
        )
        for place, rule in enumerate(found)
    )


def write(store: Store, *found: Rule) -> None:
    with store.begin() as transaction:
        rules.insert(transaction, found, act())


def send(store: Store, year: int, found: Sequence[Used], *, word: str = "e") -> None:
    Feed(store, now_us=FAR_US).send(
        *(
            usage(
                f"{year}-{word}{place}",
                used.cost,
                day=f"{year}-{used.month:02d}-{used.day:02d}",
                team=used.team,
                user_id=used.user,
                resource_type=used.resource_type,
            )
            for place, used in enumerate(found)
        )
    )


def year_of(store: Store, used: Sequence[Used], found: Sequence[Rule]) -> int:
    """A new year in which that is used under those rules."""
    year = new_year()
    send(store, year, used)
    write(store, *of_year(found, year))
    return year


def cost_of(found: Sequence[Used]) -> int:
    return sum(int(Decimal(used.cost) * NANO) for used in found)


def months_of(year: int) -> tuple[Period, Period]:
    return Period(year, 1), Period(year, 2)


def shared(rule_id: str, *pairs: Pair, version: int = 1, **fields: Any) -> Rule:
    """A rule that divides evenly among those."""
    receivers = tuple(Receiver(pair.key, pair) for pair in pairs)
    return Rule(rule_id, version, "equal_split", receivers=receivers, **fields)


def nano(amount: Any) -> int:
    assert isinstance(amount, Amount)
    return amount.nano


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with store.read() as transaction:
        return {
            table.name: sorted(
                (tuple(row) for row in transaction.execute(sa.select(table))), key=repr
            )
            for table in metadata.sorted_tables
        }
