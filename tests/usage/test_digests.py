"""The values here are stored in databases. Where one of these tests fails, the code is wrong."""

from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.usage.digests import content_digest, identity_digest, total_key

HARD_TEXT = 'a"b\\c/d\x01\x1f\x7f\n\t\u2028é😀<>&'


def test_identities_are_what_they_always_were() -> None:
    assert identity_digest("", "a").hex() == "fccbc8b7035661acf74a073fbf0d22bf"
    assert identity_digest("/gateway", "x").hex() == "1fa53f35389dbf663f1bb34b38edda93"
    assert identity_digest("", HARD_TEXT).hex() == "9de486e70d55426541bfbf5a0da1eaa6"


def test_contents_are_what_they_always_were() -> None:
    plain = content_digest(1700158623979960, None, None, None, "query", 0, 144840000, ())
    assert plain.hex() == "d580e03979cf3bc274ad0ff58974c6cf"
    full = content_digest(
        1700158623979960, "T", "", "g", HARD_TEXT, -(10**27), 10**18, ("x", None, "")
    )
    assert full.hex() == "2ee5d915331865c2a3a195321e31ada8"


def test_total_keys_are_what_they_always_were() -> None:
    assert (
        total_key(202610, 20261031, None, None, None, "query", ()).hex()
        == "d946b0e00063049e6c94f9b8731cfb5c"
    )
    assert (
        total_key(202611, 20261031, "T", "U", "g", HARD_TEXT, ("x", None)).hex()
        == "c150b2cc372781ae82d20713739ccb44"
    )


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
maybe = st.none() | texts
amounts = st.integers(-(10**27), 10**27)
contents = st.tuples(
    st.integers(0, 10**16), maybe, maybe, maybe, texts, amounts, amounts,
    st.lists(maybe, max_size=3).map(tuple),
)  # fmt: skip
grains = st.tuples(
    st.integers(200001, 200003), st.integers(20000101, 20000103), maybe, maybe, maybe, texts,
    st.lists(maybe, max_size=3).map(tuple),
)  # fmt: skip


@given(st.tuples(texts, texts), st.tuples(texts, texts))
def test_identities_are_equal_only_for_the_same_source_and_id(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert (identity_digest(*one) == identity_digest(*other)) == (one == other)


@given(contents, contents)
def test_contents_are_equal_only_where_every_part_is(
    one: tuple[int, str | None, str | None, str | None, str, int, int, tuple[str | None, ...]],
    other: tuple[int, str | None, str | None, str | None, str, int, int, tuple[str | None, ...]],
) -> None:
    assert (content_digest(*one) == content_digest(*other)) == (one == other)


@given(grains, grains)
def test_total_keys_are_equal_only_where_every_part_is(
    one: tuple[int, int, str | None, str | None, str | None, str, tuple[str | None, ...]],
    other: tuple[int, int, str | None, str | None, str | None, str, tuple[str | None, ...]],
) -> None:
    assert (total_key(*one) == total_key(*other)) == (one == other)


def test_missing_empty_and_moved_texts_stay_apart() -> None:
    keys = {
        total_key(202610, 20261031, *rest)
        for rest in [
            ("a", None, None, "q", ()),
            (None, "a", None, "q", ()),
            (None, None, "a", "q", ()),
            ("", None, None, "q", ()),
            (None, None, None, "q", ()),
            (None, None, None, "q", (None,)),
            (None, None, None, "q", ("",)),
            (None, None, None, "q", ("null",)),
        ]
    }
    assert len(keys) == 8


def test_the_three_kinds_never_meet() -> None:
    assert (
        len({identity_digest("a", "b"), identity_digest("b", "a"), identity_digest("", "ab")}) == 3
    )


def test_the_content_of_an_event_that_says_no_time_is_what_it_always_was() -> None:
    untimed = content_digest(None, None, None, None, "query", 0, 144840000, ())
    assert untimed.hex() == "14e57641402651ea1c3de18f23a170ec"
