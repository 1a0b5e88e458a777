"""Every error that the OpenAPI document names for a route, made to happen over real HTTP.

What any route may answer is tried on each of them; what is a route's own has a story in STORIES,
told on both stores. A documented error without either fails here.
"""

import inspect
import json
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
from starlette.concurrency import run_in_threadpool

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.api import batches, bodies, together
from chargeback_worker.api.access import Scoped
from chargeback_worker.api.routes import ALL
from chargeback_worker.api.routes.books import VERIFYING
from chargeback_worker.api.routing import Route
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.errors import Unavailable
from chargeback_worker.period import Period
from chargeback_worker.pipeline.keys import create_key
from chargeback_worker.settings.model import Billing, Quarantine
from chargeback_worker.store import api_keys, cursors
from chargeback_worker.store.api_keys import Role
from chargeback_worker.store.cursors import Door
from tests.support.feed import set_state
from tests.support.http_api import Api, serving
from tests.support.http_late import Late
from tests.support.http_routes import ROUTES, Asked
from tests.support.http_shapes import document
from tests.support.ledger import act

GENERAL = {
    "parameter-refused",
    "key-missing",
    "key-unknown",
    "not-local",
    "role-too-low",
    "out-of-scope",
    "unavailable",
    "took-too-long",
    "still-under-way",
    "not-json",
    "body-too-large",
    "body-too-slow",
    "body-unreadable",
    "key-reused",
}
"""Tried below, or in test_access, on every route that names them."""

SEPTEMBER = {"period": "2026-09"}
YEARS = "2000-01-01/2026-01-01"
EVENT = {"timestamp": "2026-09-03T12:00:00Z", "team_id": "A", "user_id": "ada", "cost_usd": 1}
RENT = {"rule_id": "rent", "rule_type": "equal_split", "team_id": "A"}


