"""What the roles of this process say of themselves: when last heard of, what they wait for."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

READY_AFTER_S = 60.0
"""A role that has not been heard of for so long is not ready."""


@dataclass(frozen=True, slots=True)
class RoleHealth:
    """`waits_for` names what keeps the role from its work; None while it works."""

    role: str
    age_s: float
    waits_for: str | None

    @property
    def fault(self) -> str | None:
        """Why the role is not ready, or None."""
        if self.age_s > READY_AFTER_S:
            return f"not heard of for {self.age_s:.0f} s"
        return f"waits for {self.waits_for}" if self.waits_for else None


class Health:
    """The roles of one process. `clock_s` counts seconds and never goes back."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._heard: dict[str, tuple[float, str | None]] = {}

    def beat(self, role: str, waits_for: str | None = None) -> None:
        with self._lock:
            self._heard[role] = self._clock_s(), waits_for

    def roles(self) -> list[RoleHealth]:
        with self._lock:
            heard, now = dict(self._heard), self._clock_s()
        return [
            RoleHealth(role, now - at, waits_for) for role, (at, waits_for) in sorted(heard.items())
        ]
