"""What goes wrong with events, how often, and the events that nobody can read."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Self

from chargeback_worker.errors import Invalid
from chargeback_worker.simulation.use import Use, bare


class UnknownAnomaly(Invalid):
    """A kind of anomaly that there is not, or a rate that is none."""

    def __init__(self, text: str) -> None:
        names = [field.name for field in fields(Anomalies)]
        near = get_close_matches(text.partition("=")[0], names, n=1)
        super().__init__(
            f"{text!r} is no anomaly{f', did you mean {near[0]}?' if near else '.'}",
            f"Name some of {','.join(names)}, each with a share where wanted: duplicate=0.05.",
        )


@dataclass(frozen=True, slots=True)
class Anomalies:
    """The share of each kind among all events. Made without arguments: a usual month."""

    duplicate: float = 0.01
    late: float = 0.01
    conflict: float = 0.001
    poison: float = 0.002

    def __post_init__(self) -> None:
        rates = [getattr(self, field.name) for field in fields(self)]
        if not all(0 <= rate <= 1 for rate in rates) or sum(rates) > 1:
            raise UnknownAnomaly(f"shares of {rates}")

    @classmethod
    def none(cls) -> Self:
        return cls(0, 0, 0, 0)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `duplicate,late=0.05`: those named, at their usual share or at the one given."""
        usual = cls()
        rates = {field.name: 0.0 for field in fields(cls)}
        for item in filter(None, map(str.strip, text.split(","))):
            name, given, rate = item.partition("=")
            if name not in rates:
                raise UnknownAnomaly(item)
            try:
                rates[name] = float(rate) if given else getattr(usual, name)
            except ValueError:
                raise UnknownAnomaly(item) from None
        return cls(**rates)


def _without(use: Use, field: str) -> bytes:
    """The event with another name for one of its fields."""
    return bare(use).replace(f'"{field}":'.encode(), f'"x_{field}":'.encode(), 1)


def _with_cost(use: Use, cost: str) -> bytes:
    return bare(use).replace(f'"cost_usd": {use.cost!r}'.encode(), f'"cost_usd": {cost}'.encode())


def _with_time(use: Use, time: str) -> bytes:
    return bare(use).replace(f'"{use.time}"'.encode(), time.encode(), 1)


def _with_agent(use: Use, agent: bytes) -> bytes:
    return bare(use).replace(f'"{use.agent}"'.encode(), b'"' + agent + b'"', 1)


POISONS: tuple[Callable[[Use], bytes], ...] = (
    lambda use: bare(use)[:-9],
    lambda use: b"usage: " + use.usage_id.encode(),
    lambda use: b"[" + bare(use) + b"]",
    lambda use: b"[" * 5_000,
    lambda use: b"\xef\xbb\xbf" + bare(use),
    lambda use: _without(use, "usage_id" if use.model is None else "call_id"),
    lambda use: _without(use, "timestamp"),
    lambda use: _without(use, "cost_usd"),
    lambda use: _with_time(use, '"yesterday"'),
    lambda use: _with_time(use, '"1999-12-31T23:59:59Z"'),
    lambda use: _with_time(use, '"2999-01-01T00:00:00Z"'),
    lambda use: _with_cost(use, "NaN"),
    lambda use: _with_cost(use, "1e400"),
    lambda use: _with_cost(use, '"many"'),
    lambda use: _with_cost(use, "[1]"),
    lambda use: _with_cost(use, f'{use.cost!r}, "cost_usd": 0'),
    lambda use: _with_agent(use, b"\xff\xfe"),
    lambda use: _with_agent(use, rb"\ud800"),
    lambda use: _with_agent(use, rb"\u0000"),
)
"""Each makes an event unreadable in its own way; all of them fit on one line of a file."""
