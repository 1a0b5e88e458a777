"""Cost is divided evenly among named receivers."""

from collections.abc import Iterable, Sequence

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.drivers import Attributed, Drivers
from chargeback_worker.allocation.match import Claim
from chargeback_worker.allocation.naming import first_few
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.pool import Bearer, Method, Objection, Pool
from chargeback_worker.allocation.rule import Rule


def claims(rule: Rule) -> Claim:
    return rule.narrowed


def pools(
    usage: Sequence[Attributed], rule: Rule, directory: Directory, drivers: Drivers
) -> list[Pool]:
    return [Pool(("split",), dict.fromkeys(_receivers(rule), 1), usage)]


def says(rule: Rule) -> str:
    receivers = sorted(_receivers(rule))
    if len(receivers) == 1:
        return f"gives it to {receivers[0].key}"
    return f"divides it equally among {', '.join(first_few(pair.key for pair in receivers))}"


def check(rule: Rule) -> Iterable[Objection]:
    if not _receivers(rule):
        yield Objection(
            "no_receiver",
            "user_ids",
            "an equal_split needs user_ids, allocation_metadata.receivers or a team_id",
        )


def _receivers(rule: Rule) -> list[Pair]:
    """Those that are named; with none, the team that the rule is about."""
    named = [Pair(user=user) for user in rule.user_ids]
    named += [receiver.pair for receiver in rule.receivers]
    return named or ([] if rule.team_id is None else [Pair(team=rule.team_id)])


def reaches(rule: Rule, bearer: Bearer) -> Claim | None:
    return claims(rule) if bearer.among(_receivers(rule)) else None


METHOD = Method(claims, pools, says, frozenset({"user_ids", "receivers"}), check, reaches=reaches)
