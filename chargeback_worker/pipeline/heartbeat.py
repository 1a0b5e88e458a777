"""The sign of life that a process leaves in the store."""

from collections.abc import Mapping

from chargeback_worker.store import Store, heartbeats

FORGOTTEN_AFTER_US = 24 * 3600 * 1_000_000


def beat(store: Store, instance: str, roles: Mapping[str, str], started_us: int) -> None:
    """Note what the roles of a process are doing now; forget those that ended without a word."""
    with store.begin() as transaction:
        heartbeats.write(transaction, instance, roles, started_us)
        heartbeats.forget(transaction, transaction.now_us() - FORGOTTEN_AFTER_US)


def leave(store: Store, instance: str) -> None:
    """The process ends; forget it."""
    with store.begin() as transaction:
        heartbeats.remove(transaction, instance)
