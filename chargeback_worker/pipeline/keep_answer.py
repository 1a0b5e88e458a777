"""Keeping what a request was answered, for the case that its sender never heard of it."""

from chargeback_worker.store import Store, api_answers
from chargeback_worker.store.api_answers import StoredAnswer

KEPT_US = 48 * 3_600_000_000
"""How long an answer is given again; sooner or later after it, it is forgotten."""


def keep_answer(store: Store, owner: str, key: str, answer: StoredAnswer, now_us: int) -> None:
    """Keep an answer under its owner's key; the first one of a key stands."""
    since_us = now_us - KEPT_US
    with store.begin() as transaction:
        api_answers.forget(transaction, since_us)
        api_answers.keep(transaction, owner, key, answer, now_us=now_us, since_us=since_us)
