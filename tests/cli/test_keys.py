"""`chargeback keys`: made, listed, revoked."""

from tests.support.command import Command


def test_a_key_is_shown_once_and_listed_without_itself(chargeback: Command) -> None:
    made = chargeback.ok(
        "keys", "create", "--role", "read", "--scope", "team:research", "--name", "ada"
    )
    secret = made.out.strip()
    assert secret.startswith("chargeback_")
    assert "not shown again" in made.err

    listed = chargeback.ok("keys", "list", "-o", "json")
    (key,) = listed.json["keys"]
    assert (key["name"], key["role"], key["scope"]) == ("ada", "read", "team:research")
    assert secret.rpartition("_")[2] not in listed.out
    assert key["revoked_at"] is None

    revoked = chargeback.ok("keys", "revoke", key["key_id"], "--yes", "-o", "json").json["key"]
    assert revoked["revoked_at"]
    assert chargeback("keys", "revoke", key["key_id"], "--yes").code == 5
    assert chargeback("keys", "revoke", "nobody", "--yes").code == 5
    assert chargeback("keys", "create", "--role", "read", "--scope", "research").code == 2
    told = chargeback.ok("audit", "-o", "json").json["audit"]
    assert [row["action"] for row in told] == ["key.revoke", "key.create"]
