"""The program on a database of its own, and a broker in memory where a test asks for one."""

from pathlib import Path

import pytest

from chargeback_worker import app
from chargeback_worker.broker.memory import MemoryBroker
from tests.support.command import Command

USAGE_FILE = Path(__file__).parents[1] / "data" / "agents-code-2023-11.jsonl.gz"


@pytest.fixture
def chargeback(ready_url: str) -> Command:
    """On each kind of store in turn."""
    return Command(["--database", ready_url])


@pytest.fixture
def sqlite_chargeback(sqlite_url: str) -> Command:
    return Command(["--database", sqlite_url])


@pytest.fixture
def memory_broker(monkeypatch: pytest.MonkeyPatch) -> MemoryBroker:
    """What every command takes for the broker of its settings."""
    broker = MemoryBroker()
    monkeypatch.setattr(app, "open_broker", lambda settings: broker)
    return broker


@pytest.fixture
def usage_file() -> str:
    """A month of real usage."""
    return str(USAGE_FILE)
