"""Who asks, and what they may: keys with roles and scopes, or this machine alone.

Without any key ever made, whoever is on this machine may do everything. A browser on it is not
meant, as a page from elsewhere could use it: so the name asked for must be one of this machine, a
body must be announced as JSON, which no page may send elsewhere unasked, and nothing may have been
passed on for somebody else.
"""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.api.refusals import (
    KeyMissing,
    KeyUnknown,
    NotLocal,
    OutOfScope,
    RoleTooLow,
)
from chargeback_worker.api.together import Together
from chargeback_worker.app import now_us
from chargeback_worker.period import day_from_number
from chargeback_worker.store.api_keys import ApiKey, Role
from chargeback_worker.store.audit import Act
from chargeback_worker.usage.event import UsageEvent

_PASSED_ON = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
LOCAL = "local"
"""The owner of what is asked on this machine without any key."""
_LOCAL_NAMES = ("localhost", "localhost.")

Keys = Together[str | None, tuple[ApiKey | None, bool]]
"""Looks up the key that each caller has sent, and says whether any was ever made."""


class Scoped(StrEnum):
    """What a key of a scope may do with a route."""

    OWN = "own"
    """It sees only its own; the route narrows what it is asked for."""
    NEVER = "never"
    """What is seen there belongs to nobody alone."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asks. `owner` is theirs alone, whatever they are called."""

    owner: str
    actor: str
    role: Role
    scope: Pair | None = None

    def act(self, reason: str | None = None) -> Act:
        """What they do now."""
        return Act(self.actor, now_us(), reason)

    def narrowed(self, team: str | None, user: str | None) -> tuple[str | None, str | None]:
        """The filters that they asked for, narrowed to what is theirs. Raises OutOfScope."""
        if self.scope is None:
            return team, user
        for given, own in ((team, self.scope.team), (user, self.scope.user)):
            if own is not None and given not in (None, own):
                raise OutOfScope(self.scope.key)
        return self.scope.team or team, self.scope.user or user

    def owns(self, team: str | None, user: str | None) -> bool:
        """Whether what is of that team and user is theirs to see."""
        if self.scope is None:
            return True
        mine = self.scope
        return mine.team == team if mine.team is not None else mine.user == user

    def needs_directory(self, event: UsageEvent) -> bool:
        """Whether the directory decides if they may record it: a user's own, that names a team."""
        of_user = self.scope is not None and self.scope.user is not None
        return of_user and event.team is not None and self.owns(event.team, event.user)

    def refusal_of(self, event: UsageEvent, directory: Directory) -> OutOfScope | None:
        """Why they may not record it, if so. To see what is theirs is less than to charge it to a
        team: a team vouches for its users, but a user for no team that is not theirs that day."""
        mine = self.scope
        if mine is None:
            return None
        if not self.owns(event.team, event.user):
            return OutOfScope(
                mine.key,
                f"This key records only usage of {mine.key}.",
                "Name that in the usage, or use a key without a scope.",
            )
        if mine.user is None or event.team is None:
            return None
        day = day_from_number(event.day)
        if directory.has(event.team, mine.user, day):
            return None
        return OutOfScope(
            mine.key,
            f"The directory does not have {mine.key} in the team {event.team!r} on {day}, so this"
            " key may not record usage of that team.",
            "Leave team_id out, have the directory name the membership, or use a key of the team.",
        )


async def admit(request: Request, keys: Keys, wanted: Role, scoped: Scoped) -> Caller:
    """Whoever asks, if they may. Raises the refusals of status 401 and 403, and Unavailable."""
    sent = _sent_key(request)
    # From the database each time, by a look that begins now: a key that was revoked is so at once.
    found, any_made = await keys.ask(sent)
    if not any_made:
        _require_local(request)
        return Caller(LOCAL, LOCAL, Role.ADMIN)
    if found is None:
        raise KeyMissing if sent is None else KeyUnknown
    if not found.role.reaches(wanted):
        raise RoleTooLow(found.role, wanted)
    if found.scope is not None and scoped is Scoped.NEVER:
        raise OutOfScope(found.scope.key)
    return _caller(found)


def _caller(key: ApiKey) -> Caller:
    return Caller(f"key:{key.key_id}", f"key:{key.name}", key.role, key.scope)


def _sent_key(request: Request) -> str | None:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return request.headers.get("x-api-key") or None


def _require_local(request: Request) -> None:
    """Raises NotLocal."""
    client = request.client
    if client is None or not is_loopback(client.host):
        raise NotLocal("the request comes from elsewhere")
    if not is_loopback(_host_name(request.headers.get("host", ""))):
        raise NotLocal("its Host is no name of this machine")
    for header in _PASSED_ON:
        if header in request.headers:
            raise NotLocal(f"its {header} says that it was passed on")


def _host_name(host: str) -> str:
    """The name in a Host header, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def is_loopback(name: str) -> bool:
    """Whether a host name or address is of this machine alone."""
    if name.lower() in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
