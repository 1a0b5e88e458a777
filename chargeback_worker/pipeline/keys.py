"""Making and revoking keys of the HTTP API. The key itself is shown once and kept nowhere."""

import re
import secrets
from dataclasses import dataclass

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.errors import Invalid
from chargeback_worker.store import Store, Transaction, api_keys, audit, periods
from chargeback_worker.store.api_keys import ApiKey, Role
from chargeback_worker.store.audit import Act
from chargeback_worker.usage.fields import TEXT_MAX

KEY_LENGTH_MIN = 32
_ID_BYTES, _SECRET_BYTES = 6, 32
_GIVEN = re.compile(r"[!-~]{32,512}")
_BOOTSTRAP = "bootstrap"


class KeyTooWeak(Invalid):
    """A key that was brought along could be guessed."""

    def __init__(self) -> None:
        super().__init__(
            f"The first API key must have at least {KEY_LENGTH_MIN} visible ASCII characters.",
            "Make one: openssl rand -hex 32",
        )


class BadScope(Invalid):
    """The scope of a key names neither a team nor a user."""

    def __init__(self, given: str) -> None:
        super().__init__(
            f"{given[:60]!r} is no scope of a key.", "Write team:ID or user:ID, or leave it out."
        )


@dataclass(frozen=True, slots=True)
class MadeKey:
    """`secret` is what the caller sends; nobody can read it again."""

    key: ApiKey
    secret: str


def read_scope(text: str) -> Pair:
    """`team:ID` or `user:ID`. Raises BadScope."""
    side, _, name = text.partition(":")
    if side not in ("team", "user") or not 1 <= len(name) <= TEXT_MAX or not name.isprintable():
        raise BadScope(text)
    return Pair(team=name) if side == "team" else Pair(user=name)


def create_key(store: Store, name: str, role: Role, scope: Pair | None, act: Act) -> MadeKey:
    """Make a random key."""
    key_id = secrets.token_hex(_ID_BYTES)
    secret = f"chargeback_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    key = ApiKey(key_id, name or key_id, role, scope, act.now_us, act.actor)
    with store.begin() as transaction:
        _insert(transaction, key, secret, act)
    return MadeKey(key, secret)


def bootstrap_key(store: Store, secret: str, act: Act) -> ApiKey | None:
    """Take a given key as the first one, an admin's; None where one was made before.

    Raises KeyTooWeak.
    """
    if not _GIVEN.fullmatch(secret):
        raise KeyTooWeak
    key = ApiKey(_BOOTSTRAP, _BOOTSTRAP, Role.ADMIN, None, act.now_us, act.actor)
    with store.begin() as transaction:
        # Several that start at once are given the same one.
        periods.hold_off_closing(transaction)
        if api_keys.any_made(transaction):
            return None
        _insert(transaction, key, secret, act)
    return key


def revoke_key(store: Store, key_id: str, act: Act) -> ApiKey:
    """Let a key open nothing any more, at once. Raises KeyIdUnknown or AlreadyRevoked."""
    with store.begin() as transaction:
        before = api_keys.get(transaction, key_id)
        api_keys.revoke(transaction, key_id, act.now_us)
        audit.append(transaction, act, "key.revoke", f"key:{key_id}", before={"name": before.name})
        return api_keys.get(transaction, key_id)


def _insert(transaction: Transaction, key: ApiKey, secret: str, act: Act) -> None:
    api_keys.insert(transaction, key, api_keys.digest(secret))
    audit.append(
        transaction,
        act,
        "key.create",
        f"key:{key.key_id}",
        after={
            "name": key.name,
            "role": key.role.value,
            "scope": None if key.scope is None else key.scope.key,
        },
    )
