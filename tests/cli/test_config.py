"""What is set, by whom, and without passwords."""

from pathlib import Path

import pytest

from tests.support.command import Command


def test_each_value_is_shown_with_where_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "chargeback.toml"
    file.write_text('[billing]\ndue_days = 7\nbill_to = "user"\ntimezone = "Europe/Berlin"\n')
    monkeypatch.setenv("CHARGEBACK_CONFIG", str(file))
    monkeypatch.setenv("CHARGEBACK_BILLING__DUE_DAYS", "8")
    monkeypatch.setenv("CHARGEBACK_BILLING__BILL_TO", "team")
    shown = Command(["--set", "billing.due_days=9"]).ok("config", "show", "--origin", "-o", "json")
    found = {row["key"]: (row["value"], row["origin"]) for row in shown.json["settings"]}
    assert found["billing.due_days"] == ("9", "command line")
    assert found["billing.bill_to"] == ("team", "env CHARGEBACK_BILLING__BILL_TO")
    assert found["billing.timezone"] == ("Europe/Berlin", f"{file}:4")
    assert found["kafka.group_id"] == ("chargeback", "default")


def test_no_password_is_shown() -> None:
    secret = Command(
        [
            "--database",
            "postgresql://me:hunter2@db/books",
            "--set",
            "kafka.options.sasl_plain_password=hunter2",
            "--set",
            "kafka.options.security_protocol=SASL_PLAINTEXT",
            "--set",
            "kafka.options.sasl_mechanism=PLAIN",
            "--set",
            "kafka.options.sasl_plain_username=me",
        ]
    )
    for output in ("table", "json", "csv"):
        shown = secret.ok("config", "show", "--origin", "-o", output).out
        assert "hunter2" not in shown
        assert "postgresql://me:***@db/books" in shown


def test_the_schema_is_made_and_checked(database_url: str) -> None:
    chargeback = Command(["--database", database_url])
    empty = chargeback("db", "check")
    assert empty.code == 3
    assert "is empty" in empty.err
    made = chargeback.ok("db", "upgrade", "-o", "json").json["database"]
    assert made["before"] is None
    again = chargeback.ok("db", "upgrade", "-o", "json").json["database"]
    assert again["before"] == again["schema"] == made["schema"]
    chargeback.ok("db", "check")
