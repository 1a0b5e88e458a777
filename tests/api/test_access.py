"""Who may ask what: every route of the table, by every kind of caller, under every kind of name."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.api.access import Scoped
from chargeback_worker.api.answers import Answer
from chargeback_worker.api.routing import Routes
from chargeback_worker.documents.formats import FORMATS
from chargeback_worker.period import Period
from chargeback_worker.pipeline.keys import create_key, revoke_key
from chargeback_worker.reports.usage_records import list_records
from chargeback_worker.settings.model import Billing
from chargeback_worker.store.api_keys import Role
from tests.support.http_api import Api, Reply, serving
from tests.support.http_directory import counted
from tests.support.http_routes import ROUTES, Asked
from tests.support.ledger import act

OPEN = {
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/docs",
    "/docs/errors",
    "/docs/errors/{name}",
}
HOSTS = ("127.0.0.1", "localhost:8080", "[::1]", "books.example.com")
REFUSED = (401, 403)


@dataclass(frozen=True)
class Caller:
    """A kind of caller: the role that it may act in where nothing is anybody's own."""

    role: Role | None
    scoped: bool = False


CALLERS = {
    "nobody": Caller(None),
    "unknown": Caller(None),
    "revoked": Caller(None),
    "read": Caller(Role.READ),
    "operate": Caller(Role.OPERATE),
    "admin": Caller(Role.ADMIN),
    "team": Caller(Role.ADMIN, scoped=True),
    "user": Caller(Role.ADMIN, scoped=True),
}


@dataclass(frozen=True)
class Guarded:
    """A server with a key of each kind, and two teams of which one is nobody's business."""

    api: Api
    keys: dict[str, str]

    def ask(self, asked: Asked, caller: str, **headers: str) -> Reply:
        if self.keys[caller]:
            headers["Authorization"] = f"Bearer {self.keys[caller]}"
        return self.api.ask(
            asked.method, asked.path, asked.body, query=asked.query, headers=headers
        )


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    with serving(f"sqlite:///{folder / 'chargeback.db'}") as api:
        _fill(api)
        keys = {"nobody": "", "unknown": "chargeback_0_" + "x" * 43}
        scopes = {"team": Pair(team="A"), "user": Pair(user="ada")}
        for name, caller in CALLERS.items():
            if caller.role is not None:
                made = create_key(api.store, name, caller.role, scopes.get(name), act())
                keys[name] = made.secret
        revoked = create_key(api.store, "revoked", Role.ADMIN, None, act())
        revoke_key(api.store, revoked.key.key_id, act())
        keys["revoked"] = revoked.secret
        yield Guarded(api, keys)


def _fill(api: Api) -> None:
    for number, (team, user) in enumerate(
        [("A", "ada"), ("A", "hidden-1"), ("hidden-2", "hidden-3"), (None, "ada"), (None, None)]
    ):
        event = {
            "usage_id": f"{user}-{number}",
            "timestamp": "2026-09-03T12:00:00Z",
            "cost_usd": 1,
            "team_id": team,
            "user_id": user,
            "agent_id": f"agent-of-{user}",
        }
        api.ok("POST", "usage", event)
    api.ok("POST", "periods/2026-09/close")


def _may(asked: Asked, caller: Caller) -> bool:
    wanted = asked.declared.role
    if wanted is None:
        return True
    if caller.role is None or not caller.role.reaches(wanted):
        return False
    return not caller.scoped or asked.declared.scoped is Scoped.OWN


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("asked", ROUTES, ids=lambda asked: asked.id)
def test_a_route_answers_those_who_may_and_nobody_else(
    guarded: Guarded, asked: Asked, caller: str
) -> None:
    may = _may(asked, CALLERS[caller])
    for host in HOSTS:
        reply = guarded.ask(asked, caller, Host=host)
        if may and CALLERS[caller].scoped:
            # What it asks for by name may be somebody else's.
            assert reply.status != 401, (host, reply)
        elif may:
            assert reply.status not in REFUSED, (host, reply)
        else:
            assert reply.status in REFUSED, (host, reply)
            assert b"hidden" not in reply.body


def test_every_open_route_is_meant_to_be() -> None:
    assert {asked.template for asked in ROUTES if asked.declared.role is None} == OPEN


