"""The API on each kind of store in turn, over real HTTP."""

from collections.abc import Iterator

import pytest

from tests.support.http_api import Api, serving


@pytest.fixture
def api(ready_url: str) -> Iterator[Api]:
    """On a database of its own, without any key."""
    with serving(ready_url) as api:
        yield api


@pytest.fixture
def sqlite_api(sqlite_url: str) -> Iterator[Api]:
    """On SQLite alone, where the store makes no difference."""
    with serving(sqlite_url) as api:
        yield api
