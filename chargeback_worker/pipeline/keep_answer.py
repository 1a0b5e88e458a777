"""Keeping what requests were answered, for the case that a sender never heard of it."""

from collections.abc import Sequence

from chargeback_worker.store import Store, Transaction, api_answers
from chargeback_worker.store.api_answers import Answered, StoredAnswer

KEPT_US = 48 * 3_600_000_000
"""How long an answer is given again; sooner or later after it, it is forgotten."""


def keep_answers(store: Store, answered: Sequence[Answered], now_us: int) -> None:
    """Keep answers, each under its owner's key; the first one of a key stands."""
    with store.begin() as transaction:
        _keep(transaction, answered, now_us)


def claim_key(store: Store, answered: Answered, now_us: int) -> StoredAnswer:
    """Keep an answer before its thing is done; the one that stands, where another's was first.

    Of those who claim one key at once one is first, whatever process they are in.
    """
    name = (answered.owner, answered.key)
    with store.begin() as transaction:
        since_us = _keep(transaction, [answered], now_us)
        return api_answers.find(transaction, [name], since_us)[name]


def _keep(transaction: Transaction, answered: Sequence[Answered], now_us: int) -> int:
    """Since when those are kept that stand."""
    since_us = now_us - KEPT_US
    api_answers.forget(transaction, since_us)
    api_answers.keep(transaction, answered, now_us=now_us, since_us=since_us)
    return since_us
