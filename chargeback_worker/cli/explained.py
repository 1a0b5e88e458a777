"""Explanations as trees for people; every text of theirs is escaped where a tree is printed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chargeback_worker.cli.output import counted, exact_usd, quantity, text, usd
from chargeback_worker.cli.tree import Node
from chargeback_worker.invoicing.document import Amount
from chargeback_worker.money import NANO, plain

Found = Mapping[str, Any]
# A fraction of more digits than these tells less than its decimals do.
_FRACTION_MAX = 10_000 * NANO


def lines_tree(found: Found) -> Node:
    """One level: an invoice's lines with their rules, or what nobody bears with the reasons."""
    if "invoice" in found:
        return _invoice(found)
    return _nobody(found)


def line_tree(found: Found) -> Node:
    """One line down to the usage ids."""
    line = found["line"]
    if "invoice" in found:
        invoice = found["invoice"]
        root = f"{_heading(invoice)}, line {line['line']}: {line['description']}"
        first = [_cents(line)]
    else:
        root = f"{_heading_of_nobody(found['unallocated'])}, line {line['line']}"
        root += f": {line['resource_type']} by rule {line['rule']}. {line['why']['sentence']}"
        first = []
    rule = found["rule"]
    words = rule["in_words"] or f"{rule['rule']}, which its snapshot does not hold"
    name = f" ({rule['name']})" if rule["name"] else ""
    below = [*first, Node(f"rule{name}: {words}"), _settlement(found["settlement"])]
    return Node(root, below=below)


def _invoice(found: Found) -> Node:
    sums = found["sums"]
    lines = [
        Node(
            f"line {line['line']}: {line['description']}",
            usd(line["total_price"]),
            [
                Node("exact", exact_usd(line["exact_usd"])),
                Node("to whole cents", exact_usd(line["rounding_usd"])),
                Node(f"rule: {line['in_words'] or line['rule']}"),
            ],
        )
        for line in found["lines"]
    ]
    rest = found["not_shown"]
    if rest["lines"]:
        lines.append(Node(f"{_lines(rest['lines'])} not shown", usd(rest["total_price"])))
    below = [
        Node(_lines(sums["lines"]), usd(sums["subtotal_usd"]), lines),
        Node("tax", usd(sums["tax_usd"])),
    ]
    return Node(_heading(found["invoice"]), usd(sums["total_usd"]), below)


def _nobody(found: Found) -> Node:
    facts, rest = found["unallocated"], found["not_shown"]
    lines = [
        Node(
            f"line {line['line']}: {line['resource_type']} of {line['origin_period']}"
            f" by rule {line['rule']}. {line['why']['sentence']}",
            exact_usd(line["exact_usd"]),
            [
                Node(
                    f"{_records(near['record_count'])}: {near['sentence']}",
                    exact_usd(near["cost_usd"]),
                )
                for near in line["why"].get("nearly", ())
            ],
        )
        for line in found["lines"]
    ]
    if rest["lines"]:
        lines.append(Node(f"{_lines(rest['lines'])} not shown", exact_usd(rest["exact_usd"])))
    return Node(_heading_of_nobody(facts), exact_usd(facts["exact_usd"]), lines)


def _heading(invoice: Found) -> str:
    return (
        f"{invoice['invoice_number']} ({invoice['kind']}, {invoice['status']})"
        f" to {invoice['receiver']} for {invoice['period']}"
    )


def _heading_of_nobody(facts: Found) -> str:
    cents = facts["total_usd"]
    invoiced = "as a close would book it now" if cents is None else f"{usd(cents)} in whole cents"
    return f"what nobody bears of {facts['period']} ({facts['state']}), {invoiced}"


def _cents(line: Found) -> Node:
    below = [
        Node("exact", exact_usd(line["exact_usd"])),
        Node("rounding, so that all lines sum to the invoice", exact_usd(line["rounding_usd"])),
    ]
    return Node("on the invoice, in whole cents", exact_usd(line["total_price"]), below)


def _settlement(steps: Found) -> Node:
    """allocated - booked before (+ what cannot be explained) = the exact cost."""
    pools = [_pool(pool) for pool in steps["pools"]]
    below = [Node("allocated", exact_usd(steps["allocated_usd"]), pools)]
    below += (
        Node(
            f"booked before by close {once['revision']} of {once['period']}"
            f"{_on(once['invoice_number'])}",
            exact_usd(Amount(-once["cost_usd"].nano)),
        )
        for once in steps["booked_before"]
    )
    if steps["difference"]:
        difference = steps["difference"]
        below.append(Node(difference["sentence"], exact_usd(difference["cost_usd"])))
    without = steps["without_late_usage"]
    if without is not None:
        as_before = [_pool(pool) for pool in without["pools"]]
        amount = exact_usd(without["allocated_usd"])
        below.append(Node(f"without the late usage it would be {amount}", None, as_before))
    return Node(_settled_by(steps), exact_usd(steps["exact_usd"]), below)


