import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.directory import EMPTY, Directory, Member, Team
from chargeback_worker.allocation.writing.directory import (
    WrittenDirectory,
    read_directory,
)
from chargeback_worker.allocation.writing.faults import DirectoryRefused, Fault
from chargeback_worker.allocation.writing.place import Number
from tests.support.written_documents import anything

DAY = date(2025, 10, 1)


def faults(*teams: object) -> tuple[Fault, ...]:
    with pytest.raises(DirectoryRefused) as refused:
        read_directory({"teams": list(teams)})
    return refused.value.faults


def team(*members: object, team_id: str = "A") -> dict[str, object]:
    return {"team_id": team_id, "members": list(members)}


def member(first: int | None, until: int | None, **fields: object) -> dict[str, object]:
    dated = {"from": _day(first), "to": _day(until)}
    return {"user_id": "u", **dated, **fields}


def _day(number: int | None) -> str | None:
    return None if number is None else (DAY + timedelta(days=number)).isoformat()


spans = st.tuples(st.none() | st.integers(0, 5), st.none() | st.integers(6, 11)) | st.tuples(
    st.integers(0, 5), st.integers(6, 11)
).map(lambda span: (span[0] + 6, span[1] + 6))
memberships = st.lists(st.tuples(st.sampled_from("AB"), spans, st.booleans()), max_size=5)


@given(anything)
def test_any_document_gives_a_directory_or_is_refused_with_all_its_faults(document: Any) -> None:
    for written in (
        document,
        {"teams": document},
        {"teams": [document]},
        {"teams": [team(document)]},
    ):
        refused = _refusal(written)
        if refused is not None:
            assert all(fault.sentence and fault.subject for fault in refused.faults)
            assert str(refused).replace("\n", "").isprintable()


def _refusal(document: object) -> DirectoryRefused | None:
    try:
        read = read_directory(document)
    except DirectoryRefused as refused:
        return refused
    assert read_directory(json.loads(json.dumps(read.document))) == read
    return None


@given(memberships)
def test_overlapping_days_are_refused_whenever_there_are_any(
    written: list[tuple[str, tuple[int | None, int | None], bool]],
) -> None:
    """Checked against a walk over the days themselves."""
    teams = {
        name: team(
            *(member(*span, primary=p) for of, span, p in written if of == name), team_id=name
        )
        for name in "AB"
    }
    refused = _refusal({"teams": list(teams.values())})
    expected = set()
    for day in range(-1, 20):
        on = [
            (of, p)
            for of, (first, until), p in written
            if (first is None or first <= day) and (until is None or day < until)
        ]
        names = [of for of, _ in on]
        if len(set(names)) < len(names):
            expected.add("member_twice")
        if len({of for of, p in on if p}) > 1:
            expected.add("primary_twice")
    told = set() if refused is None else {fault.kind for fault in refused.faults}
    assert bool(told) == bool(expected)
    # Where somebody is in a team twice, another fault behind it may not show.
    assert told == expected or ("member_twice" in told and told <= expected)


def test_everything_written_is_kept_in_order_and_what_decides_goes_on() -> None:
    written = read_directory(
        {
            "teams": [
                {"team_id": "b"},
                {
                    "team_id": Number("007"),
                    "name": "Bond",
                    "cost_centre": Number("0042"),
                    "tax_rate": Number("0.19"),
                    "billing_address": "1 Road\nTown",
                    "members": [
                        {"user_id": "x", "name": "X", "from": "2025-10-15"},
                        {"user_id": "x", "name": "X", "to": "2025-10-01", "primary": True},
                        {"user_id": "a"},
                    ],
                },
            ]
        }
    )
    assert written.directory(4) == Directory(
        4,
        (
            Team(
                "007",
                (
                    Member("a"),
                    Member("x", until=date(2025, 10, 1), primary=True),
                    Member("x", first=date(2025, 10, 15)),
                ),
                190_000_000,
            ),
            Team("b"),
        ),
    )
    first, second = written.document["teams"]
    assert first | {"members": len(first["members"])} == {
        "team_id": "007",
        "name": "Bond",
        "cost_centre": "0042",
        "tax_rate": "0.19",
        "billing_address": "1 Road\nTown",
        "members": 3,
    }
    assert first["members"][2] == {
        "user_id": "x",
        "name": "X",
        "from": "2025-10-15",
        "to": None,
        "primary": False,
    }
    assert second["members"] == []
    assert written.shown(lambda nano: nano)["teams"][0]["tax_rate"] == 190_000_000


