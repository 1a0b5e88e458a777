"""`chargeback erase`: what it says of a person, and what it never says."""

import pytest

from tests.support.command import Command
from tests.support.upkeep import fields


def test_a_reason_is_required(two_months: Command) -> None:
    ended = two_months("erase", "user:ada")
    assert (ended.code, ended.out) == (2, "")
    assert "Error: To erase a person, a reason is required." in ended.err


def test_a_person_is_erased(two_months: Command) -> None:
    before = two_months.ok("invoices", "show", "INV-202609-0001", "-o", "json").out
    document = two_months.ok("erase", "user:ada", "--reason", "request 4711", "-o", "json").json
    erased = document["erased"]
    assert {name: erased[name] for name in list(erased)[:5]} == {
        "user_id": "ada",
        "directory_versions": "1",
        "quarantined": "1",
        "conflicts": "0",
        "usage_records": "1",
    }
    assert erased["holding_id"]["usage_record"] == "2"
    assert erased["holding_name"] == {}
    assert erased["left"]
    assert two_months.ok("invoices", "show", "INV-202609-0001", "-o", "json").out == before
    assert "Lovelace" not in two_months.ok("directory", "show", "-o", "json").out
    two_months.ok("verify")


def test_what_still_holds_the_id_is_listed(two_months: Command) -> None:
    ended = two_months.ok("erase", "user:ada", "--reason", "request 4711")
    first, title, *table = ended.out.splitlines()
    assert first == (
        "Erased of user:ada: the name in 1 version of the directory, 1 event in quarantine,"
        " 0 conflicting events, the metadata of 1 usage record."
    )
    assert title == "What still holds the id, or a name"
    assert ["id", "usage_record", "2"] in fields("\n".join(table))
    assert "take it out of its file too" in ended.err
    rows = two_months.ok("erase", "user:ada", "--reason", "again", "-o", "csv").out.splitlines()
    assert rows[0] == "holds,table,rows"
    assert "id,usage_record,2" in rows


@pytest.mark.parametrize("person", ["ada", "team:T", "user:", ""])
def test_only_a_user_can_be_erased(two_months: Command, person: str) -> None:
    ended = two_months("erase", person, "--reason", "request 4711")
    assert (ended.code, ended.out) == (2, "")
    assert "names no person" in ended.err


def test_somebody_unknown_is_not_erased(two_months: Command) -> None:
    ended = two_months("erase", "user:adda", "--reason", "request 4711")
    assert (ended.code, ended.out) == (5, "")
    assert "Error: Nothing is stored of a user 'adda'." in ended.err


def test_the_name_is_kept_out_of_the_audit(two_months: Command) -> None:
    ended = two_months("erase", "user:ada", "--reason", "Ada Lovelace asked")
    assert (ended.code, ended.out) == (2, "")
    assert "Lovelace" not in two_months.ok("audit", "-o", "json").out
