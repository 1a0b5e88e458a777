"""A tree on a terminal: what adds up to a step stands below it, amounts in a column."""

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import typer

from chargeback_worker.cli.output import escaped

_DRAWN = ("├─ ", "└─ ", "│  ")
_PLAIN = ("|- ", "`- ", "|  ")
# On a terminal that is narrower than this beside the branches, the terminal breaks the lines.
_ROOM_MIN = 20


@dataclass(frozen=True, slots=True)
class Node:
    """A line of a tree. Amounts of one step line up."""

    text: str
    amount: str | None = None
    below: Sequence["Node"] = ()


def show_tree(root: Node) -> None:
    """Print it on stdout, with what could move the cursor escaped; folded on a terminal."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in tree_lines(root, drawn=_can_draw(), width=width):
        typer.echo(line)


def tree_lines(root: Node, *, drawn: bool = True, width: int | None = None) -> Iterator[str]:
    branches = _DRAWN if drawn else _PLAIN
    yield from _told(root, _Place("", "", 0), branches, width)


class _Place(NamedTuple):
    """What stands before a node's first line and before all below it; how wide amounts are."""

    first: str
    rest: str
    amounts: int


def _told(
    node: Node, place: _Place, branches: tuple[str, str, str], width: int | None
) -> Iterator[str]:
    between, last, beside = branches
    amount = "" if node.amount is None else f"{node.amount:>{place.amounts}}  "
    text = escaped(node.text)
    lines = [text]
    if width is not None:
        room = max(width - len(place.first) - len(amount), _ROOM_MIN)
        lines = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
    yield f"{place.first}{amount}{lines[0]}"
    under = f"{beside if node.below else ' ' * len(beside):<{len(amount)}}"
    yield from (f"{place.rest}{under}{line}" for line in lines[1:])
    amounts = max((len(one.amount or "") for one in node.below), default=0)
    for number, one in enumerate(node.below, start=1):
        is_last = number == len(node.below)
        rest = place.rest + (" " * len(beside) if is_last else beside)
        below = _Place(place.rest + (last if is_last else between), rest, amounts)
        yield from _told(one, below, branches, width)


def _can_draw() -> bool:
    try:
        "".join(_DRAWN).encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True
