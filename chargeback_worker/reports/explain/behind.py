"""The lowest two steps: the usage totals behind each pool, and the usage records behind those."""

from collections.abc import Callable, Iterable, Sequence

from chargeback_worker.allocation.breakdown import Contribution
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.period import day_number, format_us
from chargeback_worker.reports.explain.pages import (
    Asked,
    first_records,
    records_after,
    totals_after,
)
from chargeback_worker.reports.explain.settled import Settled
from chargeback_worker.reports.pages import PAGE_MAX
from chargeback_worker.store import Transaction, pruned
from chargeback_worker.store.evidence import (
    StoredRecord,
    StoredTotal,
    Sums,
    TotalsBehind,
    records_behind,
    totals_behind,
)
from chargeback_worker.store.pruned import Pruned, RecordSums
from chargeback_worker.usage.total import UsageTotal

Note = Callable[[Pair, UsageTotal], Document | None]
"""What more there is to say of a usage total."""


class Behind:
    """One page of what is behind the contributions to a part, read pool by pool."""

    def __init__(
        self,
        transaction: Transaction,
        settled: Settled,
        asked: Asked,
        note: Note | None = None,
    ) -> None:
        self._transaction = transaction
        self._settled = settled
        self._asked = asked
        self._note = note
        self._totals_left = asked.limit
        self._records_left = PAGE_MAX
        self._gone = pruned.listed(transaction)
        self.next_cursor: str | None = None

    def of_all(self, found: Sequence[Contribution]) -> list[Document]:
        """What is behind each of them, in turn. Raises UnknownPlace."""
        if self._asked.cursor is not None and self._asked.pool >= len(found):
            raise self._asked.unknown()
        return [self._of_pool(pool, one) for pool, one in enumerate(found)]

    def _of_pool(self, pool: int, found: Contribution) -> Document:
        every, page = self._page(pool, found)
        rest = every.less(_summed(page))
        return {
            "count": every.totals,
            **_sums(every),
            "usage_totals": [self._total(pool, stored) for stored in page],
            "not_shown": {"count": rest.totals, **_sums(rest)},
        }

    def _page(self, pool: int, found: Contribution) -> TotalsBehind:
        """All that is behind a pool, and those of its totals that are on this page."""
        asked = self._asked
        if asked.within is not None:
            is_asked = pool == asked.pool
            every, page = self._read(found, limit=is_asked, only=asked.within.total_key)
            if is_asked and not page:
                raise asked.unknown()
            return TotalsBehind(every, page)
        if pool < asked.pool or self.next_cursor is not None:
            return self._read(found, limit=0)
        after = asked.after if pool == asked.pool else None
        every, rows = self._read(found, limit=self._totals_left + 1, after=after)
        page = rows[: self._totals_left]
        self._totals_left -= len(page)
        if len(rows) > len(page):
            self.next_cursor = totals_after(pool, page[-1].total_key if page else None)
        return TotalsBehind(every, page)

    def _read(
        self,
        found: Contribution,
        *,
        limit: int,
        after: bytes | None = None,
        only: bytes | None = None,
    ) -> TotalsBehind:
        return totals_behind(
            self._transaction,
            found.groups,
            self._settled.kept,
            self._settled.decided.days,
            limit=limit,
            after=after,
            only=only,
        )

    def _total(self, pool: int, stored: StoredTotal) -> Document:
        total, snapshot = stored.total, self._settled.decided.snapshot
        owner = snapshot.directory.owner(total.team, total.user, total.day)
        document: Document = {
            "total_key": stored.total_key.hex(),
            "day": total.day,
            "team_id": total.team,
            "user_id": total.user,
            "owner": owner.key,
            "agent_id": total.agent,
            "resource_type": total.resource_type,
            "labels": dict(zip(snapshot.labels, total.labels, strict=True)),
            "billing_period": str(total.period),
            "late": total.period != total.origin_period,
            "cost_usd": Amount(total.cost),
            "quantity": Amount(total.quantity),
            "record_count": total.records,
        }
        if self._note is not None:
            document["nearly"] = self._note(owner, total)
        document["usage"] = self._usage(pool, stored)
        return document

    def _usage(self, pool: int, stored: StoredTotal) -> Document:
        """As many of a total's records as fit, and what continues them."""
        limit = min(self._asked.limit, self._records_left)
        found = records_behind(
            self._transaction, [stored.total_key], limit=limit + 1, after=self._asked.within
        )
        page = found[:limit]
        self._records_left -= len(page)
        cursor: str | None = None
        if len(found) > len(page):
            cursor = (
                records_after(pool, page[-1].place)
                if page
                else first_records(pool, stored.total_key)
            )
        if self._asked.within is not None:
            self.next_cursor = cursor
        gone = self._pruned(stored)
        lost = RecordSums() if gone is None else gone[0]
        shown = sum(record.cost for record in page)
        return {
            "usage_records": [record_document(record) for record in page],
            "not_shown": {
                "record_count": stored.total.records - len(page) - lost.records,
                "cost_usd": Amount(stored.total.cost - shown - lost.cost),
            },
            "pruned": None if gone is None else _gone(*gone),
            "next_cursor": cursor,
        }

    def _pruned(self, stored: StoredTotal) -> tuple[RecordSums, Pruned] | None:
        """What of a total's records is not there any more, and why; None where all are."""
        gone = self._gone.get(stored.total.period)
        if gone is None:
            return None
        left = pruned.left_of(self._transaction, stored.total_key, day_number(stored.total.day))
        records = stored.total.records - left.records
        if not records:
            return None
        return RecordSums(records, stored.total.cost - left.cost), gone


def _gone(lost: RecordSums, why: Pruned) -> Document:
    return {
        "record_count": lost.records,
        "cost_usd": Amount(lost.cost),
        "sentence": f"{why.sentence}.",
    }


def _summed(page: Iterable[StoredTotal]) -> Sums:
    rows = [total for _, total in page]
    return Sums(
        len(rows),
        sum(row.cost for row in rows),
        sum(row.quantity for row in rows),
        sum(row.records for row in rows),
    )


def _sums(sums: Sums) -> Document:
    return {
        "cost_usd": Amount(sums.cost),
        "quantity": Amount(sums.quantity),
        "record_count": sums.records,
    }


def record_document(record: StoredRecord) -> Document:
    return {
        "usage_id": record.usage_id,
        "source": record.source,
        "timestamp": format_us(record.place.time_us),
        "team_id": record.team,
        "user_id": record.user,
        "agent_id": record.agent,
        "resource_type": record.resource_type,
        "resource_id": record.resource_id,
        "quantity": Amount(record.quantity),
        "cost_usd": Amount(record.cost),
        "billing_period": str(record.period),
        "late": record.late,
    }
