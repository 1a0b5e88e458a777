"""`chargeback config show`: what is set, and by whom."""

from typing import Annotated

import typer

from chargeback_worker.cli.output import Column, Format, Output, show
from chargeback_worker.cli.session import session
from chargeback_worker.settings import origins

config = typer.Typer(help="The settings.", no_args_is_help=True)

_COLUMNS = (Column("key", "Setting"), Column("value", "Value"))


@config.command("show", epilog="Example: chargeback config show --origin")
def show_(
    context: typer.Context,
    origin: Annotated[
        bool, typer.Option("--origin", help="And where each value came from.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Show every setting as it holds now, passwords hidden."""
    found = origins(session(context).settings())
    rows = [{"key": one.key, "value": one.value} for one in found]
    columns: tuple[Column, ...] = _COLUMNS
    if origin:
        rows = [row | {"origin": one.origin} for row, one in zip(rows, found, strict=True)]
        columns = (*_COLUMNS, Column("origin", "From"))
    show({"settings": rows}, output, rows=rows, columns=columns)
