"""The program on a database of its own, and a broker in memory where a test asks for one."""

import json
from pathlib import Path

import pytest

from chargeback_worker import app
from chargeback_worker.broker.memory import MemoryBroker
from tests.support.command import Command
from tests.support.feed import usage

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


_DIRECTORY = """teams:
  - team_id: T
    members:
      - {user_id: ada, name: Ada Lovelace}
"""


@pytest.fixture
def two_months(chargeback: Command, tmp_path: Path) -> Command:
    """A closed month with three records, and an open one with one of them late."""
    directory, events, late = (tmp_path / name for name in ("d.yaml", "usage.jsonl", "late.jsonl"))
    directory.write_text(_DIRECTORY)
    chargeback.ok("directory", "apply", str(directory))
    refused = json.dumps({"usage_id": "x", "user_id": "ada"}).encode()
    asked = {"who": "Ada Lovelace"}
    events.write_bytes(
        b"\n".join(
            [
                usage("a", "1.5", user_id="ada", day="2026-09-03", metadata=asked),
                usage("b", "2.5", user_id="bob", day="2026-09-04"),
                usage("c", "4", user_id="ada", day="2026-09-04"),
                refused,
            ]
        )
    )
    chargeback.ok("ingest", str(events))
    chargeback.ok("close", "2026-09")
    late.write_bytes(usage("late", "7", user_id="bob", day="2026-09-09"))
    chargeback.ok("ingest", str(late))
    return chargeback
