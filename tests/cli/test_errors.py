"""Each way to end: one clear error, its exit code, what to do next, and no traceback."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from chargeback_worker import app
from chargeback_worker.broker.kafka import Patience
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.cli import periods, run
from chargeback_worker.pipeline import offsets
from chargeback_worker.store import Store
from tests.support.brokers import BrokerServer
from tests.support.command import Command, Ended
from tests.support.ladder import free_port


def _told(ended: Ended, code: int, *words: str) -> None:
    assert ended.code == code, ended
    assert ended.out == ""
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.err, ended.err


def _execute(url: str, *statements: str) -> None:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["clsoe"], ["No such command", "close"]),
        (["close"], ["Missing argument", "PERIOD"]),
        (["close", "2026-13"], ["'2026-13' is no period", "2026-10"]),
        (["close", "2026-10-01/2026-10-05"], ["not exactly one billing period", "2026-10"]),
        (["usage", "summary"], ["--period 2026-10"]),
        (["usage", "summary", "--period", "2026-10", "--from", "2026-10-01"], ["--period 2026-10"]),
        (["ingest"], ["Missing argument", "FILE"]),
        (["ingest", "nowhere.jsonl"], ["nowhere.jsonl", "no such file"]),
        (["simulate", "--events", "5"], ["--to-topic"]),
        (["simulate", "--events", "0", "--to", "x"], ["--events"]),
        (["simulate", "--events", "5", "--to", "x", "--anomalies", "lat"], ["did you mean late?"]),
        (["invoices", "list", "--status", "payed"], ["'payed'", "paid"]),
        (["audit", "--since", "yesterday"], ["'yesterday'", "2026-10-01"]),
        (["offsets", "skip", "usage-events"], ["TOPIC:PARTITION:OFFSET"]),
        (["quarantine", "dismiss", "1"], ["a reason is required", "--reason TEXT"]),
        (["--set", "billing.due_days", "periods"], ["KEY=VALUE"]),
    ],
)
def test_a_wrong_argument_ends_with_2(
    sqlite_url: str,
    arguments: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    _told(Command(["--database", sqlite_url])(*arguments), 2, *words)


def test_all_wrong_settings_are_told_at_once_and_end_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "chargeback.toml"
    file.write_text('[billing]\ntimezone = "Mars"\n')
    monkeypatch.setenv("CHARGEBACK_BILLING__DUE_DAY", "3")
    ended = Command(["--config", str(file), "--set", "kafka.usage_topik=a"])("periods")
    _told(
        ended,
        3,
        "3 settings are at fault",
        f"billing.timezone = Mars ({file}:2)",
        "did you mean CHARGEBACK_BILLING__DUE_DAYS?",
        "kafka.usage_topik (command line): is no setting, did you mean kafka.usage_topic?",
    )


def test_a_missing_configuration_file_ends_with_3() -> None:
    _told(Command(["--config", "nowhere.toml"])("periods"), 3, "nowhere.toml", "No such file")


def test_a_password_is_in_no_error() -> None:
    port = free_port()
    ended = Command(["--database", f"postgresql://me:hunter2@127.0.0.1:{port}/books"])("periods")
    _told(ended, 4, f"postgresql://me:***@127.0.0.1:{port}/books is not reachable")
    assert "hunter2" not in ended.err


def test_a_database_file_in_no_folder_ends_with_4(tmp_path: Path) -> None:
    ended = Command(["--database", f"sqlite:///{tmp_path}/none/books.db"])("periods")
    _told(ended, 4, "unable to open database file", "Check that the folder exists")


def test_a_file_that_is_no_database_ends_with_3(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("This is not a database. " * 50)
    ended = Command(["--database", f"sqlite:///{tmp_path}/notes.txt"])("periods")
    _told(ended, 3, "is not a SQLite database")


def test_a_database_of_others_ends_with_3(database_url: str) -> None:
    _execute(database_url, "CREATE TABLE customers (id INTEGER)")
    for command in (["periods"], ["db", "upgrade"]):
        ended = Command(["--database", database_url])(*command)
        _told(ended, 3, "holds a table 'customers' that is not ours", "a database of its own")


@pytest.mark.parametrize(
    ("revision", "words"),
    [("0000", ["has schema 0000", "chargeback db upgrade"]), ("9999", ["newer than"])],
)
def test_a_database_of_another_version_ends_with_3(
    chargeback: Command, ready_url: str, revision: str, words: list[str]
) -> None:
    chargeback.ok("db", "upgrade")
    _execute(
        ready_url,
        f"UPDATE alembic_version SET version_num = '{revision}'",
        f"UPDATE installation SET value = '{revision}' WHERE name = 'oldest_revision'",
    )
    for command in (["periods"], ["db", "check"], ["verify"]):
        _told(chargeback(*command), 3, *words)


def test_a_changed_grain_ends_with_3(chargeback: Command) -> None:
    chargeback.ok("periods")
    ended = chargeback.having("--set", "billing.timezone=Europe/Berlin")("periods")
    _told(ended, 3, "billing.timezone is 'Europe/Berlin'", "started with 'UTC'", "Set ")


def test_a_broker_that_is_not_there_ends_with_4(
    sqlite_chargeback: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "patience", lambda settings: Patience(answer_s=0.3))
    address = f"127.0.0.1:{free_port()}"
    nowhere = sqlite_chargeback.having("--broker", address)
    for command in (
        ["topics", "create"],
        ["simulate", "--events", "5", "--to-topic"],
        ["offsets", "accept-gap", "--reason", "gone"],
    ):
        _told(nowhere(*command), 4, f"The broker at {address} did not answer")


def test_a_worker_whose_database_is_away_at_its_start_ends_with_4() -> None:
    nowhere = Command(["--database", f"postgresql://127.0.0.1:{free_port()}/books"])
    _told(nowhere("run"), 4, "is not reachable", "Check database.url")


def test_a_missing_topic_ends_with_3(sqlite_chargeback: Command, any_broker: BrokerServer) -> None:
    at_broker = sqlite_chargeback.having(
        "--broker", any_broker.bootstrap_servers, "--set", "kafka.usage_topic=nobody-made-this"
    )
    for command in (
        ["simulate", "--events", "5", "--to-topic"],
        ["offsets", "adopt-topic", "--reason", "new"],
    ):
        _told(at_broker(*command), 3, "no topic nobody-made-this", "chargeback topics create")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["invoices", "show", "INV-1"], ["no invoice 'INV-1'", "chargeback invoices list"]),
        (["quarantine", "show", "7"], ["no quarantined event 7", "chargeback quarantine list"]),
        (["quarantine", "replay", "7"], ["no quarantined event 7"]),
        (["close", "2999-01"], ["2999-01 is not over", "--dry-run"]),
        (["offsets", "skip", "t:0:1", "--reason", "r"], ["No position of t:0 is stored"]),
    ],
)
def test_what_is_refused_ends_with_5(
    sqlite_chargeback: Command, arguments: list[str], words: list[str]
) -> None:
    _told(sqlite_chargeback(*arguments), 5, *words)


def test_a_worker_whose_topic_was_made_anew_ends_with_5_and_its_last_line_names_the_command(
    chargeback: Command, memory_broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a worker changes of its process would stay behind.
    monkeypatch.setattr(run, "suit_batches", lambda: None)
    monkeypatch.setattr("chargeback_worker.worker.lifecycle.signal.signal", lambda *given: None)
    chargeback.ok("db", "upgrade")
    chargeback.ok("topics", "create")
    store = Store(chargeback.options[1])
    offsets.first_seen(store, "usage-events", 0, topic_id="former", position=1, now_us=1)
    store.close()
    ended = chargeback.having("--set", "metrics.port=0")("run", "--role", "ingest")
    assert ended.code == 5, ended
    assert "was made anew" in ended.err
    assert "chargeback offsets adopt-topic --reason TEXT" in ended.err.splitlines()[-1]


def test_a_mismatch_ends_with_5_and_is_named(
    chargeback: Command, ready_url: str, usage_file: str
) -> None:
    chargeback.ok("ingest", usage_file)
    _execute(ready_url, "UPDATE ingest_cursor SET accepted = accepted + 1")
    ended = chargeback("verify", "-o", "json")
    assert ended.code == 5
    assert ended.json["verify"]["clean"] is False
    named = {row["check"] for row in ended.json["verify"]["mismatches"]}
    assert "tallies" in named
    people = chargeback("verify")
    assert people.code == 5
    assert "mismatch" in people.out
    assert chargeback("verify", "-o", "csv").out.startswith("check,subject,expected,found,hint\n")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **more: object) -> None:
        raise RuntimeError("the dog\x1b[31m ate it")

    monkeypatch.setattr(periods, "list_periods", fail)


@pytest.mark.usefixtures("broken")
def test_our_own_fault_is_one_line_and_ends_with_1(sqlite_chargeback: Command) -> None:
    ended = sqlite_chargeback("periods")
    _told(ended, 1, "fault of the program: RuntimeError: the dog\\x1b[31m ate it", "--debug")


@pytest.mark.usefixtures("broken")
def test_debug_shows_the_traceback(sqlite_chargeback: Command) -> None:
    ended = sqlite_chargeback.having("--debug")("periods")
    assert ended.code == 1
    assert "Traceback" in ended.err
    assert "list_periods" in ended.err


def test_an_interrupt_ends_with_130_and_says_nothing(
    sqlite_chargeback: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(periods, "list_periods", interrupt)
    assert sqlite_chargeback("periods") == Ended(130, "", "")
