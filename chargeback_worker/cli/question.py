"""Asking the person at the keyboard before something is done for good."""

import sys
from typing import Annotated

import typer

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Reason = Annotated[
    str | None, typer.Option("--reason", help="Why; it is kept in the audit.", metavar="TEXT")
]


def ask(question: str, yes: bool) -> None:
    """Go on after a yes; ends the command after a no. Where nobody can answer, nobody is asked."""
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm(question, abort=True, err=True)
