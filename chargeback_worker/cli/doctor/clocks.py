"""The clocks: the database's and the brokers' are this machine's."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from chargeback_worker import app
from chargeback_worker.cli.doctor.finding import Fault, Finding, Patient, ok, warn

T = TypeVar("T")

# Usage is refused as from the future, months are closed and leases lapse by these clocks.
DIFFERS_US = 5_000_000
_AGREE = f"and ours agree to {DIFFERS_US // 1_000_000} s"


def database_keeps_our_time(patient: Patient) -> Iterator[Finding]:
    if not patient.has_books:
        return
    differs = _difference(*_asked(patient.world.closing_now_us))
    if differs:
        detail = f"the database's clock is {differs} that of this machine"
        fix = "Let both keep time by NTP: months are closed, and leases lapse, by these clocks."
        yield warn("clock", Fault.CLOCK_DIFFERS, detail, fix)
    else:
        yield ok("clock", f"the database's {_AGREE}")


def broker_keeps_our_time(patient: Patient) -> Iterator[Finding]:
    """As far as the brokers' controller tells it; that of each other broker is not told."""
    if not patient.has_broker:
        return
    before, told_ms, after = _asked(patient.world.broker.clock_ms)
    if told_ms is None:
        yield ok("clock", "the broker does not tell what time it is")
        return
    differs = _difference(before, 1_000 * told_ms, after)
    if differs:
        detail = f"the clock of the brokers' controller is {differs} that of this machine"
        fix = "Let both keep time by NTP: by their clocks brokers delete messages, and refuse ours."
        yield warn("clock", Fault.BROKER_CLOCK_DIFFERS, detail, fix)
    else:
        yield ok("clock", f"that of the brokers' controller {_AGREE}")


def _asked(clock: Callable[[], T]) -> tuple[int, T, int]:
    """What a clock tells, between what ours told before and after."""
    before = app.now_us()
    told = clock()
    return before, told, app.now_us()


def _difference(before: int, theirs: int, after: int) -> str | None:
    """How far it is from ours; None where that is not worth a word."""
    # It was read somewhere between the two.
    apart = max(theirs - after, before - theirs)
    if apart <= DIFFERS_US:
        return None
    return f"{apart / 1e6:.1f} s {'ahead of' if theirs > after else 'behind'}"
