"""Settings as they are shown to people: with their origin, and without secrets."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel

from chargeback_worker.settings.redaction import HIDDEN, redacted

if TYPE_CHECKING:
    from chargeback_worker.settings.model import Settings

OPTIONS = "kafka.options"
_PASSWORDS = (f"{OPTIONS}.sasl_plain_password", f"{OPTIONS}.ssl_password")
SECRETS = frozenset(
    {
        "database.url",
        f"{OPTIONS}.proxy_url",
        f"{OPTIONS}.socks5_proxy",
        *_PASSWORDS,
    }
)
"""What may hold a secret: each is also read from the file that its `…_FILE` variable names."""


class Origin(NamedTuple):
    """One line of `config show --origin`."""

    key: str
    value: str
    origin: str


def origins(settings: "Settings") -> list[Origin]:
    """Every setting with its value and where it came from, in the order of the sections."""
    return [
        Origin(key, shown(key, value), settings._origins.get(key, "default"))
        for key, value in _leaves(settings)
    ]


def _leaves(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name in type(model).model_fields:
        key, value = f"{prefix}{name}", getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{key}.")
        elif isinstance(value, Mapping):
            yield from ((f"{key}.{option}", of) for option, of in value.items())
        else:
            yield key, value


def shown(key: str, value: object) -> str:
    """The value of a setting as it would be written, secrets hidden."""
    if _is_password(key) and value not in (None, ""):
        return HIDDEN
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, list | tuple):
        return redacted(", ".join(map(str, value))) or "none"
    text = redacted(str(value))
    return text if text and text.isprintable() and text == text.strip() else repr(text)


def shown_at_fault(key: str, value: object) -> str:
    """The same of a value that is refused: one that should be an address may be a password."""
    if key in SECRETS and not str(value).startswith("sqlite:"):
        return HIDDEN
    return shown(key, value)


def _is_password(key: str) -> bool:
    """A misspelt name of a password is followed by a password as well."""
    return bool(get_close_matches(key, _PASSWORDS, n=1, cutoff=0.9))


def duration_text(value: timedelta) -> str:
    """`48h`, `90s`, `7d`: in the largest unit that divides it."""
    microseconds = value // timedelta(microseconds=1)
    for unit, size in (
        ("d", 86_400_000_000),
        ("h", 3_600_000_000),
        ("m", 60_000_000),
        ("s", 1_000_000),
        ("ms", 1_000),
    ):
        # 24h and 48h are how the documents write them; whole days begin at a week.
        if microseconds % size == 0 and (unit != "d" or microseconds >= 7 * size):
            return f"{microseconds // size}{unit}"
    return f"{microseconds}us"
