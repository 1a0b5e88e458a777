"""The brokers that keep one contract: in memory, the embedded one, and Apache Kafka."""

from collections.abc import Iterator

import pytest

from tests.support.brokers import BrokerServer
from tests.support.sites import MemorySite, Site, WireSite


@pytest.fixture(params=["memory", "embedded", "kafka"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    found: Site
    if request.param == "memory":
        found = MemorySite()
    else:
        real = request.param == "kafka"
        server: BrokerServer = request.getfixturevalue("kafka" if real else "embedded_broker")
        found = WireSite(server.bootstrap_servers, knows_topic_ids=real)
    yield found
    found.close()
