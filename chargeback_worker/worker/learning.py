"""Beside ingest: what makes looking up stored keys cheaper is learned; nothing waits for it."""

import threading

import structlog

from chargeback_worker.errors import ChargebackError
from chargeback_worker.store import Store

_log = structlog.get_logger(__name__)

_AGAIN_S = 20.0
# A step takes some milliseconds of Python, which ingest wants too: it gets five times as much.
_REST_S = 0.1


def learn_keys(store: Store, stop: threading.Event) -> None:
    """Until `stop`: learn what there is, and look again from time to time."""
    while not stop.is_set():
        try:
            for _ in store.learn_keys():
                if stop.wait(_REST_S):
                    return
        except ChargebackError as error:
            _log.info("keys not learned", action="keys_not_learned", error=str(error))
        stop.wait(_AGAIN_S)
