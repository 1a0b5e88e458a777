"""`chargeback preview`: who would bear which cost, and what that changes."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import typer

from chargeback_worker.allocation.rule import Rule
from chargeback_worker.cli.allocate import with_nobody
from chargeback_worker.cli.days import Days, End, Start, days_in_words, read_range
from chargeback_worker.cli.output import (
    Column,
    Format,
    KeyCursor,
    Limit,
    Output,
    exact_usd,
    moment,
    note,
    note_next_page,
    number,
    show,
    show_table,
)
from chargeback_worker.cli.session import session
from chargeback_worker.cli.written.file import read_written_file
from chargeback_worker.invoicing.document import Document
from chargeback_worker.pipeline.closing.settlement import terms_of
from chargeback_worker.reports.preview import Beside, read_rules
from chargeback_worker.reports.preview import preview as preview_report
from chargeback_worker.store import Store


class By(StrEnum):
    """What a row is of."""

    PAIR = "pair"
    RULE = "rule"


_PAIR = (Column("team_id", "Team"), Column("user_id", "User"))
_RULE = Column("rule_id", "Rule")
_WOULD = number("would_usd", "Would be USD", exact_usd)
_COMPARED = (
    number("beside_usd", "Is USD", exact_usd),
    number("difference_usd", "Difference USD", exact_usd),
)


def preview(
    context: typer.Context,
    period: Days = None,
    start: Start = None,
    end: End = None,
    rules: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="As if these were the rules, all of them: YAML or JSON, - is standard input.",
        ),
    ] = None,
    by: Annotated[By, typer.Option(help="A row for each pair, or for each pair and rule.")] = (
        By.PAIR
    ),
    limit: Limit = 200,
    cursor: KeyCursor = None,
    output: Output = Format.TABLE,
) -> None:
    """Show who would bear the cost of a month, or of any days, under the rules of now or of FILE.

    Beside it stands what was booked for a closed month, or the last run of an open one, with the
    difference. Nothing is written.
    """
    days = read_range(period, start, end)
    with session(context).opened() as opened:
        document = preview_report(
            opened.store,
            days,
            terms_of(opened.settings),
            rules=None if rules is None else _read(opened.store, rules),
            limit=limit,
            cursor=cursor,
        )
    found = document["preview"]
    pairs: list[Document] = found["rows"]
    rows = pairs if by is By.PAIR else list(_by_rule(pairs))
    columns = (*_PAIR, *((_RULE,) if by is By.RULE else ()), _WOULD, *_COMPARED)
    show(
        document,
        output,
        rows=rows,
        columns=columns,
        people=lambda: _people(found, rows, columns),
    )
    note_next_page(found, output)


def _read(store: Store, file: str) -> tuple[Rule, ...]:
    written = read_written_file(file)
    with written.told():
        return read_rules(store, written.document)


def _by_rule(pairs: Iterable[Document]) -> Iterable[Document]:
    for row in pairs:
        for rule_id, sums in row["by_rule"].items():
            yield {"team_id": row["team_id"], "user_id": row["user_id"], "rule_id": rule_id, **sums}


def _people(found: Document, rows: list[Document], columns: tuple[Column, ...]) -> None:
    under = "the rules of now" if found["rules"] == "stored" else "the rules of the file"
    typer.echo(f"{days_in_words(found)} under {under}")
    compared = bool(found["beside"])
    for beside in found["beside"]:
        typer.echo(f"beside {_in_words(beside)}")
    show_table(with_nobody(rows), columns if compared else columns[:-2])
    _sums("In all", found["total"])
    _sums("Borne by nobody", found["unallocated"])
    if compared and found["total"]["difference_usd"].nano:
        late = exact_usd(found["total"]["difference_usd"])
        note(f"Usage of USD {late} came after what stands beside, and is on the left alone.")
    note("Nothing was written.")


_WITH = {
    Beside.CLOSED: "what was booked for",
    Beside.SNAPSHOT: "what the close decided by, for",
    Beside.RULES: "the rules of now, for",
}


def _in_words(beside: Document) -> str:
    days = days_in_words(beside)
    if beside["with"] == Beside.RUN:
        return f"the run of {moment(beside['created_at'])}, for {days}"
    return f"{_WITH[beside['with']]} {days}"


def _sums(what: str, sums: dict[str, Any]) -> None:
    told = f"{what}: USD {exact_usd(sums['would_usd'])}"
    if sums["beside_usd"] is not None:
        told += (
            f", is USD {exact_usd(sums['beside_usd'])},"
            f" difference USD {exact_usd(sums['difference_usd'])}"
        )
    typer.echo(told)