def test_a_route_that_says_nothing_of_who_may_ask_cannot_be_made() -> None:
    routes = Routes("new")
    with pytest.raises(AssertionError, match="says nothing of who may ask"):
        routes.add_api_route("/new", lambda: Answer({}), methods=["GET"])


@pytest.mark.parametrize("caller", ["team", "user"])
@pytest.mark.parametrize(
    "asked",
    [asked for asked in ROUTES if asked.declared.scoped is Scoped.OWN],
    ids=lambda asked: asked.id,
)
def test_a_key_with_a_scope_never_sees_what_is_not_its_own(
    guarded: Guarded, asked: Asked, caller: str
) -> None:
    hidden = ("hidden-2", "hidden-3") if caller == "team" else ("hidden-1", "hidden-2", "hidden-3")
    key = guarded.api.with_key(guarded.keys[caller])
    for filters in ({}, {"team_id": "hidden-2"}, {"user_id": "hidden-3"}, {"team_id": ""}):
        query = {**asked.query, **filters}
        reply = key.ask(asked.method, asked.path, asked.body, query=query)
        # What was asked for is said again.
        named = set(hidden) - set(filters.values())
        assert not any(name.encode() in reply.body for name in named), reply
    for others in ("hidden-2", "hidden-3", "INV-202609-0002", "INV-202609-0003"):
        path = asked.path.replace("/A", f"/{others}").replace("/ada", f"/{others}")
        path = path.replace("INV-202609-0001", others)
        if path != asked.path:
            reply = key.ask(asked.method, path, asked.body, query=asked.query)
            told = reply.body.replace(others.encode(), b"")
            assert not any(name.encode() in told for name in hidden), reply


def test_a_key_with_a_scope_sees_what_is_its_own(guarded: Guarded) -> None:
    team = guarded.api.with_key(guarded.keys["team"])
    assert team.ok("GET", "usage/summary", period="2026-09")["summary"]["total_cost_usd"] == "2"
    assert len(team.ok("GET", "usage", period="2026-09")["usage_records"]) == 2
    assert [row["receiver"] for row in team.ok("GET", "invoices")["invoices"]] == ["team:A"]
    found = team.ok("GET", "allocations", period="2026-09")
    assert (found["total_cost_usd"], found["unallocated"]) == ("2", None)
    assert team.ok("GET", "reports/team/A", period="2026-09")["report"]["total_cost_usd"] == "2"
    assert team.get("reports/team/hidden-2", period="2026-09").problem == (403, "out-of-scope")
    assert team.get("reports/user/ada", period="2026-09").problem == (403, "out-of-scope")
    assert team.get("usage", period="2026-09", team_id="B").problem == (403, "out-of-scope")
    user = guarded.api.with_key(guarded.keys["user"])
    assert user.ok("GET", "usage/summary", period="2026-09")["summary"]["record_count"] == "2"
    receivers = [row["receiver"] for row in user.ok("GET", "invoices")["invoices"]]
    assert receivers == ["user:ada"]
    others = guarded.api.with_key(guarded.keys["read"]).ok("GET", "invoices")["invoices"]
    (of_a,) = [row for row in others if row["receiver"] == "team:A"]
    assert user.get(f"invoices/{of_a['invoice_id']}").problem == (404, "invoice-unknown")


@pytest.fixture
def shared(sqlite_api: Api) -> Api:
    """A month that is closed: A bears half of what B used, and 77 are of nobody."""
    rule = {
        "rule_id": "rent",
        "rule_type": "fixed_split",
        "split_percentages": {"team:A": 50, "team:B": 50},
        "allocation_metadata": {"match": {"teams": ["B"]}},
    }
    sqlite_api.ok("POST", "allocation-rules", rule)
    for name, team, cost in (("of-a", "A", 1), ("of-b", "B", 1000), ("of-nobody", None, 77)):
        event = {"usage_id": name, "timestamp": "2026-09-03T12:00:00Z", "cost_usd": cost}
        sqlite_api.ok("POST", "usage", {**event, "team_id": team, "user_id": team and f"u-{team}"})
    sqlite_api.ok("POST", "periods/2026-09/close")
    return sqlite_api


def _scoped(api: Api, scope: Pair | None) -> Api:
    return api.with_key(create_key(api.store, "k", Role.READ, scope, act()).secret)


