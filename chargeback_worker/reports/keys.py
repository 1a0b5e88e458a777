"""Keys of the HTTP API as they stand; the keys themselves are kept nowhere."""

from collections.abc import Sequence

from chargeback_worker.invoicing.document import Document
from chargeback_worker.period import format_us
from chargeback_worker.store import Store, api_answers, api_keys
from chargeback_worker.store.api_answers import StoredAnswer
from chargeback_worker.store.api_keys import ApiKey


def list_keys(store: Store) -> Document:
    """All of them, revoked ones too, newest first."""
    with store.read() as transaction:
        return {"keys": [key_document(key) for key in api_keys.listed(transaction)]}


def find_key(store: Store, secret: str | None) -> tuple[ApiKey | None, bool]:
    """The key that a caller has sent, and whether any was ever made."""
    (found,) = find_keys(store, [secret])
    return found


def find_keys(store: Store, secrets: Sequence[str | None]) -> list[tuple[ApiKey | None, bool]]:
    """The same of several callers at once."""
    digests = [None if secret is None else api_keys.digest(secret) for secret in secrets]
    sent = {digest for digest in digests if digest is not None}
    with store.read() as transaction:
        found = api_keys.find_all(transaction, sent) if sent else {}
        any_made = bool(found) or api_keys.any_made(transaction)
    return [(None if digest is None else found.get(digest), any_made) for digest in digests]


def find_answers(
    store: Store, names: Sequence[tuple[str, str]], since_us: int
) -> list[StoredAnswer | None]:
    """What requests were answered before, each by its owner and its Idempotency-Key."""
    with store.read() as transaction:
        found = api_answers.find(transaction, set(names), since_us)
    return [found.get(name) for name in names]


def key_document(key: ApiKey) -> Document:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "role": key.role.value,
        "scope": None if key.scope is None else key.scope.key,
        "created_at": format_us(key.created_us),
        "created_by": key.created_by,
        "revoked_at": None if key.revoked_us is None else format_us(key.revoked_us),
    }
