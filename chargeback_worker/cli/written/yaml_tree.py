"""YAML with the line and column of every value, and with types of our own.

Read by events: they do not nest, so that no depth of a file can exhaust the stack.
"""

import re
from typing import Any

import yaml

from chargeback_worker.allocation.writing.place import Number
from chargeback_worker.cli.written.tree import Misread, Node, Tree
from chargeback_worker.usage.refusal import shown

# The parser in C is forty times as fast, and is in every wheel.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_CONSTANTS: dict[str, object] = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "false": False,
}
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TEXT_TAGS = ("!", "tag:yaml.org,2002:str")


def yaml_tree(text: str) -> Node:
    """Raises Misread."""
    if found := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start())
        raise Misread(line, column, f"the character {shown(found[0])} cannot stand in YAML")
    reader = _Reader()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        raise _misread(error, text) from None
    if reader.tree.root is None:
        raise Misread(1, 1, "the file is empty")
    return reader.tree.root


class _Reader:
    """Takes the events of one document."""

    def __init__(self) -> None:
        self.tree = Tree()
        self._anchors: dict[str, Node] = {}

    def take(self, event: Any) -> None:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        match event:
            case yaml.DocumentStartEvent() if self.tree.root is not None:
                raise Misread(line, column, "a second document begins there; a file holds one")
            case yaml.ScalarEvent():
                self._scalar(event, line, column)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                _refuse_tag(event, line, column)
                is_mapping = isinstance(event, yaml.MappingStartEvent)
                self._anchored(event, self.tree.begin({} if is_mapping else [], line, column))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self.tree.end()
            case yaml.AliasEvent():
                self._alias(event.anchor or "", line, column)

    def _scalar(self, event: Any, line: int, column: int) -> None:
        is_plain, text = event.implicit[0], event.value
        if not is_plain:
            _refuse_tag(event, line, column)
        if not self.tree.wants_key:
            value = _resolved(text) if is_plain else text
            self._anchored(event, self.tree.scalar(value, line, column))
            return
        if is_plain and text == "<<":
            raise Misread(line, column, "<< merges nothing here; write the fields out")
        if event.anchor is not None:
            raise Misread(line, column, "a key cannot be an anchor")
        self.tree.key(text, line, column)

    def _alias(self, anchor: str, line: int, column: int) -> None:
        if self.tree.wants_key:
            raise Misread(line, column, "a key must be written out, not repeated by an alias")
        if anchor not in self._anchors:
            raise Misread(line, column, f"*{anchor} repeats an anchor that there is not before it")
        self.tree.again(self._anchors[anchor], line, column)

    def _anchored(self, event: Any, node: Node) -> None:
        if event.anchor is not None:
            self._anchors[event.anchor] = node


def _resolved(text: str) -> object:
    """What a text without quotes stands for."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    return Number(text) if _NUMBER.fullmatch(text) else text


def _refuse_tag(event: Any, line: int, column: int) -> None:
    if event.tag is not None and event.tag not in _TEXT_TAGS:
        raise Misread(line, column, f"the tag {event.tag} means nothing here; leave it out")


def _misread(error: yaml.MarkedYAMLError, text: str) -> Misread:
    mark = error.problem_mark or error.context_mark
    line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
    lines = text.split("\n", line)
    at = lines[line - 1][column - 1 : column] if line <= len(lines) else ""
    if at == "\t":
        return Misread(line, column, "a tab stands there; YAML is indented with spaces")
    context = f", {error.context}" if error.context else ""
    began = error.context_mark
    if context and began is not None and (began.line, began.column) != (line - 1, column - 1):
        context += f" that begins in line {began.line + 1}"
    return Misread(line, column, f"it is no YAML: {error.problem or 'unreadable'}{context}")
