"""The OpenAPI document: true, whole, and the one that is committed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.http_api import Api
from tests.support.http_routes import ROUTES, Asked
from tests.support.http_shapes import document, require_described

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_the_committed_document_is_what_a_server_serves(sqlite_api: Api) -> None:
    served = json.loads(sqlite_api.get("/openapi.json").body)
    assert json.loads(COMMITTED.read_text()) == served, "make openapi writes it anew"


_ADDED = """
import json
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.documents.formats import FORMATS
METHODS["by_agent"] = METHODS["by_usage"]
FORMATS["txt"] = FORMATS["csv"]
from chargeback_worker.api.program import program_of
print(json.dumps(program_of().openapi()))
"""


def test_a_method_and_a_format_that_are_added_to_their_tables_are_in_it() -> None:
    command = [sys.executable, "-c", _ADDED]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    types = found["components"]["schemas"]["NewRule"]["properties"]["rule_type"]["enum"]
    assert {"by_usage", "by_agent"} <= set(types)
    assert "default" not in types
    asked = found["paths"]["/api/chargeback/invoices/{invoice_id}/document"]["get"]["parameters"]
    (pattern,) = [one["schema"]["pattern"] for one in asked if one["name"] == "format"]
    assert re.fullmatch(pattern, "txt")
    assert re.fullmatch(pattern, "html")


def test_every_route_is_described(sqlite_api: Api) -> None:
    for asked in ROUTES:
        operation = document()["paths"].get(asked.template, {}).get(asked.method.lower())
        if not asked.template.startswith(("/docs", "/openapi")):
            assert operation is not None, asked.id
            assert operation["summary"], asked.id
            assert {"200", "201"} & set(operation["responses"])


@pytest.mark.parametrize(
    "asked",
    [asked for asked in ROUTES if asked.declared.body is not None],
    ids=lambda asked: asked.id,
)
def test_a_body_has_an_example(asked: Asked) -> None:
    operation = document()["paths"][asked.template][asked.method.lower()]
    for content in operation["requestBody"]["content"].values():
        assert "example" in content


def test_every_parameter_says_what_it_is() -> None:
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", []):
                if parameter["in"] != "path":
                    assert parameter.get("description"), (method, path, parameter["name"])


def test_an_answer_that_is_not_described_is_found_out() -> None:
    """Guards the check that every other test of the API goes through."""
    target, headers = "/api/chargeback/periods", {"content-type": "application/json"}
    good: dict[str, object] = {"periods": [], "next_cursor": None}
    require_described("GET", target, 200, headers, json.dumps(good).encode())
    for status, content_type, body in (
        (200, "application/json", {**good, "more": 1}),
        (200, "application/json", {"periods": [{}], "next_cursor": None}),
        (200, "text/html", good),
        (418, "application/json", good),
    ):
        told, sent = {"content-type": content_type}, json.dumps(body).encode()
        with pytest.raises((AssertionError, ValueError)):
            require_described("GET", target, status, told, sent)
