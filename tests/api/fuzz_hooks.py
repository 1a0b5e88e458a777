"""How schemathesis writes JSON lines; it loads this by SCHEMATHESIS_HOOKS."""

import json
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson", "application/jsonl", "application/json-lines")
def write_lines(context: Any, value: Any) -> bytes:
    """A list as a line for each item; anything else as one line."""
    items = value if isinstance(value, list) else [value]
    return b"\n".join(json.dumps(item).encode() for item in items)
