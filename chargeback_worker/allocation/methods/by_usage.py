"""Own usage stays with its owner; shared cost follows what the receivers used."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.drivers import Attributed, Drivers
from chargeback_worker.allocation.match import MISSING, Claim
from chargeback_worker.allocation.naming import first_few
from chargeback_worker.allocation.pair import UNALLOCATED
from chargeback_worker.allocation.pool import Bearer, Method, Objection, Pool
from chargeback_worker.allocation.rule import Driver, Rule


def claims(rule: Rule) -> Claim:
    return rule.narrowed


def pools(
    usage: Sequence[Attributed], rule: Rule, directory: Directory, drivers: Drivers
) -> list[Pool]:
    """One pool an owner, and one of all that has none, by one vector for the whole period."""
    made = Pool.owned_each(used for used in usage if used.owner != UNALLOCATED)
    shared = [used for used in usage if used.owner == UNALLOCATED]
    if shared:
        receivers = [named.pair for named in rule.receivers] or drivers.owners
        weights = drivers.measured(receivers, rule.driver, rule.driver_resource_types)
        made.append(Pool(("shared",), weights, shared))
    return made


def says(rule: Rule) -> str:
    named = ", ".join(first_few(receiver.pair.key for receiver in rule.receivers))
    among = named or "all teams, and users without a team, that used anything"
    what = {Driver.COST: "cost", Driver.QUANTITY: "quantity", Driver.RECORDS: "number of records"}
    of = " and ".join(first_few(rule.driver_resource_types)) or "everything"
    return (
        "leaves usage with its owner and divides shared cost among"
        f" {among} by the {what[rule.driver]} of {of} they used in the period"
    )


def check(rule: Rule) -> Iterable[Objection]:
    if rule.driver is Driver.QUANTITY and len(rule.driver_resource_types) != 1:
        yield Objection(
            "quantity_driver",
            "allocation_metadata.driver_match",
            "the driver quantity needs a driver_match that names exactly one resource type, as"
            " quantities of unlike units are never added",
        )


def reaches(rule: Rule, bearer: Bearer) -> Claim | None:
    """Shared cost, where they may be among its receivers."""
    if rule.receivers and not bearer.among(named.pair for named in rule.receivers):
        return None
    claim = rule.narrowed
    return replace(claim, teams=claim.teams & MISSING, users=claim.users & MISSING)


METHOD = Method(
    claims,
    pools,
    says,
    frozenset({"receivers", "driver", "driver_match"}),
    check,
    reaches=reaches,
    measures=True,
)
