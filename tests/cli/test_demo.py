"""What a person may get wrong before the demo even starts; the demo itself runs in `make demo`."""

from pathlib import Path

import pytest

from chargeback_worker.cli import demo
from chargeback_worker.period import Period
from tests.support.command import Command


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").touch()
    ended = Command()("demo", "--folder", str(tmp_path))
    assert (ended.code, "was not made by the demo" in ended.err) == (5, True)
    assert (tmp_path / "thesis").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = Command()("demo", "--folder", str(tmp_path / "file" / "demo"))
    assert (ended.code, "cannot be made anew: not a directory" in ended.err.lower()) == (2, True)
    assert "--folder DIRECTORY" in ended.err


def test_the_next_commands_can_be_typed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    demo._next_steps(Path("my demo/chargeback.toml"), Period(2026, 10))
    assert " --config 'my demo/chargeback.toml' verify\n" in capsys.readouterr().out
