"""What the options before the command say: which configuration, and how errors are told."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from chargeback_worker import app
from chargeback_worker.settings import Settings, load
from chargeback_worker.store import Store


@dataclass(frozen=True, slots=True)
class Session:
    """One call of the program. Reads the settings, and opens things, when a command asks."""

    flags: Mapping[str, object]
    config: Path | None = None
    debug: bool = False

    def settings(self) -> Settings:
        """Flags > environment > file > defaults. Raises BadSettings with all faults."""
        return load(self.flags, os.environ, config=self.config)

    def having(self, flags: Mapping[str, object]) -> "Session":
        """The same call with more flags, which win over those it has."""
        return replace(self, flags={**self.flags, **flags})

    def options(self) -> list[str]:
        """What to write before a command, so that another process finds the same settings."""
        options = [f"--set={key}={value}" for key, value in self.flags.items()]
        if self.config is not None:
            options.append(f"--config={self.config}")
        return [*options, "--debug"] if self.debug else options

    @contextmanager
    def opened(self) -> Iterator[app.App]:
        """The app on the database of the settings, which is made ready if it is empty."""
        with app.opened(self.settings()) as opened:
            yield opened

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The database as it is, whatever its schema."""
        store = Store(self.settings().database.url)
        try:
            yield store
        finally:
            store.close()


def session(context: typer.Context) -> Session:
    """The session of a running command."""
    found = context.obj
    assert isinstance(found, Session)
    return found


def read_flags(settings: list[str], database: str | None, broker: str | None) -> dict[str, object]:
    """The flags by the key of their setting; `settings` are `KEY=VALUE`, the last of a key wins."""
    flags: dict[str, object] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(
                f"{text!r} is not KEY=VALUE, for instance billing.due_days=14",
                param_hint="--set",
            )
        flags[key.strip()] = value
    if database is not None:
        flags["database.url"] = database
    if broker is not None:
        flags["kafka.bootstrap_servers"] = broker
    return flags
