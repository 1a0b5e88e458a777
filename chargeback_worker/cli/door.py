"""Where errors become exit codes: each family once, for all commands."""

import errno
import sys
import traceback
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from chargeback_worker.cli.output import note
from chargeback_worker.errors import (
    ChargebackError,
    Conflict,
    Invalid,
    Misconfigured,
    NotFound,
    Unavailable,
)
from chargeback_worker.settings import redacted


class ExitCode(IntEnum):
    """What a script can tell from the end of a command."""

    OK = 0
    OUR_FAULT = 1
    USAGE = 2
    CONFIGURATION = 3
    UNREACHABLE = 4
    REFUSED = 5


class NotText(Invalid):
    """An argument holds bytes that are no UTF-8, which no id has."""

    def __init__(self, argument: str) -> None:
        super().__init__(
            f"{argument!r} is no text: it has characters that no UTF-8 can hold.",
            "Write ids as they are shown, and see that the terminal sends UTF-8.",
        )


# The first that fits: Misconfigured is an Invalid too.
_FAMILIES: Sequence[tuple[type[ChargebackError], ExitCode]] = (
    (Misconfigured, ExitCode.CONFIGURATION),
    (Invalid, ExitCode.USAGE),
    (Unavailable, ExitCode.UNREACHABLE),
    (NotFound, ExitCode.REFUSED),
    (Conflict, ExitCode.REFUSED),
)


def exit_code(error: ChargebackError) -> ExitCode:
    """The exit code of an error's family."""
    return next(code for family, code in _FAMILIES if isinstance(error, family))


class Door(TyperGroup):
    """The root of all commands; whatever comes out of one of them ends here."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, TyperException):
            raise
        except ChargebackError as error:
            raise _told(ctx, error) from None
        except UnicodeEncodeError as error:
            # Usage with such texts is quarantined, so that only an argument brings them here.
            raise _told(ctx, NotText(error.object)) from None
        except Exception as error:
            # A reader that goes away (`| head`) is no error; typer ends quietly on it.
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise
            told = f"This is a fault of the program: {type(error).__name__}: {error}"
            hint = "Run it again as chargeback --debug … and report what it says."
            _tell(ctx, error, told, hint)
            raise typer.Exit(ExitCode.OUR_FAULT) from None


def _told(ctx: Any, error: ChargebackError) -> typer.Exit:
    _tell(ctx, error, error.message, error.hint)
    return typer.Exit(exit_code(error))


def _tell(ctx: Any, error: Exception, message: str, hint: str) -> None:
    if ctx.params.get("debug"):
        # What others say in their errors may hold a secret of ours.
        sys.stderr.write(redacted("".join(traceback.format_exception(error))))
    note(f"Error: {redacted(message)}")
    if hint:
        note(f"  -> {hint}")
