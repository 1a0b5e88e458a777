"""The steps from an exact cost down to its pools, as documents."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from chargeback_worker.allocation.breakdown import Contribution, Measure, Weight, contributions
from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.rule import Rule, cited
from chargeback_worker.allocation.wording import in_words
from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.money import NANO, divide_half_even, plain
from chargeback_worker.reports.explain.behind import Behind, Note
from chargeback_worker.reports.explain.pages import Asked
from chargeback_worker.reports.explain.settled import Decided, settled
from chargeback_worker.store import Transaction, history
from chargeback_worker.store.history import BookedOnce, ClosePlace

_AMOUNTS = {Measure.COST, Measure.QUANTITY, Measure.PERCENT}
Noting = Callable[[Rule], Note | None]
"""What to say of each usage total of a pool, by the rule that made it."""


@dataclass(frozen=True, slots=True)
class Line:
    """What is to be explained: a booked or owed cost of a key, as it stands on a line."""

    key: PartKey
    exact: int


def rule_document(by: Decided, key: PartKey) -> Document:
    """A rule version in plain words; without them where its snapshot does not hold it."""
    rule = by.rule(key.rule_id, key.version)
    return {
        "rule": cited(key.rule_id, key.version),
        "rule_id": key.rule_id,
        "version": key.version,
        "rule_type": None if rule is None else rule.rule_type,
        "name": None if rule is None else rule.name,
        "description": None if rule is None else rule.description,
        "in_words": None if rule is None else in_words(rule),
    }


def settlement(
    transaction: Transaction,
    by: Decided,
    line: Line,
    asked: Asked,
    noting: Noting | None = None,
) -> tuple[Document, str | None]:
    """How a line came about, and what continues the page. Raises UnknownPlace."""
    again = settled(transaction, by, silent_too=noting is not None)
    found = contributions(again.made, line.key)
    before = None if again.without_late is None else contributions(again.without_late, line.key)
    weights = {one.pool: one.weight for one in before or ()}
    rule = by.rule(line.key.rule_id, line.key.version)
    note = None if noting is None or rule is None else noting(rule)
    behind = Behind(transaction, again, asked, note)
    evidence = behind.of_all(found)
    pools = [
        _pool(one, weights.get(one.pool)) | {"behind": behind_it}
        for one, behind_it in zip(found, evidence, strict=True)
    ]
    booked = by.booked_before(history.booked(transaction, by.origin, line.key))
    document = {
        **_sums(by, line, sum(one.cost for one in found), booked),
        "pools": pools,
        "without_late_usage": None if before is None else _without_late(before),
    }
    return document, behind.next_cursor


def place_document(place: ClosePlace | None) -> Document | None:
    return None if place is None else {"period": str(place.period), "revision": place.revision}


def _sums(by: Decided, line: Line, allocated: int, booked: Sequence[BookedOnce]) -> Document:
    """allocated - booked before = owed, and owed + difference = what the line says."""
    before = sum(once.cost for once in booked)
    owed = allocated - before
    return {
        "origin_period": str(by.origin),
        "billing_period": str(by.place.period),
        "revision": by.place.revision,
        "decided_by": place_document(by.decided_by),
        "counted_periods": [str(period) for period in by.counted],
        "allocated_usd": Amount(allocated),
        "booked_before": [_booked(once) for once in booked],
        "booked_before_usd": Amount(before),
        "owed_usd": Amount(owed),
        "difference": _difference(by, line.exact - owed),
        "exact_usd": Amount(line.exact),
    }


def _booked(once: BookedOnce) -> Document:
    return {
        "period": str(once.place.period),
        "revision": once.place.revision,
        "invoice_number": once.invoice_number,
        "cost_usd": Amount(once.cost),
    }


def _difference(by: Decided, difference: int) -> Document | None:
    """What the usage of today does not explain: a month that was reopened takes usage again, and
    what its earlier close counted cannot be told from what came since.
    """
    if not difference:
        return None
    return {
        "cost_usd": Amount(difference),
        "sentence": f"{plain(difference)} USD of it are not explained by the usage that is billed"
        f" in {', '.join(map(str, by.counted))} as it is now: a month that was reopened since has"
        " taken more. Whether the books are whole: chargeback verify",
    }


def _pool(found: Contribution, before: Weight | None) -> Document:
    return {
        "pool": list(found.pool),
        "divided": not found.own,
        "cost_usd": Amount(found.cost),
        "share": _share(found.weight.share),
        "driver": _driver(found.rule, found.weight),
        "driver_without_late_usage": None
        if before is None or before.share == found.weight.share
        else _driver(found.rule, before),
        "whole": {
            "cost_usd": Amount(found.whole_cost),
            "quantity": Amount(found.quantity),
            "record_count": found.records,
        },
    }


def _without_late(before: Sequence[Contribution]) -> Document:
    return {
        "allocated_usd": Amount(sum(one.cost for one in before)),
        "pools": [_pool(one, None) for one in before],
    }


def _driver(rule: Rule, weight: Weight) -> Document:
    """`own` and `whole` are amounts of USD, units or percent where the driver is one of these."""
    scale = 1 if weight.measure in _AMOUNTS else NANO
    of_types = weight.measure in {Measure.COST, Measure.QUANTITY, Measure.RECORDS}
    return {
        "driver": weight.measure,
        "resource_types": list(rule.driver_resource_types) if of_types else [],
        "own": Amount(weight.own * scale),
        "whole": Amount(weight.whole * scale),
        "evenly": weight.evenly,
    }


def _share(share: Fraction) -> Document:
    """Exact in lowest terms, and rounded half-even to nine decimals."""
    return {
        "numerator": Amount(share.numerator * NANO),
        "denominator": Amount(share.denominator * NANO),
        "decimal": Amount(divide_half_even(share.numerator * NANO, share.denominator)),
    }
