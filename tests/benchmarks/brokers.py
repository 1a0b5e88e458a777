"""Apache Kafka for a bench, as the ladder of the tests finds it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.support.brokers import kafka_ladder

Servers = Callable[[], AbstractContextManager[str | None]]
"""Where Kafka is; None where there is none."""


@contextmanager
def kafka() -> Iterator[str | None]:
    ladder = kafka_ladder()
    server = ladder.obtain()
    try:
        yield None if server is None else server.bootstrap_servers
    finally:
        ladder.close()
