"""The route table as tests go through it: each route with a request that reaches it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chargeback_worker.api.program import program_of
from chargeback_worker.api.routing import Declared, Route

_PATH = {
    "rule_id": "rent",
    "team_id": "A",
    "user_id": "ada",
    "period": "2026-09",
    "quarantine_id": "1",
    "name": "rule-unknown",
    "allocation_id": "00000000-0000-0000-0000-000000000000",
    "invoice_id": "INV-202609-0001",
}


@dataclass(frozen=True)
class Asked:
    """A route and a request for it, which may be refused for what it says."""

    name: str
    method: str
    path: str
    template: str
    query: Mapping[str, Any]
    body: bytes | None
    declared: Declared

    @property
    def id(self) -> str:
        return f"{self.method} {self.template}"


def routes() -> Iterator[Asked]:
    """Every route that is served."""
    for route in program_of().routes:
        assert isinstance(route, Route), route
        for method in sorted(route.methods or ()):
            path = route.path_format
            for name, value in _PATH.items():
                path = path.replace(f"{{{name}}}", value)
            assert "{" not in path, path
            known = {param.alias for param in route.dependant.query_params}
            shared = {p.alias for d in route.dependant.dependencies for p in d.query_params}
            query = {"period": "2026-09"} if "period" in known | shared else {}
            body = b"{}" if route.declared.body is not None else None
            yield Asked(route.name, method, path, route.path_format, query, body, route.declared)


ROUTES = list(routes())
