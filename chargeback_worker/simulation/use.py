"""One use as it was drawn, and the bytes it has in each format and envelope.

The JSON is put together as text, not encoded: its bytes then depend on no library's version.
"""

from enum import Enum
from typing import NamedTuple

from chargeback_worker.simulation.truth import Headers

_TYPE = "com.example.agent.usage.v1"


class Envelope(Enum):
    """What is around the record."""

    BARE = "bare"
    STRUCTURED = "structured"
    BINARY = "binary"
    NAMING = "naming"
    """A structured CloudEvent around a record without an id of its own."""


class Use(NamedTuple):
    """What was drawn. With a `model` it is written as a CostRecord, else as a UsageRecord."""

    usage_id: str
    time: str
    team: str | None
    user: str | None
    agent: str
    resource_type: str
    model: str | None
    """The fields of provider, model and tokens as JSON text."""
    quantity: float
    cost: float
    quantity_nano: int
    cost_nano: int
    metadata: str
    """The members of the metadata as JSON text, owners left out."""
    envelope: Envelope
    late: bool


def source(use: Use) -> str:
    """The source of its CloudEvent."""
    return f"/agents/{use.agent}"


def key(use: Use) -> bytes:
    """The team where there is one; never none, so that one identity stays on one partition."""
    return (use.team or use.user or use.agent).encode()


def bare(use: Use) -> bytes:
    """The record by itself, with its id."""
    return _record(use, use.usage_id).encode()


def rendered(use: Use) -> tuple[bytes, Headers]:
    """Value and headers on a topic."""
    if use.envelope is Envelope.BARE:
        return _record(use, use.usage_id).encode(), ()
    if use.envelope is Envelope.BINARY:
        return _record(use, use.usage_id).encode(), _headers(use)
    return structured(use), ()


def structured(use: Use) -> bytes:
    """The record inside a CloudEvent."""
    data = _record(use, None if use.envelope is Envelope.NAMING else use.usage_id)
    return (
        f'{{"specversion": "1.0", "id": "{use.usage_id}", "source": "{source(use)}", '
        f'"type": "{_TYPE}", "time": "{use.time}", "datacontenttype": "application/json", '
        f'"data": {data}}}'
    ).encode()


def _headers(use: Use) -> Headers:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", use.usage_id.encode()),
        ("ce_source", source(use).encode()),
        ("ce_type", _TYPE.encode()),
        ("ce_time", use.time.encode()),
        ("content-type", b"application/json"),
    )


def _record(use: Use, usage_id: str | None) -> str:
    if use.model is None:
        named = "" if usage_id is None else f'"usage_id": "{usage_id}", '
        team = "null" if use.team is None else f'"{use.team}"'
        user = "null" if use.user is None else f'"{use.user}"'
        return (
            f'{{{named}"timestamp": "{use.time}", "team_id": {team}, "user_id": {user}, '
            f'"agent_id": "{use.agent}", "resource_type": "{use.resource_type}", '
            f'"quantity": {use.quantity!r}, "cost_usd": {use.cost!r}, '
            f'"metadata": {{{use.metadata}}}}}'
        )
    named = "" if usage_id is None else f'"call_id": "{usage_id}", '
    owners = ", ".join(
        f'"{field}": "{owner}"'
        for field, owner in (("team_id", use.team), ("user_id", use.user))
        if owner is not None
    )
    metadata = ", ".join(filter(None, (owners, use.metadata)))
    return (
        f'{{{named}"timestamp": "{use.time}", {use.model}, "cost_usd": {use.cost!r}, '
        f'"agent_id": "{use.agent}", "operation_type": "{use.resource_type}", '
        f'"metadata": {{{metadata}}}}}'
    )
