"""The written directory: teams with their people, checked whole, and the form it is kept in."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from chargeback_worker.allocation.directory import Directory, Member, Team
from chargeback_worker.allocation.writing.faults import DirectoryRefused, Fault, FaultKind
from chargeback_worker.allocation.writing.place import Place, Subject
from chargeback_worker.allocation.writing.values import (
    days,
    fraction,
    identifier,
    name,
    optional,
    paragraph,
    truth,
)
from chargeback_worker.money import plain

TEAM_FIELDS = ("team_id", "name", "cost_centre", "tax_rate", "billing_address", "members")
MEMBER_FIELDS = ("user_id", "name", "from", "to", "primary")
IGNORED = ("version", "created_at", "updated_at")
"""What a directory is shown with besides its teams, so that it can be applied as it is shown."""


@dataclass(frozen=True, slots=True)
class WrittenMember:
    member: Member
    name: str | None = None


@dataclass(frozen=True, slots=True)
class WrittenTeam:
    """Members by user and first day."""

    team_id: str
    name: str | None = None
    cost_centre: str | None = None
    tax_rate_nano: int | None = None
    billing_address: str | None = None
    members: tuple[WrittenMember, ...] = ()


@dataclass(frozen=True, slots=True)
class WrittenDirectory:
    """A directory without faults, teams by id; two that say the same are equal."""

    teams: tuple[WrittenTeam, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """Plain values that JSON can hold, in one order; `read_directory` reads them back."""
        return self.shown(plain)

    def shown(self, number: Callable[[int], object]) -> dict[str, Any]:
        """The document with tax rates as `number` makes them of units of 10**-9."""
        return {"teams": [_team_document(team, number) for team in self.teams]}

    def directory(self, version: int) -> Directory:
        """Only what decides about money."""
        return Directory(
            version,
            tuple(
                Team(team.team_id, tuple(of.member for of in team.members), team.tax_rate_nano)
                for team in self.teams
            ),
        )


def read_directory(document: object) -> WrittenDirectory:
    """The directory of a document. Raises DirectoryRefused with all faults."""
    faults: list[Fault] = []
    root = Place(document, (), Subject("the document"), faults)
    if isinstance(document, dict) and "directory" in document:
        root = (root.fields(("directory",), "", null_is_absent=False) or {})["directory"]
    teams: list[WrittenTeam] = []
    people: list[_Membership] = []
    first_of: dict[str, int] = {}
    for number, place in enumerate(_teams(root), 1):
        about = place.about("team", _id_of(place, "team_id"))
        team = _team(about, people)
        if team is not None and team.team_id:
            _refuse_team_twice(about, first_of.setdefault(team.team_id, number), number)
            teams.append(team)
    _refuse_people(people)
    if faults:
        raise DirectoryRefused(faults)
    return WrittenDirectory(tuple(sorted(teams, key=lambda team: team.team_id)))


@dataclass(frozen=True, slots=True)
class _Membership:
    """A member, of which team, and where it stands."""

    place: Place
    team_id: str
    written: WrittenMember

    @property
    def user_id(self) -> str:
        return self.written.member.user_id

    @property
    def first(self) -> date:
        return self.written.member.first or date.min

    @property
    def until(self) -> date:
        return self.written.member.until or date.max


def _teams(root: Place) -> list[Place]:
    fields = root.fields(
        ("teams",),
        "a mapping with teams: [{team_id: A, members: [{user_id: u1}]}]",
        ignored=IGNORED,
    )
    if fields is None:
        return []
    if "teams" not in fields:
        root.missing("teams", "is missing; an empty directory is written teams: []")
        return []
    return fields["teams"].items("a list of teams such as [{team_id: A}]") or []


def _id_of(place: Place, field: str) -> object:
    return place.value.get(field) if isinstance(place.value, dict) else None


def _team(place: Place, people: list[_Membership]) -> WrittenTeam | None:
    fields = place.fields(TEAM_FIELDS, "a mapping such as {team_id: A, members: []}")
    if fields is None:
        return None
    if "team_id" not in fields:
        place.missing("team_id", "is missing; every team needs an id")
    team_id = optional(fields.get("team_id"), identifier) or ""
    members = [
        member
        for at in optional(fields.get("members"), _members) or []
        if (member := _member(at)) is not None
    ]
    if team_id:
        people += [_Membership(at, team_id, member) for at, member in members]
    return WrittenTeam(
        team_id,
        optional(fields.get("name"), name) or None,
        optional(fields.get("cost_centre"), name) or None,
        optional(fields.get("tax_rate"), fraction),
        optional(fields.get("billing_address"), paragraph) or None,
        tuple(sorted((member for _, member in members), key=_order)),
    )


def _members(place: Place) -> list[Place] | None:
    return place.items("a list of members such as [{user_id: u1}]")


def _order(written: WrittenMember) -> tuple[str, date]:
    return (written.member.user_id, written.member.first or date.min)


def _member(place: Place) -> tuple[Place, WrittenMember] | None:
    fields = place.fields(MEMBER_FIELDS, "a mapping such as {user_id: u1}, not the bare id")
    if fields is None:
        return None
    first, until = days(fields.get("from"), fields.get("to"))
    primary = optional(fields.get("primary"), truth) or False
    named = optional(fields.get("name"), name) or None
    if "user_id" not in fields:
        place.missing("user_id", "is missing; every member needs one")
    user_id = optional(fields.get("user_id"), identifier)
    if user_id is None:
        return None
    return place, WrittenMember(Member(user_id, first, until, primary), named)


def _refuse_team_twice(place: Place, first: int, number: int) -> None:
    if first != number:
        at = place.within("team_id", _id_of(place, "team_id"))
        at.refuse(
            FaultKind.TEAM_TWICE,
            f"is written a second time; the first is team {first} of the document",
        )


def _refuse_people(people: list[_Membership]) -> None:
    """What only shows where a person is written more than once."""
    ordered = sorted(people, key=lambda of: (of.user_id, of.first, of.until))
    for _, of_user in groupby(ordered, key=lambda of: of.user_id):
        theirs = list(of_user)
        _refuse_two_names(theirs)
        by_team: dict[str, list[_Membership]] = {}
        for of in theirs:
            by_team.setdefault(of.team_id, []).append(of)
        for team_id, in_team in by_team.items():
            for earlier, later in _overlapping(in_team):
                later.place.refuse(
                    FaultKind.MEMBER_TWICE,
                    f"is in team {team_id!r} twice from {later.first}: "
                    f"{_where(earlier)} is {_span(earlier)}",
                    show=False,
                )
        primary = [of for of in theirs if of.written.member.primary]
        for earlier, later in _overlapping(primary):
            if earlier.team_id != later.team_id:
                later.place.within("primary", True).refuse(
                    FaultKind.PRIMARY_TWICE,
                    f"user {later.user_id!r} has another primary team on the same days: "
                    f"{_where(earlier)} is {_span(earlier)}",
                )


def _overlapping(ordered: list[_Membership]) -> list[tuple[_Membership, _Membership]]:
    """Each one that begins before an earlier one has ended, with that one; sorted by first day."""
    found = []
    longest: _Membership | None = None
    for of in ordered:
        if longest is not None and of.first < longest.until:
            found.append((longest, of))
        if longest is None or longest.until < of.until:
            longest = of
    return found


def _refuse_two_names(theirs: list[_Membership]) -> None:
    named = [of for of in theirs if of.written.name is not None]
    for of in named[1:]:
        if of.written.name != named[0].written.name:
            of.place.within("name", of.written.name).refuse(
                FaultKind.TWO_NAMES,
                f"user {of.user_id!r} is called {named[0].written.name!r} in "
                f"{_where(named[0])}; a person has one name",
            )


def _where(of: _Membership) -> str:
    number = of.place.path[-1]
    assert isinstance(number, int)
    return f"member {number + 1} of team {of.team_id!r}"


def _span(of: _Membership) -> str:
    member = of.written.member
    start = "" if member.first is None else f"from {member.first} "
    return f"there {start}to {member.until}" if member.until else f"there {start}for good"


def _team_document(team: WrittenTeam, number: Callable[[int], object]) -> dict[str, Any]:
    rate = team.tax_rate_nano
    return {
        "team_id": team.team_id,
        "name": team.name,
        "cost_centre": team.cost_centre,
        "tax_rate": None if rate is None else number(rate),
        "billing_address": team.billing_address,
        "members": [_member_document(written) for written in team.members],
    }


def _member_document(written: WrittenMember) -> dict[str, Any]:
    member = written.member
    return {
        "user_id": member.user_id,
        "name": written.name,
        "from": member.first and member.first.isoformat(),
        "to": member.until and member.until.isoformat(),
        "primary": member.primary,
    }
