"""`chargeback invoices render`: an invoice as a document, to a file or to standard output."""

import sys
from typing import Annotated

import typer

from chargeback_worker.cli.files import written_whole
from chargeback_worker.cli.output import note
from chargeback_worker.cli.session import session
from chargeback_worker.documents.formats import FORMATS
from chargeback_worker.errors import Invalid
from chargeback_worker.reports.document import Rendered, invoice_document_of
from chargeback_worker.reports.look import look_of


class NotForTerminals(Invalid):
    """A document that is no text was to be shown on a terminal."""

    def __init__(self, file_name: str) -> None:
        super().__init__(
            f"{file_name} is no text, and cannot be shown on a terminal.",
            f"Write it into a file: --out {file_name}",
        )


def render(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="N", help="The invoice's number or id.")],
    form: Annotated[
        str, typer.Option("--format", metavar="|".join(FORMATS), help="What to make of it.")
    ] = "html",
    out: Annotated[
        str, typer.Option(metavar="FILE", help="Where to write it; - is standard output.")
    ] = "-",
    exact: Annotated[
        bool, typer.Option("--exact", help="Show the exact amounts behind the cents.")
    ] = False,
) -> None:
    """Make the document of an invoice, as documents.* of the settings say.

    The same invoice gives the same bytes. HTML is one file; csv and json have all digits anyway.
    """
    with session(context).opened() as opened:
        look = look_of(opened.settings.documents)
        made = invoice_document_of(opened.store, name, form, look=look, exact=exact)
    if out == "-":
        _show(made)
        return
    with written_whole(out, "--out") as file:
        file.write(made.content)
    note(f"Written: {out}")


def _show(made: Rendered) -> None:
    if sys.stdout.isatty() and not made.text:
        raise NotForTerminals(made.file_name)
    sys.stdout.buffer.write(made.content)
    sys.stdout.buffer.flush()