def test_of_what_was_divided_a_key_with_a_scope_sees_no_usage_of_others(shared: Api) -> None:
    every, team = _scoped(shared, None), _scoped(shared, Pair(team="A"))
    wanted = {"default": (["of-a"], "1"), "rent": ([], "1")}
    for path in ("allocations", "reports/team/A"):
        found = team.ok("GET", path, period="2026-09")
        rows = found.get("report", found)["allocations"]
        told = {row["rule_id"]: (row["usage_records"], row["usage_record_count"]) for row in rows}
        assert told == wanted, path
    rows = every.ok("GET", "allocations", period="2026-09", team_id="A")["allocations"]
    assert [row["usage_records"] for row in rows] == [["of-a"], ["of-b"]]
    user = _scoped(shared, Pair(user="u-A"))
    for path in ("allocations", "reports/user/u-A"):
        found = user.ok("GET", path, period="2026-09")
        rows = found.get("report", found)["allocations"]
        assert [row["usage_records"] for row in rows] == [["of-a"]], path


def test_the_document_of_an_own_invoice_tells_a_key_with_a_scope_no_sums_of_others(
    shared: Api,
) -> None:
    every, team = _scoped(shared, None), _scoped(shared, Pair(team="A"))
    (row,) = team.ok("GET", "invoices")["invoices"]
    path = f"invoices/{row['invoice_number']}/document"
    for form in FORMATS:
        # One after the other: neither gets what was made for the other.
        replies = [caller.get(path, format=form) for caller in (every, team, every, team)]
        whole, own = replies[0].body, replies[1].body
        assert [reply.body for reply in replies[2:]] == [whole, own], form
        assert {reply.headers["cache-control"] for reply in replies} == {"no-store"}
        assert (whole == own) == (form == "json")
    told = team.get(path, format="csv").body + team.get(path, format="html").body
    for hidden in (b"period_", b"unallocated", b"1078", b"77.00"):
        assert hidden not in told, hidden
    assert b"501.00" in told


def test_a_key_with_a_scope_records_its_own_usage_alone(guarded: Guarded) -> None:
    team = guarded.api.with_key(guarded.keys["team"])
    event = {"timestamp": "2026-10-03T12:00:00Z", "cost_usd": 1}
    assert team.post("usage", {**event, "team_id": "A"}).status == 201
    for other in ({"team_id": "B"}, {}, {"metadata": {"team_id": "B"}}):
        assert team.post("usage", {**event, **other}).problem == (403, "out-of-scope")


TEAMS = {
    "teams": [
        {"team_id": "A", "members": [{"user_id": "ada", "to": "2026-10-10"}]},
        {"team_id": "C", "members": [{"user_id": "ada", "from": "2026-10-10"}]},
        {"team_id": "B", "members": [{"user_id": "bob"}]},
    ]
}


def _refund(team: str | None, day: str) -> dict[str, object]:
    usage = {"user_id": "ada", "timestamp": f"2026-10-{day}T12:00:00Z", "cost_usd": -5}
    return usage if team is None else {**usage, "team_id": team}


def test_a_key_of_a_user_names_no_team_but_one_that_the_directory_has_them_in_that_day(
    sqlite_api: Api,
) -> None:
    sqlite_api.ok("PUT", "directory", TEAMS)
    key = create_key(sqlite_api.store, "ada", Role.OPERATE, Pair(user="ada"), act()).secret
    ada = sqlite_api.with_key(key)
    taken = [(None, "09"), ("A", "09"), ("C", "10"), (None, "10")]
    assert [ada.post("usage", _refund(*one)).status for one in taken] == [201] * 4
    for team, day in (("A", "10"), ("C", "09"), ("B", "09"), ("nobody", "09")):
        refused = ada.post("usage", _refund(team, day))
        assert refused.problem == (403, "out-of-scope"), (team, day)
        document = refused.json
        for said in ("user:ada", repr(team), f"2026-10-{day}"):
            assert said in document["detail"], document
        assert "Leave team_id out" in document["hint"]
    other = ada.post("usage", {**_refund("B", "09"), "user_id": "bob"})
    assert other.problem == (403, "out-of-scope")
    used = list_records(sqlite_api.store, Period(2026, 10).days())["usage_records"]
    assert sorted(record["team_id"] or "" for record in used) == ["", "", "A", "C"]


