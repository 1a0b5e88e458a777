import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from chargeback_worker.metrics import Metrics
from chargeback_worker.worker.monitor import Monitor, PortTaken


class Served:
    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        self.stuck: dict[str, str] = {}
        self.monitor = Monitor(Metrics("1.2.3"), lambda: self.faults, lambda: self.stuck)
        self.port = self.monitor.start("127.0.0.1", 0)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.monitor.close()


def test_metrics_are_served_on_the_metrics_port(served: Served) -> None:
    status, body = served.get("/metrics")
    assert status == 200
    assert "chargeback_build_info{" in body


def test_ready_names_each_part_that_is_not(served: Served) -> None:
    assert served.get("/readyz") == (200, '{"ready":true,"faults":{}}')
    served.faults = {"store": "not reachable"}
    status, body = served.get("/readyz")
    assert status == 503
    assert json.loads(body) == {"ready": False, "faults": {"store": "not reachable"}}


def test_healthy_tells_of_stuck_roles_only(served: Served) -> None:
    served.faults = {"store": "not reachable"}
    assert served.get("/healthz") == (200, '{"healthy":true,"faults":{}}')
    served.stuck = {"ingest": "not heard of for 601 s"}
    assert served.get("/healthz")[0] == 503


def test_another_path_is_404_and_says_what_there_is(served: Served) -> None:
    status, body = served.get("/")
    assert status == 404
    assert "/metrics" in body


def test_a_port_that_is_taken_is_a_clear_error(served: Served) -> None:
    with pytest.raises(PortTaken, match=f"127.0.0.1:{served.port}"):
        served.monitor.start("127.0.0.1", served.port)
