"""Tax of an invoice: once per rate, outside of the sums that a close conserves."""

from collections.abc import Iterable
from typing import NamedTuple

from chargeback_worker.invoicing.invoice import InvoiceLine
from chargeback_worker.money import NANO, NANO_PER_CENT


class Taxed(NamedTuple):
    """The lines of one rate, which is in 10**-9: their sum, and the tax in whole cents."""

    rate: int
    amount: int
    tax: int


def tax_on(lines: Iterable[InvoiceLine]) -> int:
    """The tax of all rates."""
    return sum(taxed.tax for taxed in tax_by_rate(lines))


def tax_by_rate(lines: Iterable[InvoiceLine]) -> list[Taxed]:
    """Lowest rate first; lines that say no rate are left out."""
    by_rate: dict[int, int] = {}
    for line in lines:
        if line.tax_rate is not None:
            by_rate[line.tax_rate] = by_rate.get(line.tax_rate, 0) + line.total_price
    return [
        Taxed(rate, amount, _cents_of_tax(amount * rate))
        for rate, amount in sorted(by_rate.items())
    ]


def _cents_of_tax(product: int) -> int:
    """Nano-dollars times a rate in 10**-9, to whole cents, ties away from zero."""
    cent = NANO * NANO_PER_CENT
    cents = (2 * abs(product) + cent) // (2 * cent)
    return (cents if product > 0 else -cents) * NANO_PER_CENT
