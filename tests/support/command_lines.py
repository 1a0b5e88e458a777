"""Command lines of `chargeback` in files of others: parsed by our own program, and not run."""

from collections.abc import Sequence
from typing import Any

from typer.main import get_command

from chargeback_worker.cli.program import program


def parsed(words: Sequence[str]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The command that these words (without `chargeback`) name, and its parameters.

    Raises click's UsageError for what is no command, no option of it, or no value.
    """
    command: Any = get_command(program)
    context = command.make_context("chargeback", list(words), resilient_parsing=False)
    path: list[str] = []
    while hasattr(command, "commands"):
        words = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, words)
        path.append(name)
        context = command.make_context(name, list(rest), parent=context)
    return tuple(path), context.params
