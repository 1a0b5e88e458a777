"""The program as a test runs it: in this process, with its own database."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest import mock

from typer import testing
from typer.main import get_command

from chargeback_worker.cli.program import program

# Each process makes the tree of commands once. To make it anew takes longer than most commands.
_tree = cache(get_command)


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed as JSON, numbers with their digits as texts."""
        return json.loads(self.out, parse_float=str, parse_int=str)


@dataclass(frozen=True)
class Command:
    """`chargeback` with the options that come before its commands."""

    options: Sequence[str] = ()

    def __call__(self, *arguments: str, stdin: bytes | None = None) -> Ended:
        with mock.patch.object(testing, "_get_command", _tree), _logging_as_it_was():
            result = testing.CliRunner().invoke(program, [*self.options, *arguments], input=stdin)
        assert "Traceback" not in result.stderr or "--debug" in self.options, result.stderr
        return Ended(result.exit_code, result.stdout, result.stderr)

    def ok(self, *arguments: str, stdin: bytes | None = None) -> Ended:
        """The same of a command that must end well."""
        ended = self(*arguments, stdin=stdin)
        assert ended.code == 0, ended
        return ended

    def having(self, *options: str) -> "Command":
        return Command([*self.options, *options])


@contextmanager
def _logging_as_it_was() -> Iterator[None]:
    """A worker logs to its stderr, which is gone here when it has ended."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
