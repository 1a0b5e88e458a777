"""README names what there is, and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from chargeback_worker.cli.program import program

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = set(_commands(get_command(program)))


def test_every_command_is_in_readme() -> None:
    table = README.partition("### Commands")[2].partition("### Settings")[0].replace("\\|", "|")
    cells = re.findall(r"`([^`]+)`", table)
    named = {(cell.split()[0], word) for cell in cells for word in cell.split()}
    missing = {" ".join(path) for path in COMMANDS if (path[0], path[-1]) not in named}
    assert missing == set()


def test_every_command_line_in_readme_names_a_command_that_there_is() -> None:
    told = re.findall(r"^chargeback ([a-z ]+)", README, re.MULTILINE)
    assert told
    for line in told:
        words = tuple(line.split())
        assert any(words[: len(path)] == path for path in COMMANDS), line


def test_every_make_target_in_readme_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE))
    assert told
    assert told <= targets
