from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.directory import EMPTY, Directory, Member, Team
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.usage.total import UsageTotal
from tests.support import made_rules, made_usage, reference_allocation
from tests.support.borne import directory
from tests.support.laws import law

FIRST, TENTH, LAST = (date(2025, 10, day) for day in (1, 10, 31))


def owner(people: Directory, user: str, day: date = FIRST) -> Pair:
    return people.owner(None, user, day)


def test_a_user_without_a_recorded_team_takes_the_only_one_of_the_day() -> None:
    people = directory(A=["x"], B=[Member("y", until=TENTH)], C=[Member("y", TENTH)])
    assert owner(people, "x") == Pair("A", "x")
    assert [owner(people, "y", day).team for day in (FIRST, TENTH, LAST)] == ["B", "C", "C"]
    assert owner(people, "stranger") == Pair(None, "stranger")


def test_of_several_teams_the_primary_one_is_taken_and_without_one_none() -> None:
    people = directory(
        A=["x", Member("y", primary=True)], B=["x", "y"], C=[Member("x", TENTH, primary=True)]
    )
    assert [owner(people, "x", day).team for day in (FIRST, TENTH)] == [None, "C"]
    assert owner(people, "y").team == "A"


def test_a_primary_team_of_other_days_decides_nothing() -> None:
    people = directory(A=[Member("x", until=TENTH, primary=True)], B=["x"], C=["x"])
    assert [owner(people, "x", day).team for day in (FIRST, TENTH)] == ["A", None]


def test_two_primary_teams_of_a_day_decide_nothing() -> None:
    """They are refused when they are written; what is stored all the same has no order."""
    people = directory(A=[Member("x", primary=True)], B=[Member("x", TENTH, primary=True)])
    assert [owner(people, "x", day).team for day in (FIRST, TENTH)] == ["A", None]


def test_a_user_twice_in_one_team_is_in_one_team() -> None:
    """Whichever of the two entries says that it is the primary one."""
    once_more = [Member("x", primary=True), Member("x", TENTH), Member("x", until=TENTH)]
    for members in (once_more, once_more[::-1]):
        people = directory(A=["x"], B=members)
        assert [owner(people, "x", day).team for day in (FIRST, TENTH)] == ["B", "B"]
        assert people.members("B", FIRST) == ("x",)
        assert directory(B=members).owner(None, "x", FIRST) == Pair("B", "x")


def test_a_user_has_a_team_on_the_days_of_any_of_their_entries_in_it() -> None:
    people = directory(A=[Member("x", until=TENTH), Member("x", LAST)], B=["x", "y"])
    assert [people.has("A", "x", day) for day in (FIRST, TENTH, LAST)] == [True, False, True]
    assert people.has("B", "x", TENTH), "of several teams it is in each"
    assert not people.has("A", "y", FIRST)
    assert not people.has("C", "x", FIRST)
    assert not EMPTY.has("A", "x", FIRST)


def test_a_recorded_team_is_never_changed_and_no_user_has_no_team() -> None:
    people = directory(A=["x"])
    assert people.owner("C", "x", FIRST) == Pair("C", "x")
    assert people.owner("C", None, FIRST) == Pair("C")
    assert people.owner(None, None, FIRST) == Pair()


def test_membership_is_half_open() -> None:
    member = Member("x", FIRST, TENTH)
    days = [date(2025, 9, 30), FIRST, date(2025, 10, 9), TENTH]
    assert [member.on(day) for day in days] == [False, True, True, False]
    assert all(Member("x").on(day) for day in (date.min, date.max))


def test_members_are_listed_once_by_code_point() -> None:
    people = directory(A=["z", "Z", "ä", "a", Member("z", FIRST), Member("gone", until=TENTH)])
    assert people.members("A", TENTH) == ("Z", "a", "z", "ä")
    assert people.members("A", FIRST) == ("Z", "a", "gone", "z", "ä")
    assert people.members("nowhere", FIRST) == ()


def test_it_knows_its_teams_users_and_rates() -> None:
    people = Directory(3, (Team("A", (Member("x", until=TENTH),), 190_000_000), Team("B")))
    assert people.team_ids == {"A", "B"}
    assert people.user_ids == {"x"}
    assert [people.tax_rate_nano(team) for team in ("A", "B", "C")] == [190_000_000, None, None]
    assert Directory(1, (Team("Z", tax_rate_nano=0),)).tax_rate_nano("Z") == 0


def test_the_first_directory_is_empty() -> None:
    assert Directory(0, ()) == EMPTY
    assert (EMPTY.team_ids, EMPTY.user_ids) == (frozenset(), frozenset())


@law(80)
@given(made_usage.totals(), made_rules.directories())
def test_an_owner_is_what_the_written_rules_say(
    totals: list[UsageTotal], people: Directory
) -> None:
    snapshot = Snapshot(directory=people)
    for total in totals:
        found = people.owner(total.team, total.user, total.day)
        assert found == reference_allocation.owner(total, snapshot)


@law()
@given(made_rules.directories(), st.sampled_from("xyz"), st.sampled_from([FIRST, TENTH, LAST]))
def test_who_belongs_to_a_team_by_its_owner_is_a_member_of_it(
    people: Directory, user: str, day: date
) -> None:
    team = owner(people, user, day).team
    assert team is None or user in people.members(team, day)
