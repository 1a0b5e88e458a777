"""Pages of a list that may change between them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.reports.pages import PAGE_MAX, UnknownPlace, cut

_TEXTS = st.none() | st.text(max_size=3)
_PAIRS = st.lists(st.builds(Pair, _TEXTS, _TEXTS), unique=True).map(sorted)


def _same(pair: Pair) -> Pair:
    return pair


@given(pairs=_PAIRS, limit=st.integers(1, 4))
def test_the_pages_of_a_list_are_the_list(pairs: list[Pair], limit: int) -> None:
    found: list[Pair] = []
    cursor = None
    while True:
        page, cursor = cut(pairs, _same, Pair, limit=limit, cursor=cursor)
        found += page
        assert len(page) <= limit
        if cursor is None:
            break
    assert found == pairs


def test_a_row_that_is_gone_is_still_a_place_to_go_on_from() -> None:
    pairs = sorted(Pair(team) for team in "ABC")
    _, cursor = cut(pairs, _same, Pair, limit=1, cursor=None)
    assert cut(pairs[1:], _same, Pair, limit=2, cursor=cursor) == (pairs[1:], None)


@pytest.mark.parametrize("cursor", ["", "?", "W10", "ä", "WzEsIDJd"])
def test_what_no_page_has_given_is_refused(cursor: str) -> None:
    with pytest.raises(UnknownPlace, match="No page goes on at"):
        cut([Pair("A")], _same, Pair, limit=1, cursor=cursor)


def test_a_page_is_never_longer_than_the_limit_of_all_lists() -> None:
    pairs = sorted(Pair(str(number)) for number in range(PAGE_MAX + 5))
    page, cursor = cut(pairs, _same, Pair, limit=PAGE_MAX + 3, cursor=None)
    assert (len(page), cursor is None) == (PAGE_MAX, False)
