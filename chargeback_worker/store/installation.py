"""What is fixed for ever in a database at its first start: the grain of its totals."""

from collections.abc import Mapping

import msgspec

from chargeback_worker.errors import Misconfigured
from chargeback_worker.period import Period
from chargeback_worker.store import Transaction, facts
from chargeback_worker.usage.event import Grain


class GrainChanged(Misconfigured):
    """A setting that the stored totals were made by has another value now."""

    def __init__(self, setting: str, stored: object, given: object) -> None:
        super().__init__(
            f"{setting} is {given!r}, but this database was started with {stored!r};"
            " its totals cannot be regrouped.",
            f"Set {setting} back to {stored!r}, or start a new database and ingest into it again.",
        )


_SETTINGS = {"timezone": "billing.timezone", "labels": "grain.labels", "source": "ingest.source"}


def settle_grain(transaction: Transaction, grain: Grain) -> None:
    """Store the grain at the first start; afterwards compare it. Raises GrainChanged."""
    given = {name: msgspec.json.encode(getattr(grain, name)).decode() for name in _SETTINGS}
    stored = _settled(transaction, given)
    for name, value in given.items():
        if stored[name] != value:
            raise GrainChanged(
                _SETTINGS[name], msgspec.json.decode(stored[name]), msgspec.json.decode(value)
            )


def settle_first_period(transaction: Transaction, given: Period | None, this: Period) -> None:
    """The month from which periods become due by themselves: as given, from now on.

    Where none is given it is the month of the first start, `this` then, and stays so.
    """
    stored = _settled(transaction, {"first_period": str(given or this)})["first_period"]
    wanted = str(given or stored)
    if stored != wanted:
        facts.put(transaction, "first_period", wanted)


def read(transaction: Transaction) -> dict[str, str]:
    """All that is fixed, by name, as text."""
    return facts.listed(transaction)


def read_grain(transaction: Transaction) -> Grain | None:
    """The grain that the totals are kept by; None before the first start."""
    stored = read(transaction)
    if "timezone" not in stored:
        return None
    values = {name: msgspec.json.decode(stored[name]) for name in _SETTINGS}
    return Grain(values["timezone"], tuple(values["labels"]), values["source"])


def labels(transaction: Transaction) -> tuple[str, ...]:
    """The labels of the grain; none before the first start."""
    grain = read_grain(transaction)
    return () if grain is None else grain.labels


def first_period(transaction: Transaction) -> Period:
    """The month from which periods become due by themselves."""
    return Period.parse(read(transaction)["first_period"])


def _settled(transaction: Transaction, given: Mapping[str, str]) -> dict[str, str]:
    """All that is fixed, after what is missing of `given` was written; of several processes that
    start at once the first one writes."""
    stored = read(transaction)
    missing = sorted(given.keys() - stored.keys())
    for name in missing:
        facts.put_first(transaction, name, given[name])
    return read(transaction) if missing else stored