def test_the_order_of_writing_makes_no_other_directory() -> None:
    people = [{"user_id": "b"}, {"user_id": "a", "name": None, "primary": False}]
    one = read_directory({"teams": [team(*people), {"team_id": "B", "members": None}]})
    other = read_directory({"teams": [{"team_id": "B"}, team(*reversed(people))]})
    assert one == other
    assert json.dumps(one.document) == json.dumps(other.document)


def test_no_teams_are_an_empty_directory_and_a_shown_one_can_be_applied() -> None:
    assert read_directory({"teams": []}) == WrittenDirectory()
    assert WrittenDirectory().directory(0) == EMPTY
    shown = {"directory": {"version": 2, "created_at": "…", "updated_at": "…", "teams": []}}
    assert read_directory(shown) == WrittenDirectory()


@pytest.mark.parametrize(
    ("teams", "kind", "subject", "field"),
    [
        ([{"name": "A"}], "missing", "team 1", "team_id"),
        ([{"team_id": ""}], "missing", "team 1", "team_id"),
        ([{"team_id": "A"}, {"team_id": "A"}], "team_twice", "team 'A'", "team_id"),
        ([{"team_id": "A", "taxrate": 0}], "unknown_field", "team 'A'", "taxrate"),
        ([{"team_id": "A", "tax_rate": 19}], "out_of_range", "team 'A'", "tax_rate"),
        ([{"team_id": "A", "tax_rate": Decimal("-0.1")}], "out_of_range", "team 'A'", "tax_rate"),
        (
            [{"team_id": "A", "tax_rate": Number("0.1234567891")}],
            "out_of_range",
            "team 'A'",
            "tax_rate",
        ),
        ([{"team_id": "A", "tax_rate": "19%"}], "wrong_type", "team 'A'", "tax_rate"),
        ([team("u1")], "wrong_type", "team 'A'", "members[0]"),
        ([team({"name": "U"})], "missing", "team 'A'", "members[0].user_id"),
        ([team(member(3, 3))], "no_days", "team 'A'", "members[0].to"),
        ([team({"user_id": "u", "form": "x"})], "unknown_field", "team 'A'", "members[0].form"),
        ([team(member(0, 5), member(4, None))], "member_twice", "team 'A'", "members[1]"),
        (
            [team(member(0, 5, primary=True)), team(member(4, None, primary=True), team_id="B")],
            "primary_twice",
            "team 'B'",
            "members[0].primary",
        ),
        (
            [team(member(0, 5, name="U")), team(member(7, 8, name="V"), team_id="B")],
            "two_names",
            "team 'B'",
            "members[0].name",
        ),
        (["A"], "wrong_type", "team 1", ""),
    ],
)
def test_what_cannot_be_is_refused_with_its_kind_and_field(
    teams: list[object], kind: str, subject: str, field: str
) -> None:
    (fault,) = faults(*teams)
    assert (fault.kind, fault.subject, fault.field) == (kind, subject, field)
    assert not fault.by_state


def test_all_faults_are_told_at_once_with_what_to_do() -> None:
    told = [str(fault) for fault in faults({"team_id": "A", "tax_rate": 2, "member": []}, "B")]
    assert told == [
        "team 'A', member: is no field; did you mean members?",
        "team 'A', tax_rate = 2: must be a fraction from 0 to 1 (0.19 is 19 %) of at most 1",
        "team 2 = 'B': must be a mapping such as {team_id: A, members: []}",
    ]


@pytest.mark.parametrize("document", [None, [], "x", {}, {"teams": None}, {"teams": {"A": []}}])
def test_what_holds_no_teams_is_refused(document: object) -> None:
    with pytest.raises(DirectoryRefused, match="One fault in the directory"):
        read_directory(document)
