"""Cost is divided by agreed percentages."""

from collections.abc import Iterable, Sequence

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.drivers import Attributed, Drivers
from chargeback_worker.allocation.match import Claim
from chargeback_worker.allocation.naming import first_few
from chargeback_worker.allocation.pool import Bearer, Method, Objection, Pool
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.money import NANO, plain

_ALL_NANO = 100 * NANO


def claims(rule: Rule) -> Claim:
    return rule.narrowed


def pools(
    usage: Sequence[Attributed], rule: Rule, directory: Directory, drivers: Drivers
) -> list[Pool]:
    weights = {share.receiver.pair: share.percent_nano for share in rule.split}
    return [Pool(("split",), weights, usage)]


def says(rule: Rule) -> str:
    parts = (f"{share.receiver.pair.key} {plain(share.percent_nano)} %" for share in rule.split)
    return f"divides it by agreed percentages: {', '.join(first_few(parts))}"


def check(rule: Rule) -> Iterable[Objection]:
    if not rule.split:
        yield Objection(
            "no_receiver", "split_percentages", "a fixed_split needs receivers and percentages"
        )
        return
    for share in rule.split:
        if share.percent_nano <= 0:
            yield Objection(
                "percentages",
                f"split_percentages.{share.receiver.written}",
                f"{plain(share.percent_nano)} is not above 0",
            )
    whole = sum(share.percent_nano for share in rule.split)
    if whole != _ALL_NANO:
        yield Objection(
            "percentages", "split_percentages", f"they sum to {plain(whole)}, not to exactly 100"
        )


def reaches(rule: Rule, bearer: Bearer) -> Claim | None:
    return claims(rule) if bearer.among(share.receiver.pair for share in rule.split) else None


METHOD = Method(claims, pools, says, frozenset({"split_percentages"}), check, reaches=reaches)
