"""Writing the directory: one document, replaced as a whole."""

import pytest

from chargeback_worker.allocation.writing.faults import DirectoryRefused
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.store import Store, audit, directories
from tests.support.ledger import act

SMALL = {"teams": [{"team_id": "A", "members": [{"user_id": "u1", "name": "Ann"}]}]}


def test_each_change_is_a_version_and_the_same_again_is_none(store: Store) -> None:
    assert apply_directory(store, SMALL, act()).stored.version == 1
    again = apply_directory(store, SMALL, act())
    assert (again.stored.version, again.changed) == (1, False)
    assert apply_directory(store, {"teams": []}, act()).stored.version == 2
    assert apply_directory(store, SMALL, act()).stored.version == 3


def test_the_order_of_teams_and_members_is_no_change(store: Store) -> None:
    members = [{"user_id": "u1"}, {"user_id": "u2"}]
    teams = [{"team_id": "A", "members": members}, {"team_id": "B"}]
    apply_directory(store, {"teams": teams}, act())
    turned = [{"team_id": "B"}, {"team_id": "A", "members": members[::-1]}]
    assert not apply_directory(store, {"teams": turned}, act()).changed


def test_a_refused_directory_leaves_the_one_before(store: Store) -> None:
    apply_directory(store, SMALL, act())
    with pytest.raises(DirectoryRefused, match="team_id"):
        apply_directory(store, {"teams": [{"name": "nameless"}]}, act())
    with store.read() as transaction:
        stored = directories.current(transaction)
    assert stored is not None
    assert stored.version == 1
    assert stored.directory.team_ids == {"A"}


def test_names_of_people_stay_out_of_the_audit(store: Store) -> None:
    apply_directory(store, SMALL, act())
    with store.read() as transaction:
        (row,) = audit.listed(transaction)
    assert row.subject == "directory:1"
    assert row.after == {"version": 1, "teams": 1, "members": 1}
    assert row.before is None


def test_without_any_directory_nobody_has_a_team(store: Store) -> None:
    with store.read() as transaction:
        assert directories.current(transaction) is None
        assert directories.directory_of_now(transaction).version == 0
