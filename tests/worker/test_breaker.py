from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.worker.breaker import RefusalBreaker

SHARE = Fraction(1, 2)


def _tripped(refused: list[bool], *, run: int, window: int) -> bool:
    """The definition, told again without any state kept between events."""
    for end in range(1, len(refused) + 1):
        if end >= run and all(refused[end - run : end]):
            return True
        if end >= window and sum(refused[end - window : end]) > SHARE * window:
            return True
    return False


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 8), st.integers(1, 12))
def test_it_trips_exactly_when_a_run_or_a_full_window_has_too_many(
    refused: list[bool], run: int, window: int
) -> None:
    breaker = RefusalBreaker(SHARE, run, window)
    assert (breaker.fault(refused) is not None) == _tripped(refused, run=run, window=window)


@given(
    st.lists(st.lists(st.booleans(), max_size=9), max_size=9),
    st.integers(1, 8),
    st.integers(1, 12),
)
def test_batches_make_no_difference(batches: list[list[bool]], run: int, window: int) -> None:
    breaker = RefusalBreaker(SHARE, run, window)
    whole: list[bool] = []
    for batch in batches:
        whole += batch
        fault = breaker.fault(batch)
        assert (fault is not None) == _tripped(whole, run=run, window=window)
        if fault is not None:
            return
        breaker.note(batch)


def test_asking_changes_nothing() -> None:
    breaker = RefusalBreaker(SHARE, 3, 100)
    for _ in range(5):
        assert breaker.fault([True, True]) is None
    breaker.note([True, True])
    assert breaker.fault([True]) == "3 events in a row are refused"


def test_the_sentence_names_the_share_of_a_full_window() -> None:
    breaker = RefusalBreaker(SHARE, 100, 4)
    assert breaker.fault([True, False, True, True]) == "3 of the last 4 events are refused"
