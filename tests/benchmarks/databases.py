"""Databases for a bench: filled once, and copied for every run that writes."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from tests.support.postgres import PostgresServer

Fill = Callable[[str], object]


class Databases(Protocol):
    """One kind of store."""

    name: str

    def copy(self, fill: Fill) -> AbstractContextManager[str]:
        """The address of a database that is as `fill(url)` left one; it is called once."""
        ...


class SQLiteFiles:
    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._filled: dict[Fill, Path] = {}

    @contextmanager
    def copy(self, fill: Fill) -> Iterator[str]:
        if fill not in self._filled:
            self._filled[fill] = self._folder / f"filled-{len(self._filled)}.db"
            fill(f"sqlite:///{self._filled[fill]}")
        copy = self._folder / "copy.db"
        shutil.copyfile(self._filled[fill], copy)
        try:
            yield f"sqlite:///{copy}"
        finally:
            for left in self._folder.glob("copy.db*"):
                left.unlink()


class PostgresDatabases:
    name = "postgresql"

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def copy(self, fill: Fill) -> AbstractContextManager[str]:
        return self._server.database(fill)

    @contextmanager
    def new(self, fill: Fill | None = None) -> Iterator[str]:
        """The address of a database that is filled by itself: one too large to be copied."""
        with self._server.database() as url:
            if fill is not None:
                fill(url)
            yield url
