"""Explanations as a test reads them: every step checked against the one above, every page read."""

from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

from chargeback_worker.invoicing.document import Document
from chargeback_worker.period import Period
from chargeback_worker.store import Store
from chargeback_worker.store.tables import billing_period
from tests.support.made_months import nano

Explain = Callable[[str | None], Document]
"""One page of one line, by its cursor."""


def check_line(explanation: Document) -> None:
    """From the cents of a line down to the usage records on this page, each step adds up."""
    line, steps = explanation["line"], explanation["settlement"]
    if "total_price" in line:
        assert nano(line["exact_usd"]) + nano(line["rounding_usd"]) == nano(line["total_price"])
    assert steps["exact_usd"] == line["exact_usd"]
    difference = steps["difference"]
    explained = nano(steps["owed_usd"]) + (nano(difference["cost_usd"]) if difference else 0)
    assert explained == nano(line["exact_usd"])
    booked = sum(nano(once["cost_usd"]) for once in steps["booked_before"])
    assert booked == nano(steps["booked_before_usd"])
    assert nano(steps["allocated_usd"]) - booked == nano(steps["owed_usd"])
    assert nano(steps["allocated_usd"]) == _sum(steps["pools"], "cost_usd")
    without = steps["without_late_usage"]
    if without is not None:
        assert nano(without["allocated_usd"]) == _sum(without["pools"], "cost_usd")
    for pool in steps["pools"]:
        _check_pool(pool)


def _check_pool(pool: Document) -> None:
    behind, whole, share = pool["behind"], pool["whole"], pool["share"]
    exact = nano(whole["cost_usd"]) * nano(share["numerator"])
    given = nano(pool["cost_usd"]) * nano(share["denominator"])
    assert abs(given - exact) < nano(share["denominator"])
    assert (pool["cost_usd"] == whole["cost_usd"]) or pool["divided"]
    rest = behind["not_shown"]
    assert behind["count"] == len(behind["usage_totals"]) + rest["count"]
    assert whole["record_count"] == behind["record_count"]
    assert behind["record_count"] == rest["record_count"] + sum(
        total["record_count"] for total in behind["usage_totals"]
    )
    for name in ("cost_usd", "quantity"):
        assert whole[name] == behind[name]
        assert nano(behind[name]) == _sum(behind["usage_totals"], name) + nano(rest[name])
    for total in behind["usage_totals"]:
        usage = total["usage"]
        more = usage["not_shown"]
        shown = _sum(usage["usage_records"], "cost_usd")
        gone = usage["pruned"]
        there = nano(total["cost_usd"]) - (nano(gone["cost_usd"]) if gone else 0)
        records = total["record_count"] - (gone["record_count"] if gone else 0)
        assert shown + nano(more["cost_usd"]) == there
        assert len(usage["usage_records"]) + more["record_count"] == records


def every_page(explain: Explain) -> Iterator[Document]:
    """All pages of a line: of its totals, and of the records of each total that has more."""
    cursor: str | None = None
    while True:
        page = explain(cursor)
        yield page
        for pool in page["explanation"]["settlement"]["pools"]:
            for total in pool["behind"]["usage_totals"]:
                more = total["usage"]["next_cursor"]
                while more is not None:
                    of_total = explain(more)
                    yield of_total
                    more = of_total["next_cursor"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def records_of(pages: list[Document]) -> list[tuple[int, str, Any]]:
    """Every usage record on those pages, by the place of its pool and its total."""
    return [
        (place, total["total_key"], record)
        for page in pages
        for place, pool in enumerate(page["explanation"]["settlement"]["pools"])
        for total in pool["behind"]["usage_totals"]
        for record in total["usage"]["usage_records"]
    ]


def check_all_pages(explain: Explain) -> None:
    """Paging to the end gives each record once, and their sum is that of the pools' wholes."""
    pages = list(every_page(explain))
    for page in pages:
        check_line(page["explanation"])
    first = pages[0]["explanation"]["settlement"]
    records = records_of(pages)
    ids = [(place, key, record["usage_id"]) for place, key, record in records]
    assert len(set(ids)) == len(ids)
    for place, pool in enumerate(first["pools"]):
        of_pool = [record for at, _, record in records if at == place]
        assert _sum(of_pool, "cost_usd") == nano(pool["whole"]["cost_usd"])
        assert len(of_pool) == pool["whole"]["record_count"]


def _sum(documents: list[Document], field: str) -> int:
    return sum(nano(document[field]) for document in documents)


def reopen(store: Store, period: Period) -> None:
    """Let a closed month take usage again, to be closed once more."""
    with store.begin() as transaction:
        transaction.execute(
            sa.update(billing_period)
            .where(billing_period.c.period == period.number)
            .values(state="reopened", revision=billing_period.c.revision + 1, closed_us=None)
        )
