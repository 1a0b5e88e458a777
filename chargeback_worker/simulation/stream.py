"""The stream of a simulated month: its uses in order of time, and what goes wrong among them."""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, tzinfo
from random import Random

from chargeback_worker.period import Period, format_us, to_us
from chargeback_worker.simulation.anomalies import POISONS, Anomalies
from chargeback_worker.simulation.draw import Drawer
from chargeback_worker.simulation.month import Slot, slots
from chargeback_worker.simulation.organisation import EXAMPLE, Organisation
from chargeback_worker.simulation.truth import Outcome, Simulated, Truth
from chargeback_worker.simulation.use import Envelope, Use, key, rendered, source, structured

_WINDOW = 1024
_REFUNDS = 0.004
_LATE_WITHIN_US = 5 * 86_400_000_000


def simulate(
    month: Period,
    events: int,
    *,
    seed: int,
    anomalies: Anomalies,
    organisation: Organisation = EXAMPLE,
    zone: tzinfo = UTC,
) -> Iterator[Simulated]:
    """`events` events of a month in the billing time zone, anomalies among them."""
    return _Stream(month, Random(seed), anomalies, organisation, zone).run(events)


class _Stream:
    def __init__(
        self,
        month: Period,
        random: Random,
        anomalies: Anomalies,
        organisation: Organisation,
        zone: tzinfo,
    ) -> None:
        self._month = month
        self._random = random
        self._organisation = organisation
        self._zone = zone
        self._drawers = [Drawer(team, random) for team in organisation]
        self._recent: list[Use] = []
        self._accepted = 0
        self._start_us = to_us(month.bounds(zone)[0])
        self._duplicate = anomalies.duplicate
        self._conflict = self._duplicate + anomalies.conflict
        self._poison = self._conflict + anomalies.poison
        self._late = self._poison + anomalies.late
        self._refund = self._late + (1 - self._late) * _REFUNDS

    def run(self, events: int) -> Iterator[Simulated]:
        for slot in slots(self._month, events, self._organisation, self._zone):
            if not slot.events:
                continue
            first_us = to_us(slot.start) % 3_600_000_000
            hour = slot.start.strftime("%Y-%m-%dT%H")
            share_us = slot.length_us // slot.events
            for number in range(slot.events):
                offset_us = first_us + number * share_us + int(self._random.random() * share_us)
                yield self._event(slot, _time(hour, offset_us))

    def _event(self, slot: Slot, time: str) -> Simulated:
        draw = self._random.random()
        if draw >= self._refund:
            return self._accept(self._drawer(slot).draw(time, False))
        if draw < self._conflict and self._recent:
            return self._repeated(draw < self._duplicate)
        if self._conflict <= draw < self._poison:
            return self._unreadable(self._drawer(slot).draw(time, False))
        if self._poison <= draw < self._late:
            before_us = 1 + int(self._random.random() * _LATE_WITHIN_US)
            late_time = format_us(self._start_us - before_us)
            return self._accept(self._drawer(slot).draw(late_time, True))
        if draw >= self._late and self._recent and (use := self._earlier()).cost_nano > 0:
            return self._accept(_refund(use, time, self._drawer(slot).draw(time, False).usage_id))
        return self._accept(self._drawer(slot).draw(time, False))

    def _drawer(self, slot: Slot) -> Drawer:
        point = self._random.getrandbits(30) * slot.upto[-1] >> 30
        return self._drawers[bisect_right(slot.upto, point)]

    def _earlier(self) -> Use:
        return self._recent[int(self._random.random() * len(self._recent))]

    def _accept(self, use: Use) -> Simulated:
        if len(self._recent) < _WINDOW:
            self._recent.append(use)
        else:
            self._recent[self._accepted % _WINDOW] = use
        self._accepted += 1
        return _sent(use, "accepted")

    def _repeated(self, unchanged: bool) -> Simulated:
        """A producer's retry, as it was or written anew; or the same id with another cost."""
        use = self._earlier()
        if not unchanged:
            return _sent(use._replace(cost=use.cost * 2, cost_nano=use.cost_nano * 2), "conflict")
        variant = self._random.getrandbits(2)
        if variant == 1 and use.envelope is Envelope.BARE:
            use = use._replace(envelope=Envelope.STRUCTURED)
        elif variant == 2:
            use = use._replace(time=use.time.replace("Z", "+00:00"))
        return _sent(use, "duplicate")

    def _unreadable(self, use: Use) -> Simulated:
        value = POISONS[self._random.getrandbits(16) % len(POISONS)](use)
        return Simulated(value, key(use), (), _truth(use, "quarantined"), value)


def _refund(use: Use, time: str, usage_id: str) -> Use:
    """The use taken back: its corrections name it and bear its owner."""
    return use._replace(
        usage_id=usage_id,
        time=time,
        model=None,
        quantity=-use.quantity,
        quantity_nano=-use.quantity_nano,
        cost=-use.cost,
        cost_nano=-use.cost_nano,
        metadata=f'"corrects": "{use.usage_id}"',
        envelope=Envelope.BARE,
        late=False,
    )


def _sent(use: Use, outcome: Outcome) -> Simulated:
    value, headers = rendered(use)
    line = structured(use) if headers else value
    return Simulated(value, key(use), headers, _truth(use, outcome), line)


def _truth(use: Use, outcome: Outcome) -> Truth:
    return Truth(
        outcome,
        use.late,
        source(use) if use.envelope is Envelope.NAMING else "",
        use.usage_id,
        use.team,
        use.user,
        use.agent,
        use.resource_type,
        use.cost_nano,
        use.quantity_nano,
    )


def _time(hour: str, offset_us: int) -> str:
    """RFC 3339 with six decimals, of microseconds since the hour given as text."""
    minute, us = divmod(offset_us, 60_000_000)
    second, us = divmod(us, 1_000_000)
    return f"{hour}:{minute:02d}:{second:02d}.{us:06d}Z"