def _settled_by(steps: Found) -> str:
    """`usage of 2026-10, billed in 2026-10 and 2026-11, settled in close 1 of 2026-11 by …`."""
    by, place = steps["decided_by"], (steps["billing_period"], steps["revision"])
    if by is None:
        rules = "the rules of now"
    elif (by["period"], by["revision"]) == place:
        rules = "the rules of that close"
    else:
        rules = f"the rules of close {by['revision']} of {by['period']}"
    billed = " and ".join(_shortened(steps["counted_periods"]))
    return (
        f"usage of {steps['origin_period']}, billed in {billed}, settled in close {place[1]} of"
        f" {place[0]} by {rules}"
    )


def _shortened(periods: Sequence[str]) -> Sequence[str]:
    return periods if len(periods) <= 3 else [f"{periods[0]} to {periods[-1]}"]


def _on(number: str | None) -> str:
    return "" if number is None else f", on {number}"


def _pool(pool: Found) -> Node:
    behind, part = pool.get("behind"), exact_usd(pool["cost_usd"])
    totals = [] if behind is None else list(_totals(behind))
    if not pool["divided"]:
        return Node("their own usage, not divided", part, totals)
    whole = exact_usd(pool["whole"]["cost_usd"])
    says = f"{_share(pool['share'])} of {whole}, {_driver(pool['driver'])}"
    if pool["driver_without_late_usage"] is not None:
        says += f"; without the late usage {_driver(pool['driver_without_late_usage'])}"
    return Node(says, part, [Node("the whole of it", whole, totals)] if totals else [])


def _share(share: Found) -> str:
    percent = f"{plain(share['decimal'].nano * 100)} %"
    if share["denominator"].nano > _FRACTION_MAX:
        return percent
    return f"{text(share['numerator'])}/{text(share['denominator'])} ({percent})"


_DRIVERS = {
    "cost": "by cost used",
    "quantity": "by quantity used",
    "records": "by number of records",
    "percent": "by percentage",
    "equal": "equally",
    "weight": "by weight",
    "nobody": "as there is nobody to give it to",
    "own": "of its own",
}


def _driver(driver: Found) -> str:
    says = _DRIVERS[driver["driver"]]
    if driver["driver"] == "nobody":
        return says
    if driver["resource_types"]:
        says += f" of {' and '.join(driver['resource_types'])}"
    if driver["evenly"]:
        return f"{says}, but as there is none, evenly"
    return f"{says}, {quantity(driver['own'])} of {quantity(driver['whole'])}"


def _totals(behind: Found) -> Iterator[Node]:
    for total in behind["usage_totals"]:
        usage = total["usage"]
        records = [
            Node(f"{record['usage_id']}, {record['timestamp']}", exact_usd(record["cost_usd"]))
            for record in usage["usage_records"]
        ]
        rest = usage["not_shown"]
        if rest["record_count"]:
            more = f": --cursor {usage['next_cursor']}" if usage["next_cursor"] else ""
            says = f"{_records(rest['record_count'])} not shown{more}"
            records.append(Node(says, exact_usd(rest["cost_usd"])))
        gone = usage["pruned"]
        if gone:
            says = f"{_records(gone['record_count'])} not there any more: {gone['sentence']}"
            records.append(Node(says, exact_usd(gone["cost_usd"])))
        yield Node(_total(total), exact_usd(total["cost_usd"]), records)
    rest = behind["not_shown"]
    if rest["count"]:
        totals = counted(rest["count"], "usage total")
        yield Node(f"{totals} not shown", exact_usd(rest["cost_usd"]))


def _total(total: Found) -> str:
    """`2026-10-03 query, user x in team A, agent g, quantity 12, 3 records`."""
    user = "" if total["user_id"] is None else f"user {total['user_id']}"
    team = "" if total["team_id"] is None else f"team {total['team_id']}"
    parts = [
        f"{text(total['day'])} {total['resource_type']}",
        " in ".join(filter(None, (user, team))) or "nobody's",
        "" if total["agent_id"] is None else f"agent {total['agent_id']}",
        *(f"{name} {value}" for name, value in total["labels"].items() if value is not None),
        f"quantity {quantity(total['quantity'])}",
        _records(total["record_count"]),
        f"late, billed in {total['billing_period']}" if total["late"] else "",
    ]
    near = total.get("nearly")
    told = ", ".join(filter(None, parts))
    return told if near is None else f"{told}. {near['sentence']}"


def _records(number: int) -> str:
    return counted(number, "record")


def _lines(number: int) -> str:
    return counted(number, "line")
