from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.match import ANY, FIELDS, PRESENT, Claim, Condition, Match
from tests.support.laws import law

VALUES = (None, "", "a", "b", "c")
conditions = st.sampled_from([ANY, PRESENT]) | st.frozensets(st.sampled_from(VALUES[:4])).map(
    Condition.one_of
)
labels = st.dictionaries(st.sampled_from(["project", "stage"]), conditions).map(
    lambda made: tuple(made.items())
)
claims = st.builds(Claim, conditions, conditions, conditions, conditions, labels)
usages = st.fixed_dictionaries(
    {name: st.sampled_from(VALUES) for name in (*FIELDS, "labels.project", "labels.stage")}
)


def takes(claim: Claim, used: dict[str, str | None]) -> bool:
    return all(condition.takes(used[name]) for name, condition in claim.fields().items())


@law()
@given(conditions, conditions, st.sampled_from(VALUES))
def test_together_conditions_take_what_both_take(
    one: Condition, other: Condition, value: str | None
) -> None:
    assert (one & other).takes(value) == (one.takes(value) and other.takes(value))
    assert one & other == other & one
    assert one & one == one
    assert one & ANY == one


@law(200)
@given(conditions, conditions)
def test_a_condition_covers_another_if_it_takes_all_that_one_takes(
    one: Condition, other: Condition
) -> None:
    """`c` stands for all the values that no condition here names."""
    covered = all(one.takes(value) for value in VALUES if other.takes(value))
    assert one.covers(other) == covered


@law(100)
@given(conditions)
def test_a_condition_knows_whether_it_takes_everything_or_nothing(one: Condition) -> None:
    taken = [one.takes(value) for value in VALUES]
    assert one.takes_all == all(taken)
    assert one.takes_nothing == (not any(taken))


@law(200)
@given(claims, claims, usages)
def test_what_a_covered_claim_takes_the_other_takes(
    one: Claim, other: Claim, used: dict[str, str | None]
) -> None:
    if one.covers(other) and takes(other, used):
        assert takes(one, used)
    if one.takes_all:
        assert takes(one, used)
        assert one.covers(other)
    if one.takes_nothing:
        assert not takes(one, used)
        assert other.covers(one)


@law(100)
@given(claims, st.sampled_from([*FIELDS]))
def test_a_claim_covers_itself_and_what_is_narrower(claim: Claim, name: str) -> None:
    narrower = replace(claim, **{name: getattr(claim, name) & Condition.one_of(["a"])})
    assert claim.covers(claim)
    assert claim.covers(narrower)
    assert narrower.covers(claim) == (
        claim.takes_nothing or getattr(claim, name) in map(Condition.one_of, [["a"], []])
    )


def test_a_claim_without_a_label_covers_one_with_it_and_not_the_other_way_round() -> None:
    narrow = Claim(labels=(("project", Condition.one_of(["p"])),))
    assert Claim().covers(narrow)
    assert not narrow.covers(Claim())
    assert not narrow.covers(Claim(labels=(("stage", Condition.one_of(["p"])),)))
    assert narrow.covers(Claim(PRESENT, labels=narrow.labels))


def test_conditions_are_named_by_the_words_of_a_rule() -> None:
    only = Condition.one_of(["p"])
    claim = Claim(users=PRESENT, labels=(("project", only),))
    assert claim.fields() == {
        "teams": ANY,
        "users": PRESENT,
        "agents": ANY,
        "resource_types": ANY,
        "labels.project": only,
    }
    assert claim.label("project") == only
    assert claim.label("stage") == ANY


def test_a_match_is_the_condition_of_each_field() -> None:
    match = Match(
        teams=("A", None),
        users=("x",),
        agents=(None,),
        resource_types=("query",),
        labels=(("stage", ("prod", None)),),
    )
    assert match.claim() == Claim(
        Condition.one_of(["A", None]),
        Condition.one_of(["x"]),
        Condition.one_of([None]),
        Condition.one_of(["query"]),
        (("stage", Condition.one_of(["prod", None])),),
    )


@pytest.mark.parametrize(
    ("teams", "taken"),
    [(None, ["A"]), (("A", "B"), ["A"]), (("B", None), [])],
)
def test_a_team_of_the_rule_narrows_its_match(
    teams: tuple[str | None, ...] | None, taken: list[str]
) -> None:
    assert Match(teams=teams).claim("A") == Claim(teams=Condition.one_of(taken))


def test_a_match_narrows_where_any_field_is_given() -> None:
    assert not Match().narrows
    assert Match(teams=(None,)).narrows
    assert Match(users=("x",)).narrows
    assert Match(agents=("a",)).narrows
    assert Match(resource_types=("query",)).narrows
    assert Match(labels=(("stage", ("prod",)),)).narrows