def _documented() -> set[tuple[str, str, int]]:
    found: set[tuple[str, str, int]] = set()
    for operations in document()["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                names = re.findall(r"`/docs/errors/([^`]+)`", response["description"])
                if status == "503" and "Retry-After" in response.get("headers", {}):
                    names = [*names, "unavailable"]
                found.update((operation["operationId"], name, int(status)) for name in names)
    return found


DOCUMENTED = _documented()


def _naming(name: str) -> list[Asked]:
    routes = {route for route, error, _ in DOCUMENTED if error == name}
    return [asked for asked in ROUTES if asked.name in routes]


def _each(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("asked", _naming(name), ids=lambda asked: asked.name)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One server for what no store takes part in."""
    with serving(f"sqlite:///{tmp_path_factory.mktemp('server') / 'chargeback.db'}") as api:
        yield api


def _ask(api: Api, asked: Asked, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    sent = asked.body if body is None else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.ask(asked.method, asked.path, sent, query=asked.query, headers=named).problem


@_each("parameter-refused")
def test_a_parameter_that_there_is_not(server: Api, asked: Asked) -> None:
    reply = server.ask(asked.method, asked.path, asked.body, query={**asked.query, "no-such": 1})
    assert reply.problem == (400, "parameter-refused")
    assert reply.json["errors"][0]["parameter"] == "no-such"


@_each("not-local")
def test_a_name_that_is_not_of_this_machine(server: Api, asked: Asked) -> None:
    assert _ask(server, asked, Host="evil.example") == (403, "not-local")


@_each("not-json")
def test_a_body_that_is_announced_as_something_else(server: Api, asked: Asked) -> None:
    assert _ask(server, asked, Content_Type="text/plain") == (415, "not-json")


@_each("body-unreadable")
def test_a_body_that_is_no_json(server: Api, asked: Asked) -> None:
    assert _ask(server, asked, b"{") == (400, "body-unreadable")


@_each("body-too-large")
def test_a_body_that_is_too_large(server: Api, asked: Asked) -> None:
    assert _raw(server, asked, f"Content-Length: {10**9}") == b"413"


@_each("body-too-slow")
def test_a_body_that_does_not_come(
    server: Api, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_TIME_S", 0.1)
    assert _raw(server, asked, "Content-Length: 10") == b"408"


def _raw(api: Api, asked: Asked, *headers: str) -> bytes:
    """The status of an answer to a request of which no body comes."""
    query = "&".join(f"{name}={value}" for name, value in asked.query.items())
    lines = [
        f"{asked.method} {asked.path}?{query} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        *headers,
    ]
    with socket.create_connection((api.host, api.port), 30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection.recv(100).split()[1]


@_each("unavailable")
def test_a_store_that_does_not_answer(
    server: Api, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*arguments: object) -> None:
        raise Unavailable("The database does not answer.")

    monkeypatch.setattr(api_keys, "any_made", away)
    reply = server.ask(asked.method, asked.path, asked.body, query=asked.query)
    assert reply.problem == (503, "unavailable")
    assert int(reply.headers["retry-after"]) > 0


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Iterator[Late]:
    found = Late(monkeypatch)
    yield found
    found.release()


def _hold(late: Late, monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    """Let what a module does in threads not come to its end before the test does."""
    in_threads: Any = run_in_threadpool

    async def held(function: Callable[..., Any], *arguments: Any) -> Any:
        return await in_threads(late.held(function), *arguments)

    monkeypatch.setattr(module, "run_in_threadpool", held)


def _hold_route(late: Late, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    nothing = late.held(lambda: None)

    async def holds(**_: object) -> None:
        await run_in_threadpool(nothing)

    (route,) = [one for routes in ALL for one in routes.routes if getattr(one, "name", "") == name]
    assert isinstance(route, Route)
    asynchronous = inspect.iscoroutinefunction(route.endpoint)
    held = holds if asynchronous else lambda **_: nothing()
    monkeypatch.setattr(route.dependant, "call", held)


@_each("took-too-long")
def test_a_caller_who_is_not_admitted_in_time(
    server: Api, asked: Asked, late: Late, monkeypatch: pytest.MonkeyPatch
) -> None:
    _hold(late, monkeypatch, together)
    reply = server.ask(asked.method, asked.path, asked.body, query=asked.query)
    assert reply.problem == (503, "took-too-long")
    assert int(reply.headers["retry-after"]) > 0


@pytest.mark.parametrize("asked", _naming("unavailable"), ids=lambda asked: asked.name)
def test_what_is_not_done_in_time(
    server: Api, asked: Asked, late: Late, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = asked in _naming("still-under-way")
    assert writes == (asked.method != "GET" and asked.name != "preview_rules")
    body = asked.body
    if asked.declared.body is not None and asked.declared.body.streamed:
        _hold(late, monkeypatch, batches)
        body = b"[{}]"
    else:
        _hold_route(late, monkeypatch, asked.name)
    reply = server.ask(asked.method, asked.path, body, query=asked.query)
    assert reply.problem == (503, "still-under-way" if writes else "took-too-long")
    assert int(reply.headers["retry-after"]) > 0


@_each("key-reused")
def test_a_key_of_another_request(sqlite_api: Api, asked: Asked) -> None:
    keyed = sqlite_api.having(Idempotency_Key="k-1")
    assert keyed.post("usage", EVENT).status == 201
    body = b"{}"
    if asked.declared.body is not None and asked.declared.body.streamed:
        # It knows other batches alone.
        assert keyed.post("usage/batch", [EVENT]).status == 200
        body = json.dumps([EVENT, EVENT]).encode()
    assert _ask(keyed, asked, body) == (422, "key-reused")


def test_roles_and_scopes_that_do_not_reach(sqlite_api: Api) -> None:
    read = create_key(sqlite_api.store, "", Role.READ, None, act()).secret
    team = create_key(sqlite_api.store, "", Role.ADMIN, Pair(team="A"), act()).secret
    for asked in _naming("role-too-low"):
        assert _ask(sqlite_api.with_key(read), asked) == (403, "role-too-low"), asked
    for asked in _naming("out-of-scope"):
        if asked.declared.scoped is Scoped.NEVER:
            assert _ask(sqlite_api.with_key(team), asked) == (403, "out-of-scope"), asked
    for name in ("key-missing", "key-unknown"):
        key = "" if name == "key-missing" else "unknown"
        for asked in _naming(name):
            assert _ask(sqlite_api, asked, X_API_Key=key) == (401, name), asked


@dataclass(frozen=True)
class Story:
    """How one error of one route comes about. `settings` are other than usual."""

    route: str
    error: str
    tell: Callable[[Api], Any]
    status: int
    settings: dict[str, Any]


STORIES: dict[tuple[str, str, int], Story] = {}


def _story(
    route: str, error: str, status: int, **settings: Any
) -> Callable[[Callable[[Api], Any]], Callable[[Api], Any]]:
    def keep(tell: Callable[[Api], Any]) -> Callable[[Api], Any]:
        STORIES[route, error, status] = Story(route, error, tell, status, settings)
        return tell

    return keep


def _used(api: Api, **more: Any) -> None:
    api.ok("POST", "usage", {**EVENT, **more})


def _closed(api: Api) -> str:
    """The path of the one invoice of a closed month."""
    _used(api)
    api.ok("POST", "periods/2026-09/close")
    return f"invoices/{api.ok('GET', 'invoices')['invoices'][0]['invoice_id']}"


def _by_requests(route: str, error: str, status: int, *asked: Any) -> None:
    """A story of one request: method, path, body, and its query."""
    method, path, *rest = asked
    body = rest[0] if rest else None
    query = rest[1] if len(rest) > 1 else {}
    _story(route, error, status)(lambda api: api.ask(method, path, body, query=query))


_by_requests("record_usage", "usage-refused", 400, "POST", "usage", {"cost_usd": "x"})
_by_requests(
    "record_usage",
    "usage-refused",
    422,
    "POST",
    "usage",
    {"cost_usd": 1, "timestamp": "2099-01-01T00:00:00Z"},
)
_by_requests(
    "get_usage_summary", "range-too-long", 400, "GET", "usage/summary", None, {"period": YEARS}
)
_by_requests("list_usage", "range-too-long", 400, "GET", "usage", None, {"period": YEARS})
_by_requests("list_usage", "unknown-place", 400, "GET", "usage", None, {**SEPTEMBER, "cursor": "x"})
_by_requests(
    "list_allocation_rules", "unknown-place", 400, "GET", "allocation-rules", None, {"cursor": "x"}
)
_by_requests("create_allocation_rule", "body-refused", 400, "POST", "allocation-rules", {})
_by_requests(
    "create_allocation_rule",
    "rules-refused",
    400,
    "POST",
    "allocation-rules",
    {**RENT, "rule_type": "by_magic"},
)
_by_requests(
    "create_allocation_rule",
    "rules-refused",
    422,
    "POST",
    "allocation-rules",
    {**RENT, "allocation_metadata": {"match": {"labels": {"x": ["y"]}}}},
)
_by_requests("get_allocation_rule", "rule-unknown", 404, "GET", "allocation-rules/none")
_by_requests("change_allocation_rule", "rule-unknown", 404, "PUT", "allocation-rules/none", {})
_by_requests(
    "change_allocation_rule", "body-refused", 400, "PUT", "allocation-rules/none", {"nmae": "x"}
)
_by_requests("delete_allocation_rule", "rule-unknown", 404, "DELETE", "allocation-rules/none")
_by_requests("allocate_costs", "body-refused", 400, "POST", "allocate", {"perod": "x"})
_by_requests("allocate_costs", "range-too-long", 400, "POST", "allocate", {"period": YEARS})
_by_requests(
    "allocate_costs", "rule-unknown", 404, "POST", "allocate", {**SEPTEMBER, "rule_id": "none"}
)
_by_requests("allocate_costs", "unknown-place", 400, "POST", "allocate", SEPTEMBER, {"cursor": "x"})
_by_requests(
    "get_allocations", "range-too-long", 400, "GET", "allocations", None, {"period": YEARS}
)
_by_requests(
    "get_allocations",
    "rule-unknown",
    404,
    "GET",
    "allocations",
    None,
    {**SEPTEMBER, "rule_id": "none"},
)
_by_requests(
    "get_allocations",
    "unknown-place",
    400,
    "GET",
    "allocations",
    None,
    {**SEPTEMBER, "cursor": "x"},
)
_by_requests("get_allocation_usage", "allocation-unknown", 404, "GET", "allocations/none/usage")
_by_requests(
    "get_allocation_usage",
    "unknown-place",
    400,
    "GET",
    "allocations/none/usage",
    None,
    {"cursor": "x"},
)
_by_requests("generate_invoice", "body-refused", 400, "POST", "invoices", {"team": "A"})
_by_requests("generate_invoice", "no-receiver", 422, "POST", "invoices", SEPTEMBER)
_by_requests(
    "generate_invoice",
    "receiver-too-long",
    400,
    "POST",
    "invoices",
    {**SEPTEMBER, "team_id": "\U00020000" * 512, "user_id": "\U00020000" * 512},
)
_by_requests(
    "generate_invoice", "bad-receiver", 400, "POST", "invoices", {**SEPTEMBER, "team_id": "x" * 600}
)
_by_requests(
    "generate_invoice",
    "not-one-period",
    422,
    "POST",
    "invoices",
    {"period": "2026-09-01/2026-09-15", "team_id": "A"},
)
_by_requests("list_invoices", "unknown-place", 400, "GET", "invoices", None, {"cursor": "x"})
_by_requests("get_invoice", "invoice-unknown", 404, "GET", "invoices/none")
_by_requests(
    "update_invoice_status",
    "invoice-unknown",
    404,
    "PUT",
    "invoices/none/status",
    {"status": "paid"},
)
_by_requests("update_invoice_status", "body-refused", 400, "PUT", "invoices/none/status", {})
_by_requests("explain_an_invoice", "invoice-unknown", 404, "GET", "invoices/none/explain")
_by_requests("get_invoice_document", "invoice-unknown", 404, "GET", "invoices/none/document")
for _report in ("team", "user"):
    _by_requests(
        f"get_{_report}_report",
        "range-too-long",
        400,
        "GET",
        f"reports/{_report}/x",
        None,
        {"period": YEARS},
    )
_by_requests("get_periods", "unknown-place", 400, "GET", "periods", None, {"cursor": "x"})
_by_requests("get_period", "period-unknown", 404, "GET", "periods/2020-01")
_by_requests("close_period", "body-refused", 400, "POST", "periods/2026-09/close", {"force": 1})
_by_requests(
    "close_period", "reason-missing", 422, "POST", "periods/2026-09/close", {"force": True}
)
_by_requests("close_period", "period-not-over", 409, "POST", "periods/9000-01/close")
_by_requests("reopen_period", "body-refused", 400, "POST", "periods/2026-09/reopen", {"why": 1})
_by_requests("reopen_period", "reason-missing", 422, "POST", "periods/2026-09/reopen")
_by_requests("reopen_period", "not-closed", 409, "POST", "periods/2026-09/reopen", {"reason": "x"})
for _method, _route in (("GET", "get_preview"), ("POST", "preview_rules")):
    _body: Any = {"rules": []} if _method == "POST" else None
    _by_requests(_route, "range-too-long", 400, _method, "preview", _body, {"period": YEARS})
    _by_requests(
        _route, "unknown-place", 400, _method, "preview", _body, {**SEPTEMBER, "cursor": "x"}
    )
_by_requests("preview_rules", "rules-refused", 400, "POST", "preview", {"rules": [{}]}, SEPTEMBER)
_by_requests(
    "preview_rules",
    "rules-refused",
    422,
    "POST",
    "preview",
    {"rules": [{"rule_id": "r", "rule_type": "equal_split"}]},
    SEPTEMBER,
)
_by_requests("put_directory", "directory-refused", 400, "PUT", "directory", {"teams": [{}]})
_by_requests("get_quarantined", "quarantine-unknown", 404, "GET", "quarantine/9")
_by_requests("replay_quarantined", "quarantine-unknown", 404, "POST", "quarantine/9/replay")
_by_requests(
    "dismiss_quarantined",
    "quarantine-unknown",
    404,
    "POST",
    "quarantine/9/dismiss",
    {"reason": "x"},
)
_by_requests("dismiss_quarantined", "reason-missing", 422, "POST", "quarantine/9/dismiss")
_by_requests("dismiss_quarantined", "body-refused", 400, "POST", "quarantine/9/dismiss", {"why": 1})


_by_requests("replay_quarantined", "body-refused", 400, "POST", "quarantine/9/replay", {"why": 1})


@_story("record_usage", "usage-conflict", 409)
def _(api: Api) -> Any:
    _used(api, usage_id="u")
    return api.post("usage", {**EVENT, "usage_id": "u", "cost_usd": 2})


@_story("record_usage_batch", "too-many-items", 413)
def _(api: Api) -> Any:
    from chargeback_worker.api import batches

    before, batches.EVENTS_MAX = batches.EVENTS_MAX, 1
    try:
        return api.post("usage/batch", [EVENT, EVENT])
    finally:
        batches.EVENTS_MAX = before


@_story("create_allocation_rule", "rule-exists", 409)
def _(api: Api) -> Any:
    api.ok("POST", "allocation-rules", RENT)
    return api.post("allocation-rules", RENT)


def _of_rent(error: str, status: int, method: str, body: Any, if_match: str) -> None:
    route = "delete_allocation_rule" if method == "DELETE" else "change_allocation_rule"

    @_story(route, error, status)
    def _(api: Api) -> Any:
        api.ok("POST", "allocation-rules", RENT)
        return api.having(If_Match=if_match).ask(method, "allocation-rules/rent", body)


_of_rent("rules-refused", 400, "PUT", {"rule_type": "by_magic"}, "*")
_of_rent("rules-refused", 422, "PUT", {"team_id": None}, "*")
_of_rent("not-as-expected", 412, "PUT", {}, '"7"')
_of_rent("not-as-expected", 412, "DELETE", None, '"7"')


@_story("generate_invoice", "billed-already", 409)
def _(api: Api) -> Any:
    _closed(api)
    return api.post("invoices", {**SEPTEMBER, "user_id": "ada"})


@_story("generate_invoice", "nothing-billed", 409)
def _(api: Api) -> Any:
    _closed(api)
    return api.post("invoices", {**SEPTEMBER, "team_id": "Z"})


def _of_invoice(error: str, status: int, *changes: Any) -> None:
    @_story("update_invoice_status", error, status)
    def _(api: Api) -> Any:
        path = _closed(api)
        for change in changes[:-1]:
            api.ok("PUT", f"{path}/status", change)
        return api.put(f"{path}/status", changes[-1])


_of_invoice("change-refused", 409, {"status": "paid"}, {"status": "sent"})
_of_invoice("not-overdue", 409, {"status": "sent"}, {"status": "overdue"})
_of_invoice("reason-missing", 422, {"status": "cancelled"})


@_story("update_invoice_status", "not-closed-yet", 409)
def _(api: Api) -> Any:
    _used(api)
    draft = api.ok("POST", "invoices", {**SEPTEMBER, "team_id": "A"})["invoice"]
    return api.put(f"invoices/{draft['invoice_id']}/status", {"status": "sent"})


@_story("explain_an_invoice", "line-unknown", 404)
def _(api: Api) -> Any:
    return api.get(f"{_closed(api)}/explain", line=99)


@_story("explain_an_invoice", "unknown-place", 400)
def _(api: Api) -> Any:
    return api.get(f"{_closed(api)}/explain", line=1, cursor="x")


@_story("close_period", "not-as-expected", 412)
def _(api: Api) -> Any:
    _used(api)
    return api.having(If_Match='"closed-1"').post("periods/2026-09/close")


@_story("reopen_period", "not-as-expected", 412)
def _(api: Api) -> Any:
    _closed(api)
    return api.having(If_Match='"open-1"').post("periods/2026-09/reopen", {"reason": "x"})


@_story("close_period", "earlier-reopened", 409)
def _(api: Api) -> Any:
    _used(api, timestamp="2026-08-03T12:00:00Z")
    api.ok("POST", "periods/2026-08/close")
    api.ok("POST", "periods/2026-08/reopen", {"reason": "x"})
    _used(api)
    return api.post("periods/2026-09/close")


@_story("close_period", "earlier-not-closed", 409)
def _(api: Api) -> Any:
    _used(api, timestamp="2026-08-03T12:00:00Z")
    # Usage passes it by, as while a close of it is tried that then fails.
    set_state(api.store, Period(2026, 8), "closing")
    _used(api, timestamp="2026-08-04T12:00:00Z")
    set_state(api.store, Period(2026, 8), "open")
    return api.post("periods/2026-09/close")


def _while_closing(route: str, path: str, body: Any) -> None:
    @_story(route, "close-in-progress", 409)
    def _(api: Api) -> Any:
        _closed(api)
        set_state(api.store, Period(2026, 8), "closing")
        return api.post(path, body)


_while_closing("reopen_period", "periods/2026-09/reopen", {"reason": "x"})


@_story("close_period", "close-in-progress", 409)
def _(api: Api) -> Any:
    _used(api)
    set_state(api.store, Period(2026, 8), "closing")
    return api.post("periods/2026-09/close")


@_story("close_period", "ingest-behind", 409)
def _(api: Api) -> Any:
    _used(api)
    broker = MemoryBroker()
    for topic in ("usage-events", "invoices"):
        broker.create_topic(topic, 1)
    broker.producer().send("usage-events", key=None, value=b"{}", headers=()).result(10)
    api.books.__dict__["broker"] = broker
    with api.store.begin() as transaction:
        cursors.make(transaction, Door.TOPIC, "usage-events", now_us=0)
    return api.post("periods/2026-09/close")


@_story("reopen_period", "awaits-approval", 409, billing=Billing(approval="manual"))
def _(api: Api) -> Any:
    _closed(api)
    return api.post("periods/2026-09/reopen", {"reason": "x"})


@_story("get_verify", "verify-under-way", 503)
def _(api: Api) -> Any:
    with VERIFYING:
        return api.get("verify")


def _held(api: Api) -> str:
    list(api.books.ingest_file("digest", [b'{"x": "' + b"y" * 200 + b'"}']))
    (row,) = api.ok("GET", "quarantine")["quarantine"]
    return f"quarantine/{row['quarantine_id']}"


@_story("replay_quarantined", "not-replayable", 409, quarantine=Quarantine(max_bytes=100))
def _(api: Api) -> Any:
    return api.post(f"{_held(api)}/replay")


def _when_dismissed(route: str, doing: str, body: Any) -> None:
    @_story(route, "already-resolved", 409)
    def _(api: Api) -> Any:
        path = _held(api)
        api.ok("POST", f"{path}/dismiss", {"reason": "x"})
        return api.post(f"{path}/{doing}", body)


_when_dismissed("replay_quarantined", "replay", None)
_when_dismissed("dismiss_quarantined", "dismiss", {"reason": "x"})


@pytest.mark.parametrize("story", STORIES.values(), ids=lambda s: f"{s.route}-{s.error}-{s.status}")
def test_an_error_comes_about_as_it_is_documented(ready_url: str, story: Story) -> None:
    with serving(ready_url, **story.settings) as api:
        reply = story.tell(api)
        assert reply.problem == (story.status, story.error)
        assert reply.json["detail"]


def test_every_documented_error_is_tried() -> None:
    own = {found for found in DOCUMENTED if found[1] not in GENERAL}
    assert own - STORIES.keys() == set(), "tell how these come about"
    assert STORIES.keys() - own == set(), "the document does not name these"
