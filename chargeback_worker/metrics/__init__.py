"""What is measured: the catalogue of all metrics, and the registry of one process.

Owns: every metric's name, help, labels and what to do about it, in one catalogue, of which its
page is made too; how the store's figures are shown while it fails.

Does not own: counting. Steps return what they did, and the doors count it; reading the figures is
a report's.

Invariants:
* Nothing is registered at import, nothing is global: two `Metrics` know nothing of each other.
* No team and no user is a label.
* The exposition format knows floats only, so money is rounded to one here and nowhere else: the
  store has the truth, a gauge is for alarms.
"""

from chargeback_worker.metrics.catalogue import CATALOGUE, GROUPS, OUTCOMES, STATES
from chargeback_worker.metrics.measure import Measure
from chargeback_worker.metrics.registry import CONTENT_TYPE, Metrics
from chargeback_worker.metrics.stored import Figures, Money

__all__ = [
    "CATALOGUE",
    "CONTENT_TYPE",
    "GROUPS",
    "OUTCOMES",
    "STATES",
    "Figures",
    "Measure",
    "Metrics",
    "Money",
]
