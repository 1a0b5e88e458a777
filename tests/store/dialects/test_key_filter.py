"""What was put in is never denied; whatever else it says only costs time."""

import tracemalloc
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.store.dialects.key_filter import KeyFilter

_identities = st.lists(st.binary(min_size=16, max_size=16), unique=True, max_size=50)
_filter = KeyFilter()


@given(_identities)
def test_what_was_put_in_is_never_denied(identities: list[bytes]) -> None:
    _filter.add(b"".join(identities))
    assert _filter.perhaps(identities) == identities


def test_most_strangers_are_denied() -> None:
    draw, full = Random(1), KeyFilter()
    full.add(draw.randbytes(16 * 200_000))
    strangers = [draw.randbytes(16) for _ in range(20_000)]
    assert len(full.perhaps(strangers)) < 20


def test_a_filter_without_anything_denies_everything_and_takes_no_memory() -> None:
    tracemalloc.start()
    assert KeyFilter().perhaps([bytes(16), b"\xff" * 16]) == []
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 20
