"""Examples of usage, in the order in which they are sent; a test sends them and looks."""

from typing import Any

_FIRST = {
    "usage_id": "u-1",
    "timestamp": "2026-10-01T12:00:00Z",
    "cost_usd": 0.14484,
    "team_id": "research",
    "user_id": "ada",
    "agent_id": "planner",
    "resource_type": "query",
    "quantity": 4818,
}
_SECOND = {
    "usage_id": "u-2",
    "timestamp": "2026-10-02T08:30:00+02:00",
    "cost_usd": "1.250000001",
    "quantity": "12.5",
    "team_id": "support",
    "resource_type": "storage",
    "metadata": {"region": "eu-1"},
}


def _example(
    name: str, summary: str, payload: dict[str, Any], headers: dict[str, str] | None = None
) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "summary": summary, "payload": payload}
    return found if headers is None else {**found, "headers": headers}


EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "usageRecord": [
        _example("accepted-own-usage", "A call of a person in a team.", _FIRST),
        _example("accepted-text", "Decimals as texts keep every digit in any language.", _SECOND),
        _example(
            "accepted-shared",
            "Shared cost: neither team nor user; rules say who bears it.",
            {"usage_id": "u-3", "timestamp": "2026-10-03T00:00:00Z", "cost_usd": 3},
        ),
        _example(
            "accepted-refund",
            "A negative cost gives money back.",
            {**_FIRST, "usage_id": "u-4", "cost_usd": -0.04484, "quantity": 0},
        ),
        _example("duplicate-sent-again", "The first one again: it counts once.", _FIRST),
        _example(
            "conflict-another-cost",
            "The id of the first one with another cost: kept apart, the first one stands.",
            {**_FIRST, "cost_usd": 0.2},
        ),
    ],
    "costRecord": [
        _example(
            "accepted-cost-record",
            "What CostTracker publishes for a call of a model.",
            {
                "call_id": "c-1",
                "timestamp": "2026-10-05T09:15:00Z",
                "agent_id": "triage",
                "operation_type": "query",
                "provider": "example",
                "model": "large",
                "input_tokens": 900,
                "output_tokens": 100,
                "total_tokens": 1000,
                "cost_usd": 0.033,
                "metadata": {"team_id": "support", "user_id": "bob"},
            },
        ),
    ],
    "cloudEvent": [
        _example(
            "accepted-id-of-the-envelope",
            "Data without an id of its own goes by source and id of the envelope.",
            {
                "specversion": "1.0",
                "id": "e-1",
                "source": "/agents/planner",
                "type": "usage",
                "time": "2026-10-06T10:00:00Z",
                "data": {"team_id": "research", "cost_usd": 0.5, "quantity": 2},
            },
        ),
        _example(
            "duplicate-in-an-envelope",
            "The same data counts once in whatever envelope it comes.",
            {
                "specversion": "1.0",
                "id": "e-2",
                "source": "/bridge",
                "type": "usage",
                "data": _SECOND,
            },
        ),
    ],
    "cloudEventBinary": [
        _example(
            "accepted-id-in-headers",
            "The envelope in headers, the data as the value.",
            {"team_id": "research", "user_id": "ada", "cost_usd": 0.25, "quantity": 1},
            {
                "ce_specversion": "1.0",
                "ce_id": "e-3",
                "ce_source": "/agents/planner",
                "ce_type": "usage",
                "ce_time": "2026-10-07T10:00:00Z",
            },
        ),
    ],
}


def _refused(reason: str, summary: str, payload: Any) -> dict[str, Any]:
    return {"reason": reason, "summary": summary, "payload": payload}


REFUSED = [
    _refused("missing_cost", "Without a cost.", {k: _FIRST[k] for k in ("usage_id", "timestamp")}),
    _refused(
        "missing_timestamp",
        "On the topic nothing stands in for the time.",
        {"usage_id": "r-2", "cost_usd": 1},
    ),
    _refused(
        "no_id",
        "Without any id it could count twice.",
        {"timestamp": "2026-10-01T12:00:00Z", "cost_usd": 1},
    ),
    _refused("not_a_number", "A text that is no plain decimal.", {**_FIRST, "cost_usd": "1,50"}),
    _refused("bad_timestamp", "A number is no time.", {**_FIRST, "timestamp": 1790856000}),
    _refused("not_an_object", "A list of events.", [_FIRST]),
]
