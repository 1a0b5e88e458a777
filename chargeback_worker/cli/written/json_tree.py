"""JSON with the line and column of every value.

Python's decoder says whether it is JSON, and where not. What is JSON can then be taken apart word
by word.
"""

import json
import re
from bisect import bisect_right

from chargeback_worker.allocation.writing.place import Number
from chargeback_worker.cli.written.tree import Misread, Node, Tree, too_deep

_WORDS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]|[^\s"\[\]{},:]+')
_CONSTANTS: dict[str, object] = {"null": None, "true": True, "false": False}


def json_tree(text: str) -> Node:
    """Raises Misread."""
    _check(text)
    begins = [0, *(match.end() for match in re.finditer("\n", text))]
    tree = Tree()
    for match in _WORDS.finditer(text):
        line = bisect_right(begins, match.start())
        _take(tree, match[0], line, match.start() - begins[line - 1] + 1)
    assert tree.root is not None
    return tree.root


def _check(text: str) -> None:
    try:
        json.loads(text, parse_int=str, parse_float=str)
    except json.JSONDecodeError as fault:
        raise Misread(fault.lineno, fault.colno, f"it is no JSON: {fault.msg}") from None
    except RecursionError:
        raise too_deep(1, 1) from None


def _take(tree: Tree, word: str, line: int, column: int) -> None:
    match word[0]:
        case "{":
            tree.begin({}, line, column)
        case "[":
            tree.begin([], line, column)
        case "}" | "]":
            tree.end()
        case '"':
            text = json.loads(word)
            if tree.wants_key:
                tree.key(text, line, column)
            else:
                tree.scalar(text, line, column)
        case "N" | "I":
            raise Misread(line, column, f"{word} is no number that JSON knows")
        case _ if word == "-Infinity":
            raise Misread(line, column, f"{word} is no number that JSON knows")
        case _:
            value = _CONSTANTS[word] if word in _CONSTANTS else Number(word)
            tree.scalar(value, line, column)
