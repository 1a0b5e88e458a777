"""Digits: what goes in with any spelling comes out of every field of money as it is, plain."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from chargeback_worker.reports.verify import verify
from tests.support.http_api import Api

MONEY = re.compile(r"cost|usd|quantity|price|booked|unallocated|total|percent")
PLAIN = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]{0,8}[1-9])?")
WRITTEN = {
    "0.123456789012345678901": "0.123456789",
    "1e-9": "0.000000001",
    "1e9": "1000000000",
    "5.50": "5.5",
    "-0.1": "-0.1",
    "0.1234567885": "0.123456788",
    "0.1234567895": "0.12345679",
    "4e-10": "0",
    '"2.5"': "2.5",
}


def _amounts(document: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Every number of a document under a name of money, as it was written."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from _amounts(value, f"{field}.{name}")
    elif isinstance(document, list):
        for value in document:
            yield from _amounts(value, field)
    elif isinstance(document, _Written) and MONEY.search(field):
        yield field, str(document)


class _Written(str):
    """A number's own text."""


def _document(body: bytes) -> Any:
    return json.loads(body, parse_float=_Written, parse_int=_Written)


@pytest.mark.parametrize("written", WRITTEN)
def test_a_cost_comes_out_exact_and_plain(api: Api, written: str) -> None:
    exact = WRITTEN[written]
    event = f'{{"usage_id": "u", "timestamp": "2026-09-03T12:00:00Z", "team_id": "A",' \
            f' "cost_usd": {written}, "quantity": {written}}}'  # fmt: skip
    record = _document(api.post("usage", event).body)["usage_record"]
    assert (record["cost_usd"], record["quantity"]) == (exact, exact)
    assert _told(api) >= {exact}


def _told(api: Api) -> set[str]:
    """The amounts of every answer that has any, after each of them was looked at."""
    month = {"period": "2026-09"}
    answers = [api.get(path, **month) for path in ("usage", "usage/summary", "preview")]
    answers += [api.post("allocate", month), api.get("allocations", **month)]
    answers += [api.post("invoices", {"team_id": "A", **month}), api.get("reports/team/A", **month)]
    answers += [api.post("periods/2026-09/close"), api.get("periods"), api.get("invoices")]
    for invoice in json.loads(answers[-1].body)["invoices"]:
        name = invoice["invoice_id"]
        answers += [api.get(f"invoices/{name}"), api.get(f"invoices/{name}/explain")]
        answers += [api.get(f"invoices/{name}/explain", line=1)] * bool(invoice["line_items"])
    answers += [api.get("verify"), api.get("reports/team/A", **month)]
    seen = set()
    for answer in answers:
        assert answer.status < 300, answer
        for field, digits in _amounts(_document(answer.body)):
            assert PLAIN.fullmatch(digits), (field, digits)
            seen.add(digits)
    return seen


def test_costs_beyond_the_limit_are_refused(sqlite_api: Api) -> None:
    for written in ("1e12", "1e10", "1000000000.000000001", "-1e12", "1e999999999", '"NaN"'):
        reply = sqlite_api.post("usage", f'{{"usage_id": "u", "cost_usd": {written}}}')
        assert reply.problem == (400, "usage-refused"), written


def test_a_sum_of_many_large_costs_is_exact(api: Api) -> None:
    costs = [Decimal("999999999.999999999")] * 1_100
    costs.append(Decimal("0.000000002"))
    lines = [
        f'{{"usage_id": "u{number}", "timestamp": "2026-09-03T12:00:00Z", "team_id": "A",'
        f' "cost_usd": {cost}}}'.encode()
        for number, cost in enumerate(costs)
    ]
    list(api.books.ingest_file("large", lines))
    assert sum(costs) > 10**12
    exact = format(sum(costs), "f")
    summary = _document(api.get("usage/summary", period="2026-09").body)["summary"]
    assert summary["total_cost_usd"] == exact == "1099999999999.999998902"
    assert exact in _told(api)
    assert verify(api.store).mismatches == ()


def test_percentages_and_rates_keep_their_digits(api: Api) -> None:
    rule = b'{"rule_id": "r", "rule_type": "fixed_split", "split_percentages":' \
           b' {"team:A": 33.333333333, "team:B": 66.666666667}}'  # fmt: skip
    shown = _document(api.post("allocation-rules", rule).body)["rule"]["split_percentages"]
    assert shown == {"team:A": "33.333333333", "team:B": "66.666666667"}
    api.ok("POST", "usage", {"cost_usd": 10, "timestamp": "2026-09-03T12:00:00Z"})
    asked = b'{"team_id": "A", "period": "2026-09", "tax_rate": 0.190000001}'
    invoice = _document(api.post("invoices", asked).body)["invoice"]
    assert invoice["line_items"][0]["metadata"]["tax_rate"] == "0.190000001"
