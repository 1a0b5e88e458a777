"""What is allowed and is probably not what was meant: told with a rule whenever it is shown."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from heapq import merge
from typing import NamedTuple

from chargeback_worker.allocation.match import Claim
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.pool import Method
from chargeback_worker.allocation.rule import Driver, Rule, in_effect, stretches
from chargeback_worker.allocation.writing.priority import narrows
from chargeback_worker.period import YEAR_MAX, YEAR_MIN, BillingRange

_EVER = BillingRange(date(YEAR_MIN, 1, 1), date(YEAR_MAX + 1, 1, 1))


class WarningKind(StrEnum):
    """Stable words for programs."""

    CATCH_ALL = "catch_all"
    SHADOWED = "shadowed"
    DATES_IN_CLOSED_PERIOD = "dates_in_closed_period"
    NEVER_MATCHES = "never_matches"
    UNUSED_FIELD = "unused_field"


class RuleWarning(NamedTuple):
    kind: WarningKind
    sentence: str


def warnings_of(rules: Iterable[Rule], versions: Iterable[Rule]) -> list[list[RuleWarning]]:
    """What to tell about each of some; `versions` are all of all rules, these among them."""
    calendar = _Calendar(tuple(versions))
    return [_warnings(rule, calendar) for rule in rules]


@dataclass(frozen=True)
class _Calendar:
    """Which rules apply when; looked up once for all rules that are asked about."""

    versions: tuple[Rule, ...]

    @cached_property
    def orders(self) -> list["_Order"]:
        """Of each stretch of days."""
        return [
            _Order(in_effect(self.versions, days.start)) for days in stretches(self.versions, _EVER)
        ]


class _Order:
    """The rules of some days in the order in which they claim.

    Of thousands, few can take all that another takes: one that names values of a field can do so
    only where the other names some of them too. So it is found by the rarest that it names.
    """

    def __init__(self, applying: Sequence[Rule]) -> None:
        self._rules = applying
        self._claims = [METHODS[rule.rule_type].claims(rule) for rule in applying]
        self._places = {(rule.rule_id, rule.version): n for n, rule in enumerate(applying)}
        self._unnamed: list[int] = []
        self._by_value: dict[_Value, list[int]] = {}
        named = [_named(claim) for claim in self._claims]
        often = Counter(value for fields in named for values in fields for value in values)
        for place, fields in enumerate(named):
            if not fields:
                self._unnamed.append(place)
                continue
            rarest = min(fields, key=lambda values: max(map(often.__getitem__, values), default=0))
            for value in rarest:
                self._by_value.setdefault(value, []).append(place)

    def place(self, rule: Rule) -> int | None:
        """Where it claims, None where it does not apply."""
        place = self._places.get((rule.rule_id, rule.version))
        return place if place is not None and self._rules[place] == rule else None

    def covering(self, place: int) -> Rule | None:
        """The first rule before it that takes all that the rule at that place takes."""
        claim = self._claims[place]
        found = [self._unnamed]
        found += [self._by_value.get(next(iter(values)), []) for values in _named(claim) if values]
        earlier = (other for other in merge(*found) if other < place)
        first = next((other for other in earlier if self._claims[other].covers(claim)), None)
        return None if first is None else self._rules[first]


_Value = tuple[str, str | None]


def _named(claim: Claim) -> list[list[_Value]]:
    """The values of each field of which it names any."""
    return [
        [(name, value) for value in condition.values]
        for name, condition in claim.fields().items()
        if condition.values is not None
    ]


def _warnings(rule: Rule, calendar: _Calendar) -> list[RuleWarning]:
    if rule.ended:
        return []
    method = METHODS[rule.rule_type]
    never = list(_never_matches(rule, method))
    shadowed = [] if never else _shadowed(rule, calendar)
    return [
        *_catch_all(rule),
        *never,
        *shadowed,
        *_dates_in_closed_period(rule),
        *_unused_fields(rule, method),
    ]


def _catch_all(rule: Rule) -> Iterator[RuleWarning]:
    if not narrows(rule):
        yield RuleWarning(
            WarningKind.CATCH_ALL,
            f"{rule.cited} narrows nothing: at priority {rule.priority} it claims whatever no "
            "rule claims before it; if that is not meant, give it a match or a team_id",
        )


def _never_matches(rule: Rule, method: Method) -> Iterator[RuleWarning]:
    claim = method.claims(rule)
    empty = [name for name, condition in claim.fields().items() if condition.takes_nothing]
    if empty:
        yield RuleWarning(
            WarningKind.NEVER_MATCHES,
            f"{rule.cited} can never claim anything: what its match, its team_id and its type "
            f"ask of {' and '.join(empty)} excludes each other",
        )


def _shadowed(rule: Rule, calendar: _Calendar) -> Iterator[RuleWarning]:
    """On all days on which it applies, an earlier rule takes all that this one takes.

    One that never applies, disabled or replaced by newer versions, is not shadowed.
    """
    covering: dict[str, None] = {}
    for order in calendar.orders:
        place = order.place(rule)
        if place is None:
            continue
        first = order.covering(place)
        if first is None:
            return
        covering[first.cited] = None
    if covering:
        verb = "claims" if len(covering) == 1 else "claim"
        yield RuleWarning(
            WarningKind.SHADOWED,
            f"{rule.cited} never claims anything: {' and '.join(covering)} {verb} all of it "
            "before; if that is not meant, give it a priority with a lower number",
        )


def _dates_in_closed_period(rule: Rule) -> Iterator[RuleWarning]:
    """Days that the dates ask for, of months that were closed when the version was written."""
    start, end = rule.effective_from, rule.effective_to
    first, until = start or date.min, end or date.max
    touched = [
        BillingRange(max(first, days.start), min(until, days.end))
        for days in rule.closed
        if first < days.end
        and days.start < until
        # A rule without a first day asks for closed days only where it ends among them.
        and (start is not None or until <= days.end)
    ]
    if touched:
        asked = f"from {start}" if start is not None else f"to {end}"
        yield RuleWarning(
            WarningKind.DATES_IN_CLOSED_PERIOD,
            f"{rule.cited} is dated {asked}, and does not hold in {_months(touched)}, closed when "
            "it was written; to change what is closed, reopen it first and then write a rule that "
            "differs, as the same again makes no version",
        )


def _months(closed: list[BillingRange]) -> str:
    named = [str(month) for days in closed for month in days.periods()]
    if len(named) > 3:
        return f"{named[0]} and {len(named) - 1} more months up to {named[-1]}"
    return ", ".join(named)


def _unused_fields(rule: Rule, method: Method) -> Iterator[RuleWarning]:
    given = {
        "user_ids": bool(rule.user_ids),
        "split_percentages": bool(rule.split),
        "receivers": bool(rule.receivers),
        "driver": rule.driver is not Driver.COST,
        "driver_match": bool(rule.driver_resource_types),
    }
    for field, is_given in given.items():
        if is_given and field not in method.uses:
            yield RuleWarning(
                WarningKind.UNUSED_FIELD,
                f"{rule.cited} has {field}, which a {rule.rule_type} does not look at",
            )
