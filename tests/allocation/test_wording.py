"""Rules in plain words."""

from datetime import date

import pytest
from hypothesis import given

from chargeback_worker.allocation.match import Match
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import DEFAULT, Receiver, Rule, Share
from chargeback_worker.allocation.wording import claim_in_words, in_words
from tests.support import made_rules, made_usage
from tests.support.laws import law

A = Receiver("A", Pair("A"))


@pytest.mark.parametrize(
    ("match", "team_id", "words"),
    [
        (Match(), None, "all usage"),
        (Match(), "A", "usage of team A"),
        (Match(teams=("A", "B")), None, "usage of team A or B"),
        (Match(teams=(None,), users=(None,)), None, "usage without a team, without a user"),
        (Match(teams=("A", None)), None, "usage of team A or without a team"),
        (Match(agents=(None,)), None, "usage without an agent"),
        (
            Match(resource_types=("b", "a", "c"), agents=("g",)),
            None,
            "usage of type a, b or c, by agent g",
        ),
        (
            Match(labels=(("project", ("p", "")), ("stage", (None,)))),
            None,
            'usage with label project "" or p, without a label stage',
        ),
        (
            Match(teams=("A",)),
            "B",
            "nothing at all, as its conditions cannot hold together",
        ),
        (
            Match(users=tuple(f"u{n}" for n in range(10))),
            None,
            "usage of user u0, u1, u2, u3, u4, u5, u6, u7 or 2 more",
        ),
    ],
)
def test_a_claim_is_told_with_every_condition(
    match: Match, team_id: str | None, words: str
) -> None:
    assert claim_in_words(match.claim(team_id)) == words


def test_a_rule_is_a_sentence_of_what_it_takes_when_and_who_bears_it() -> None:
    rule = Rule(
        "rent",
        3,
        "equal_split",
        match=Match(resource_types=("rent",)),
        receivers=(A,),
        effective_from=date(2026, 10, 15),
        effective_to=date(2027, 1, 1),
    )
    assert in_words(rule) == (
        "rent@3 takes usage of type rent, from 2026-10-15, before 2027-01-01:"
        " it gives it to team:A."
    )


def test_the_narrowing_of_its_type_is_told_too() -> None:
    assert in_words(Rule("r", 1, "by_team")).startswith("r@1 takes usage with any team: ")
    assert in_words(Rule("r", 1, "by_user", user_ids=("x",))).startswith(
        "r@1 takes usage of user x: "
    )


def test_the_reserved_rule_takes_what_is_left() -> None:
    assert in_words(DEFAULT).startswith("default@1 takes what no rule claims: it leaves usage")


@law()
@given(rule=made_rules.versions(made_usage.LABELS))
def test_every_rule_can_be_told(rule: Rule) -> None:
    words = in_words(rule)
    assert words.startswith(rule.cited)
    assert words.endswith(".")
    assert "None" not in words


def test_of_many_who_bear_it_only_the_first_are_named() -> None:
    users = tuple(f"u{number:05d}" for number in range(50_000))
    for rule_type in ("by_user", "equal_split"):
        told = in_words(Rule("r", 1, rule_type, user_ids=users, team_id="T"))
        assert "u00007, 49,992 more" in told
        assert "u00008" not in told
    receivers = tuple(Receiver(f"user:{user}", Pair(user=user)) for user in users)
    shared = in_words(Rule("r", 1, "by_usage", receivers=receivers))
    assert "user:u00007, 49,992 more by the cost" in shared
    split = tuple(Share(receiver, 1) for receiver in receivers)
    assert "user:u00007 0.000000001 %, 49,992 more" in in_words(
        Rule("r", 1, "fixed_split", split=split)
    )
