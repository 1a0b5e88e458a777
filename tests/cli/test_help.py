"""Every command says what it does and shows an example."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from chargeback_worker.cli.program import program
from chargeback_worker.worker.lifecycle import STUCK_EXIT_CODE
from tests.support.command import Command


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(_commands(get_command(program)))
WANTED = {
    "demo",
    "run",
    "simulate",
    "ingest",
    "usage summary",
    "rules list",
    "rules show",
    "rules apply",
    "rules delete",
    "directory apply",
    "directory show",
    "preview",
    "allocate",
    "close",
    "periods",
    "explain",
    "report team",
    "report user",
    "report cost-centre",
    "invoices list",
    "invoices show",
    "invoices render",
    "audit",
    "quarantine list",
    "quarantine show",
    "quarantine replay",
    "quarantine dismiss",
    "outbox list",
    "outbox release",
    "offsets show",
    "offsets accept-gap",
    "offsets skip",
    "offsets adopt-topic",
    "verify",
    "db upgrade",
    "db check",
    "db resume",
    "topics create",
    "doctor",
    "config show",
}


def test_all_commands_are_there() -> None:
    assert {" ".join(path) for path in COMMANDS} >= WANTED


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_has_help_with_an_example(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert len((command.help or "").strip()) > 20
    assert f"Example: chargeback {' '.join(path)}" in (command.epilog or "")
    for parameter in command.params:
        assert parameter.help, parameter.name
    shown = Command().ok(*path, "--help").out
    assert "Example: chargeback" in shown


def test_run_says_with_which_exit_codes_it_ends() -> None:
    told = " ".join((COMMANDS["run",].help or "").split())
    assert set(re.findall(r"\b\d+\b", told)) == {"3", "4", "5", str(STUCK_EXIT_CODE)}


def test_whatever_lists_or_shows_takes_an_output() -> None:
    for path, command in COMMANDS.items():
        # Documents have formats of their own.
        if path not in (("demo",), ("run",), ("invoices", "render")):
            assert "--output" in {name for one in command.params for name in one.opts}, path
