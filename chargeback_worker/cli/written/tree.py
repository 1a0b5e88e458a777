"""What a written file becomes: plain values with their places, put together part by part."""

from dataclasses import dataclass, field

from chargeback_worker.allocation.writing.faults import Path
from chargeback_worker.usage.refusal import shown

NODES_MAX = 500_000
"""Values in one file; those that a YAML alias repeats count each time."""
NESTING_MAX = 64


class Misread(Exception):
    """How a mistake leaves the depth of a reader; `read_written_file` makes it an error."""

    def __init__(self, line: int, column: int, fault: str) -> None:
        super().__init__(fault)
        self.line = line
        self.column = column
        self.fault = fault


@dataclass(slots=True)
class Node:
    """A value, where it stands (in a mapping, where its key stands), and what is in it."""

    value: object
    line: int
    column: int
    within: "dict[str | int, Node]" = field(default_factory=dict)
    size: int = 1
    """How many values it is, itself and all in it; 0 while it is not complete."""
    height: int = 0

    def place(self, path: Path) -> tuple[int, int]:
        """Line and column of what a path leads to, or of the nearest thing around it."""
        node = self
        for key in path:
            if key not in node.within:
                break
            node = node.within[key]
        return node.line, node.column


@dataclass(slots=True)
class _Key:
    text: str
    line: int
    column: int


@dataclass(slots=True)
class _Open:
    """A list or mapping that is not complete; `key` waits for its value."""

    node: Node
    before: int
    key: _Key | None = None

    @property
    def wants_key(self) -> bool:
        return isinstance(self.node.value, dict) and self.key is None


class Tree:
    """Puts a document together. Refuses equal keys, great depth and great numbers."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._count = 0
        self.root: Node | None = None

    @property
    def wants_key(self) -> bool:
        return bool(self._open) and self._open[-1].wants_key

    def key(self, text: str, line: int, column: int) -> None:
        """The key of the value that follows."""
        known = self._open[-1].node.within
        if text in known:
            raise Misread(
                line,
                column,
                f"{shown(text)} stands there twice; it is in line {known[text].line} already",
            )
        self._open[-1].key = _Key(text, line, column)

    def scalar(self, value: object, line: int, column: int) -> Node:
        node = Node(value, line, column)
        self._put(node, line, column)
        return node

    def begin(self, value: dict[str, object] | list[object], line: int, column: int) -> Node:
        """A mapping or list; what follows is in it, until `end`."""
        if self.wants_key:
            raise Misread(line, column, "a key must be a text, not a list or a mapping")
        if len(self._open) == NESTING_MAX:
            raise too_deep(line, column)
        node = Node(value, line, column)
        before = self._count
        self._put(node, line, column)
        node.size = 0
        self._open.append(_Open(node, before))
        return node

    def end(self) -> None:
        done = self._open.pop()
        done.node.size = self._count - done.before
        if self._open:
            above = self._open[-1].node
            above.height = max(above.height, done.node.height + 1)

    def again(self, node: Node, line: int, column: int) -> None:
        """A value that stands somewhere else already."""
        if not node.size:
            raise Misread(line, column, "it repeats something that it is itself a part of")
        if len(self._open) + node.height > NESTING_MAX:
            raise too_deep(line, column)
        copy = Node(node.value, line, column, node.within, node.size, node.height)
        self._put(copy, line, column)
        if self._open:
            above = self._open[-1].node
            above.height = max(above.height, copy.height + 1)

    def _put(self, node: Node, line: int, column: int) -> None:
        self._count += node.size
        if self._count > NODES_MAX:
            raise Misread(line, column, f"it holds more than {NODES_MAX:,} values up to here")
        if not self._open:
            self.root = node
            return
        top = self._open[-1]
        if isinstance(top.node.value, dict):
            key = top.key
            assert key is not None
            node.line, node.column = key.line, key.column
            top.node.value[key.text] = node.value
            top.node.within[key.text] = node
            top.key = None
        else:
            assert isinstance(top.node.value, list)
            top.node.within[len(top.node.value)] = node
            top.node.value.append(node.value)


def too_deep(line: int, column: int) -> Misread:
    return Misread(line, column, f"its lists and mappings nest deeper than {NESTING_MAX} levels")
