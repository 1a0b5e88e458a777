"""How results are shown: tables for people, JSON and CSV for machines."""

import csv
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chargeback_worker.documents.spreadsheet import as_text
from chargeback_worker.invoicing.document import Amount, Document, encode
from chargeback_worker.money import NANO_PER_CENT, fixed, plain
from chargeback_worker.period import format_us, to_us

# No line of a pipe is wrapped: what reads it goes by lines.
_PIPE_WIDTH = 10_000
# What is longer may be folded on a terminal; an id, a time or an amount may not.
_FOLDED_WIDTH = 24
_BETWEEN_COLUMNS = 3


class Format(StrEnum):
    """What `-o` takes."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


Output = Annotated[
    Format,
    typer.Option("--output", "-o", help="How to show it; json has every field and digit."),
]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="The most rows to show.")]
_GO_ON = typer.Option(help="Go on where the last page ended: its next_cursor.")
Cursor = Annotated[int | None, _GO_ON]
KeyCursor = Annotated[str | None, _GO_ON]


def escaped(text: str, keep: str = "") -> str:
    """`text` with what moves the cursor, colours or turns the direction of a terminal escaped."""
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or char in keep
        else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def usd(value: Any) -> str:
    """An amount for people: cents where it has no more, else all nine decimals."""
    nano = value.nano
    places = 2 if nano % NANO_PER_CENT == 0 else 9
    return grouped(fixed(nano, places))


def exact_usd(value: Any) -> str:
    """An amount for people with all nine decimals, so that columns of them line up."""
    return grouped(fixed(value.nano))


def quantity(value: Any) -> str:
    return grouped(plain(value.nano))


def grouped(digits: str) -> str:
    """Plain digits with commas between the thousands."""
    whole, point, decimals = digits.partition(".")
    sign = "-" if whole.startswith("-") else ""
    return f"{sign}{int(whole.removeprefix('-')):,}{point}{decimals}"


def text(value: Any) -> str:
    """Any other value for people; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, Amount):
        return plain(value.nano)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return format_us(to_us(value))
    if isinstance(value, Mapping | list | tuple):
        return encode(value).decode() if value else ""
    return escaped(str(value))


def count(value: Any) -> str:
    return f"{value:,}"


def counted(number: int, what: str) -> str:
    """`1 record`, `2,000 records`."""
    return f"1 {what}" if number == 1 else f"{count(number)} {what}s"


def moment(value: Any) -> str:
    """A time for people, to the second."""
    return "" if value is None else str(value)[:19].replace("T", " ") + "Z"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table and of CSV; `field` may name one of a field's fields with a dot.

    One that is `wide` is in CSV only. On a terminal too narrow for all, those with a `spare` are
    left out, the highest first.
    """

    field: str
    heading: str = ""
    show: Callable[[Any], str] = text
    right: bool = False
    wide: bool = False
    spare: int = 0

    def value(self, row: Mapping[str, Any]) -> Any:
        found: Any = row
        for name in self.field.split("."):
            found = None if found is None else found[name]
        return found


def number(
    field: str,
    heading: str,
    show: Callable[[Any], str] = count,
    *,
    wide: bool = False,
    spare: int = 0,
) -> Column:
    """A column of numbers."""
    return Column(field, heading, show, right=True, wide=wide, spare=spare)


def show(
    document: Document,
    form: Format,
    *,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[Column],
    people: Callable[[], None] | None = None,
) -> None:
    """Print a document: whole as JSON, its `rows` as CSV, and for people as a table.

    `people` prints something else for them than the table of the rows.
    """
    if form is Format.JSON:
        show_json(document)
    elif form is Format.CSV:
        show_csv(rows, columns)
    elif people is not None:
        people()
    else:
        show_table(rows, columns)


def show_json(document: object) -> None:
    """One JSON document on stdout, indented where a person looks at it."""
    encoded = encode(document)
    if sys.stdout.isatty():
        encoded = msgspec.json.format(encoded, indent=2)
    typer.echo(encoded)


def show_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    """The columns by their fields' names, amounts with all their digits.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    lines = _Lines()
    # Before Python 3.13 a cell is quoted for the characters of the line's end alone, and some
    # readers take a lone CR for one.
    writer = csv.writer(lines, lineterminator=_Lines.GIVEN)
    writer.writerow(column.field for column in columns)
    for row in rows:
        writer.writerow(_csv_cell(column.value(row)) for column in columns)
    typer.echo("".join(lines), nl=False)


class _Lines(list[str]):
    """Lines of CSV with the end that those of a pipe have."""

    GIVEN = "\r\n"

    def write(self, line: str) -> None:
        self.append(f"{line.removesuffix(self.GIVEN)}\n")


def _csv_cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return as_text(value)
    return text(value)


def show_table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], title: str = ""
) -> None:
    """A table on stdout; nobody's colours, and no wrapping where it goes into a pipe."""
    console = Console(highlight=False, markup=False)
    shown = [_shown(column, rows) for column in columns if not column.wide]
    if title:
        typer.echo(title)
    if not any(column.cells for column in shown):
        typer.echo("(none)")
        return
    if sys.stdout.isatty():
        left_out = _leave_out(shown, console.width)
        # Where it is too narrow for what should not be broken, the terminal breaks the lines.
        console.width = max(console.width, sum(column.width for column in shown))
    else:
        left_out, console.width = [], _PIPE_WIDTH
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in shown:
        justify: Literal["left", "right"] = "right" if column.of.right else "left"
        heading = Text(column.of.heading)
        table.add_column(heading, justify=justify, overflow="fold", no_wrap=not column.folds)
    for cells in zip(*(column.cells for column in shown), strict=True):
        table.add_row(*map(Text, cells))
    with console.capture() as captured:
        console.print(table)
    # The box has an empty line above and spaces behind.
    for line in captured.get().splitlines()[1:]:
        typer.echo(line.rstrip())
    if left_out:
        note(f"Not shown for want of room: {', '.join(left_out)}. All there is: -o csv")


class _Shown(NamedTuple):
    """A column as it goes into a table; `width` is what it needs with the space after it."""

    of: Column
    cells: Sequence[str]
    folds: bool
    width: int


def _shown(column: Column, rows: Sequence[Mapping[str, Any]]) -> _Shown:
    cells = [_cell(column, column.value(row)) for row in rows]
    widest = max(map(cell_len, (column.heading, *cells)))
    folds = widest > _FOLDED_WIDTH and not column.right
    return _Shown(column, cells, folds, (_FOLDED_WIDTH if folds else widest) + _BETWEEN_COLUMNS)


def _leave_out(shown: list[_Shown], width: int) -> list[str]:
    """Take columns out until the others fit, as far as there are any to spare; their headings."""
    left_out = []
    # The box has a space at either edge, and the last column none after it.
    while sum(column.width for column in shown) - _BETWEEN_COLUMNS + 2 > width:
        least = max(shown, key=lambda column: column.of.spare)
        if not least.of.spare:
            break
        shown.remove(least)
        left_out.append(least.of.heading)
    return left_out


def _cell(column: Column, value: Any) -> str:
    # Whatever shows it: a name that usage brought may stand within.
    return "" if value is None else escaped(column.show(value))


def note(sentence: str) -> None:
    """Something to know beside the result: on stderr."""
    typer.echo(escaped(sentence, keep="\n"), err=True)


def note_next_page(document: Document, form: Format) -> None:
    """Tell people how to see the rest of a list."""
    if form is Format.TABLE and document.get("next_cursor"):
        note(f"There are more: --cursor {document['next_cursor']}")
