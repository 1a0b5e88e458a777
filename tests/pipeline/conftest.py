"""Books that can be put back to a backup, on each kind of store."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from chargeback_worker.store import Store
from tests.support.backups import Books, NewBooks


@pytest.fixture
def new_books(new_store: Callable[[], AbstractContextManager[Store]]) -> NewBooks:
    """Makes books on that kind of store: each time new ones."""

    @contextmanager
    def made() -> Iterator[Books]:
        with new_store() as store:
            url = store.engine.url.render_as_string(hide_password=False)
            store.close()
            books = Books(url)
            yield books
            books.store.close()

    return made
