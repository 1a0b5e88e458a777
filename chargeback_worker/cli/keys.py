"""`chargeback keys`: who may ask the HTTP API, and for what."""

from typing import Annotated

import typer

from chargeback_worker.cli.output import Column, Format, Output, moment, note, show
from chargeback_worker.cli.question import Reason, Yes, ask
from chargeback_worker.cli.session import session
from chargeback_worker.pipeline.keys import create_key, read_scope, revoke_key
from chargeback_worker.reports.keys import key_document, list_keys
from chargeback_worker.store.api_keys import Role

keys = typer.Typer(help="The keys of the HTTP API.", no_args_is_help=True)

_KEYS = (
    Column("key_id", "Id"),
    Column("name", "Name"),
    Column("role", "Role"),
    Column("scope", "Scope"),
    Column("created_at", "Made", moment, spare=1),
    Column("created_by", "By", spare=2),
    Column("revoked_at", "Revoked", moment),
)


@keys.command(epilog="Example: chargeback keys create --role read --scope team:research")
def create(
    context: typer.Context,
    role: Annotated[
        Role, typer.Option(help="read: all reports; operate: usage, invoices, closing; admin: all.")
    ],
    scope: Annotated[
        str | None, typer.Option(metavar="team:ID|user:ID", help="Only what is theirs.")
    ] = None,
    name: Annotated[
        str, typer.Option(help="Whose it is; it stands in the audit for what is done with it.")
    ] = "",
    reason: Reason = None,
    output: Output = Format.TABLE,
) -> None:
    """Make a key. It is shown once: only a digest of it is kept."""
    wanted = None if scope is None else read_scope(scope)
    with session(context).opened() as opened:
        made = create_key(opened.store, name, role, wanted, opened.act(reason))
    row = key_document(made.key)

    def people() -> None:
        typer.echo(made.secret)
        note(f"The key {made.key.key_id} may {role}. It is not shown again: keep it now.")

    document = {"key": {**row, "secret": made.secret}}
    show(
        document, output, rows=[document["key"]], columns=(*_KEYS, Column("secret")), people=people
    )


@keys.command("list", epilog="Example: chargeback keys list -o json")
def list_(context: typer.Context, output: Output = Format.TABLE) -> None:
    """List the keys, revoked ones too, newest first; not the keys themselves."""
    with session(context).opened() as opened:
        document = list_keys(opened.store)
    show(document, output, rows=document["keys"], columns=_KEYS)


@keys.command(epilog="Example: chargeback keys revoke 3f9a1c20b7de --reason 'it was in a log'")
def revoke(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As the list shows it.")],
    reason: Reason = None,
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """Let a key open nothing any more, from the next request on."""
    ask(f"Revoke the key {key_id}?", yes)
    with session(context).opened() as opened:
        row = key_document(revoke_key(opened.store, key_id, opened.act(reason)))
    show({"key": row}, output, rows=[row], columns=_KEYS)
