"""One file of either syntax: read, and its faults told with their places.

YAML is read by its own events, not by its own types, so `007` keeps its zeros, `33.3` its digits,
and `no` and `2026-10-01` are what they look like.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path as FilePath

from chargeback_worker.allocation.writing.faults import Path, Refused, listed
from chargeback_worker.cli.written.json_tree import json_tree
from chargeback_worker.cli.written.tree import Misread, Node
from chargeback_worker.cli.written.yaml_tree import yaml_tree
from chargeback_worker.errors import Invalid

STDIN = "-"
BYTES_MAX = 16 * 1024**2


class WrittenFileUnreadable(Invalid):
    """There is no such file, or none that can be read."""

    def __init__(self, name: str, fault: str) -> None:
        super().__init__(
            f"{name} cannot be read: {fault}.",
            "Name one file of YAML or JSON, or - for standard input; "
            "config/*.example.yaml of the project show what they hold.",
        )


class NotWellFormed(Invalid):
    """It is neither YAML nor JSON; `line` and `column` count from 1."""

    def __init__(self, name: str, line: int, column: int, fault: str) -> None:
        self.line = line
        self.column = column
        super().__init__(
            f"{name}:{line}:{column}: {fault}.",
            "Nothing was read. Correct it there; a text with special characters needs quotes.",
        )


class FileRefused(Invalid):
    """What it says is not taken: every fault with the line and column it stands at."""

    def __init__(self, file: "WrittenFile", refused: Refused) -> None:
        self.refused = refused
        lines = file.lines(refused)
        count = "one fault" if len(lines) == 1 else f"{len(lines)} faults"
        super().__init__("\n  ".join([f"{file.name} has {count}:", *listed(lines)]), refused.hint)


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """The document of a file, and where everything in it stands."""

    name: str
    root: Node

    @property
    def document(self) -> object:
        """Plain values, as `allocation.writing` reads them."""
        return self.root.value

    def place(self, path: Path) -> tuple[int, int]:
        """Line and column of what a path leads to, or of the nearest thing around it."""
        return self.root.place(path)

    def lines(self, refused: Refused) -> list[str]:
        """Each fault as `rules.yaml:12:7: …`, in the order of the file."""
        placed = [(*self.place(fault.path), fault) for fault in refused.faults]
        return [
            f"{self.name}:{line}:{column}: {fault}"
            for line, column, fault in sorted(placed, key=lambda item: item[:2])
        ]

    @contextmanager
    def told(self) -> Iterator[None]:
        """Whatever is refused within is told with its places. Raises FileRefused."""
        try:
            yield
        except Refused as refused:
            raise FileRefused(self, refused) from None


def read_written_file(name: str) -> WrittenFile:
    """The document of a file, `-` for standard input.

    Raises WrittenFileUnreadable or NotWellFormed.
    """
    shown = "standard input" if name == STDIN else name
    text = _text(shown, _bytes(name, shown))
    try:
        return WrittenFile(shown, _tree(text, name.lower()))
    except Misread as misread:
        raise NotWellFormed(shown, misread.line, misread.column, misread.fault) from None


def _tree(text: str, name: str) -> Node:
    """What begins with a brace is JSON, or YAML that looks like it."""
    if name.endswith(".json"):
        return json_tree(text)
    if text.lstrip()[:1] not in ("{", "["):
        return yaml_tree(text)
    try:
        return json_tree(text)
    except Misread as no_json:
        try:
            return yaml_tree(text)
        except Misread as no_yaml:
            raise no_yaml if name.endswith((".yaml", ".yml")) else no_json from None


def _bytes(name: str, shown: str) -> bytes:
    try:
        if name == STDIN:
            read = sys.stdin.buffer.read(BYTES_MAX + 1)
        else:
            with FilePath(name).open("rb") as file:
                read = file.read(BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        fault = error.strerror if isinstance(error, OSError) else str(error)
        raise WrittenFileUnreadable(shown, fault or str(error)) from None
    if len(read) > BYTES_MAX:
        raise WrittenFileUnreadable(shown, f"it has more than {BYTES_MAX // 1024**2} MiB")
    return read


def _text(shown: str, read: bytes) -> str:
    try:
        return read.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = read.count(b"\n", 0, error.start) + 1
        raise WrittenFileUnreadable(
            shown, f"it is no UTF-8 text; line {line} has the byte 0x{read[error.start]:02x}"
        ) from None
