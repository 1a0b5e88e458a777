"""Sets up logging once, at a door: JSON lines for machines, coloured lines on a terminal.

Everything goes to one stream (stderr, so that stdout stays for results), the standard library's
records of kafka, SQLAlchemy, alembic and APScheduler included. Every line has `ts`, `level`,
`event` (a sentence), `logger` and, where the door names it, `action` (a word for machines).
"""

import logging
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Final, TextIO

import structlog

from chargeback_worker.settings import redacted
from chargeback_worker.settings.redaction import HIDDEN, names_a_secret

_FIRST: Final = ("ts", "level", "event", "logger", "action")
_PAYLOADS: Final = frozenset({"payload", "body", "raw"})
# Libraries tell at INFO what only their authors need.
_LIBRARIES: Final = ("kafka", "sqlalchemy", "alembic", "apscheduler", "uvicorn", "asyncio")
_TEXT_MAX: Final = 2_000
_EXCEPTION_MAX: Final = 20_000
_ITEMS_MAX: Final = 50
_DEPTH_MAX: Final = 4
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
Event = MutableMapping[str, Any]


def configure(
    level: str,
    format: str,
    *,
    stream: TextIO,
    environ: Mapping[str, str],
    worker: int | None = None,
) -> None:
    """Log from now on to `stream`; `format` is json, human, or auto: human on a terminal.

    Every line of one of several worker processes tells which one it is.
    """
    terminal = stream.isatty()
    human = format == "human" or (format == "auto" and terminal)
    colours = terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    both: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    ]
    if worker is not None:
        both.append(lambda logger, method, event: {"worker": worker, **event})
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *both,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=both,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                harmless,
                _console(colours) if human else structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    # It warns of each task that takes longer than 0.1 s, which reading a full batch does.
    logging.getLogger("kafka.net.selector").setLevel(logging.ERROR)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(
            logging.INFO if level == "debug" else max(logging.WARNING, _LEVELS[level])
        )


def _console(colours: bool) -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        colors=colours,
        pad_event_to=0,
        timestamp_key="ts",
        # The richer formatters print local variables, and with them payloads and secrets.
        exception_formatter=structlog.dev.plain_traceback,
    )


def harmless(logger: object, method: str, event: Event) -> Event:
    """Without payloads and secrets, nothing that moves the cursor, nothing without end."""
    safe = {name: _safe_field(name, value) for name, value in event.items()}
    ordered = {name: safe.pop(name) for name in _FIRST if name in safe}
    return ordered | safe


def _safe_field(name: str, value: object) -> object:
    if name == "exception":
        lines = redacted(str(value))[-_EXCEPTION_MAX:].split("\n")
        return "\n".join(map(_visible, lines))
    if name in _PAYLOADS:
        return f"<{len(value)} left out>" if isinstance(value, str | bytes) else "<left out>"
    if names_a_secret(name) and value is not None:
        return HIDDEN
    return _safe(value, _DEPTH_MAX)


def _safe(value: object, depth: int) -> object:
    # First, as it is what most values are: to ask of each whether it is a Mapping takes long.
    if type(value) is str:
        return _safe_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if depth and isinstance(value, Mapping):
        items = list(value.items())[:_ITEMS_MAX]
        return {
            str(_safe(str(k), 0)): HIDDEN if names_a_secret(str(k)) else _safe(v, depth - 1)
            for k, v in items
        }
    if depth and isinstance(value, Sequence | set | frozenset) and not isinstance(value, str):
        return [_safe(item, depth - 1) for item in list(value)[:_ITEMS_MAX]]
    return _safe_text(str(value))


def _safe_text(text: str) -> str:
    # Hidden before it is cut, or half a password could be left.
    text = redacted(text)
    cut = text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}… ({len(text)} characters)"
    return _visible(cut)


def _visible(text: str) -> str:
    """Characters that are no plain ones (new lines, escapes, changes of direction) as escapes."""
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or char == "\t"
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