def test_the_day_of_a_membership_is_the_billing_day(sqlite_url: str) -> None:
    with serving(sqlite_url, billing=Billing(timezone="Asia/Tokyo")) as api:
        api.ok("PUT", "directory", TEAMS)
        key = create_key(api.store, "ada", Role.OPERATE, Pair(user="ada"), act()).secret
        at = {"timestamp": "2026-10-09T16:00:00Z", "user_id": "ada", "cost_usd": 1}
        ada = api.with_key(key)
        assert ada.post("usage", {**at, "team_id": "A"}).problem == (403, "out-of-scope")
        assert ada.post("usage", {**at, "team_id": "C"}).status == 201


def test_without_a_directory_a_key_of_a_user_names_no_team(sqlite_api: Api) -> None:
    key = create_key(sqlite_api.store, "ada", Role.OPERATE, Pair(user="ada"), act()).secret
    ada = sqlite_api.with_key(key)
    assert ada.post("usage", _refund("A", "09")).problem == (403, "out-of-scope")
    assert ada.post("usage", _refund(None, "09")).status == 201


def test_a_key_of_a_team_vouches_for_its_users(sqlite_api: Api) -> None:
    sqlite_api.ok("PUT", "directory", TEAMS)
    key = create_key(sqlite_api.store, "b", Role.OPERATE, Pair(team="B"), act()).secret
    assert sqlite_api.with_key(key).post("usage", _refund("B", "09")).status == 201


def test_the_directory_is_read_only_where_a_key_of_a_user_names_a_team(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_api.ok("PUT", "directory", TEAMS)
    read = counted(monkeypatch)
    secrets = {
        name: create_key(sqlite_api.store, name, Role.OPERATE, scope, act()).secret
        for name, scope in (("a", Pair(team="A")), ("ada", Pair(user="ada")), ("all", None))
    }
    for name in ("a", "all"):
        assert sqlite_api.with_key(secrets[name]).post("usage", _refund("A", "09")).status == 201
    ada = sqlite_api.with_key(secrets["ada"])
    assert ada.post("usage", _refund(None, "09")).status == 201
    others = {**_refund("A", "09"), "user_id": "bob"}
    assert ada.post("usage", others).problem == (403, "out-of-scope")
    assert read == []
    assert ada.post("usage", _refund("A", "09")).status == 201
    assert len(read) == 1


def test_a_key_is_taken_in_either_header(guarded: Guarded) -> None:
    key = guarded.keys["read"]
    assert guarded.api.having(X_API_Key=key).get("periods").status == 200
    assert guarded.api.having(Authorization=f"bearer {key}").get("periods").status == 200
    assert guarded.api.having(Authorization=f"Basic {key}").get("periods").problem == (
        401,
        "key-missing",
    )
    asked = guarded.api.get("periods")
    assert asked.headers["www-authenticate"].startswith("Bearer")


def test_without_any_key_a_local_name_is_asked_for(sqlite_api: Api) -> None:
    for host in ("127.0.0.1", "127.0.0.1:99", "localhost", "LOCALHOST:8080", "[::1]:80"):
        assert sqlite_api.having(Host=host).get("periods").status == 200, host
    for host in ("evil.example", "127.0.0.1.evil.example", "0.0.0.0", "", "localhost.evil.example"):
        assert sqlite_api.having(Host=host).get("periods").problem == (403, "not-local"), host
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        passed_on = sqlite_api.having(**{header: "127.0.0.1"})
        assert passed_on.get("periods").problem == (403, "not-local"), header


@pytest.mark.parametrize(
    "asked",
    [asked for asked in ROUTES if asked.method in ("POST", "PUT")],
    ids=lambda asked: asked.id,
)
def test_without_any_key_a_body_must_be_announced_as_json(sqlite_api: Api, asked: Asked) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        for body in (b"{}", b""):
            reply = sqlite_api.ask(
                asked.method,
                asked.path,
                body,
                query=asked.query,
                headers={"Content-Type": content_type},
            )
            assert reply.problem == (415, "not-json"), (content_type, body)


def test_a_door_that_was_locked_stays_locked(sqlite_api: Api) -> None:
    made = create_key(sqlite_api.store, "only", Role.ADMIN, None, act())
    assert sqlite_api.get("periods").problem == (401, "key-missing")
    revoke_key(sqlite_api.store, made.key.key_id, act())
    assert sqlite_api.get("periods").problem == (401, "key-missing")
    assert sqlite_api.with_key(made.secret).get("periods").problem == (401, "key-unknown")
