"""All commands of `chargeback`, and the options before them."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from chargeback_worker import __version__
from chargeback_worker.cli.allocate import allocate
from chargeback_worker.cli.audit import audit
from chargeback_worker.cli.config import config
from chargeback_worker.cli.database import database
from chargeback_worker.cli.demo import demo
from chargeback_worker.cli.directory import directory
from chargeback_worker.cli.doctor import doctor
from chargeback_worker.cli.door import Door
from chargeback_worker.cli.erase import erase
from chargeback_worker.cli.explain import explain
from chargeback_worker.cli.ingest import ingest
from chargeback_worker.cli.invoices import invoices
from chargeback_worker.cli.keys import keys
from chargeback_worker.cli.offsets import offsets
from chargeback_worker.cli.outbox import outbox
from chargeback_worker.cli.periods import close, periods, reopen
from chargeback_worker.cli.preview import preview
from chargeback_worker.cli.prune import prune
from chargeback_worker.cli.quarantine import quarantine
from chargeback_worker.cli.report import report
from chargeback_worker.cli.rules import rules
from chargeback_worker.cli.run import run
from chargeback_worker.cli.session import Session, read_flags
from chargeback_worker.cli.simulate import simulated
from chargeback_worker.cli.topics import topics
from chargeback_worker.cli.usage import usage
from chargeback_worker.cli.verify import verify

program = typer.Typer(
    cls=Door,
    help="Counts the usage of AI agents exactly once, decides who bears which cost, and writes"
    " invoices that add up to the event.",
    epilog="Exit codes: 0 ok, 2 usage, 3 configuration, 4 not reachable, 5 data refused or"
    " mismatch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chargeback {__version__}")
        raise typer.Exit


@program.callback()
def before(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The settings; else the file that CHARGEBACK_CONFIG names."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any setting, as billing.due_days=14; may be repeated.",
        ),
    ] = None,
    database: Annotated[
        str | None, typer.Option(metavar="URL", help="The same as --set database.url=URL.")
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The same as --set kafka.bootstrap_servers=…"),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Tell errors with a traceback.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character gets its escape.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    _quieten(debug)
    context.obj = Session(read_flags(settings or [], database, broker), config, debug)


def _quieten(debug: bool) -> None:
    """Libraries tell their part of an error that is told once, by the door."""
    if debug:
        logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    elif not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())


program.command(epilog="Example: chargeback demo --events 5000 --seed 7")(demo)
program.command(epilog="Example: chargeback run --role ingest --workers 4")(run)
program.command(
    "simulate",
    epilog="Example: chargeback simulate --events 50000 --month 2026-10 --to usage.jsonl.gz",
)(simulated)
program.command(epilog="Example: chargeback ingest usage-2026-10-*.jsonl.gz")(ingest)
program.add_typer(usage, name="usage")
program.add_typer(rules, name="rules")
program.add_typer(directory, name="directory")
program.command(epilog="Example: chargeback preview --period 2026-10 --rules new.yaml")(preview)
program.command(epilog="Example: chargeback allocate --period 2026-10 --team research")(allocate)
program.command(epilog="Example: chargeback close 2026-10 --dry-run")(close)
program.command(epilog='Example: chargeback reopen 2026-10 --reason "a rule was missing"')(reopen)
program.command(epilog="Example: chargeback periods -o json")(periods)
program.add_typer(invoices, name="invoices")
program.command(epilog="Example: chargeback explain INV-202610-0001 --line 3")(explain)
program.add_typer(report, name="report")
program.add_typer(outbox, name="outbox")
program.add_typer(quarantine, name="quarantine")
program.add_typer(offsets, name="offsets")
program.command(epilog="Example: chargeback verify --period 2026-10")(verify)
program.command(epilog="Example: chargeback audit --since 2026-10-01")(audit)
program.add_typer(keys, name="keys")
program.command(epilog="Example: chargeback prune --dry-run")(prune)
program.command(epilog='Example: chargeback erase user:ada --reason "request 4711"')(erase)
program.add_typer(database, name="db")
program.add_typer(topics, name="topics")
program.command(epilog="Example: chargeback doctor")(doctor)
program.add_typer(config, name="config")
