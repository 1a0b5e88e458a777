"""The methods, one file each; a new one is a file and a line in this table.

A method says which totals a rule claims and makes pools of them; see `allocation.pool.Method`.
"""

from chargeback_worker.allocation.methods import (
    by_team,
    by_usage,
    by_user,
    default,
    equal_split,
    fixed_split,
)
from chargeback_worker.allocation.pool import Method
from chargeback_worker.allocation.rule import RESERVED_ID

METHODS: dict[str, Method] = {
    "by_usage": by_usage.METHOD,
    "by_team": by_team.METHOD,
    "by_user": by_user.METHOD,
    "fixed_split": fixed_split.METHOD,
    "equal_split": equal_split.METHOD,
    "default": default.METHOD,
}
"""By `rule_type`. `default` belongs to the reserved rule alone."""


def rule_types() -> list[str]:
    """Those that people may give a rule."""
    return [name for name in METHODS if name != RESERVED_ID]
