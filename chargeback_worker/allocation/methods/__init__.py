"""The methods, one file each; a new one is a file and a line in this table.

A method claims totals and makes pools of them; see `allocation.pool` for its two functions.
"""

from chargeback_worker.allocation.methods import default
from chargeback_worker.allocation.pool import Method

METHODS: dict[str, Method] = {
    "default": default.METHOD,
}
"""By `rule_type`. `default` belongs to the reserved rule alone."""
